"""S21, a planted adversarial: an attack must find what is certainly there."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vision_evals.attacks.attack import Victim
from vision_evals.attacks.balls import Ball
from vision_evals.attacks.criteria import Misclassification
from vision_evals.validity.batch import (
    ValidityBatch,
    attack_of,
    ball_of,
    build_validity_batch,
    informative_epsilon,
    iterated_of,
    run_attack,
)
from vision_evals.validity.check import CheckResult, Evidence, ValidityCheck, iterating, rate

MAX_IMAGES, INNER_POINTS, BORDER_POINTS = 8, 32, 16
"""How many images, points within each ball, and points of its border to choose from."""

SCORE_THRESHOLD = 0.9
"""Where the threshold lies between the highest inner point, 0, and the planted one, 1."""

RIDGE_PENALTY = 1e-3
"""Of the mean variance of a logit: keeps the readout off directions in which nothing moves."""


@dataclass(frozen=True, slots=True)
class Readout:
    """A victim of two classes: a linear function of another's logits."""

    alias: str
    inner: Victim
    weight: torch.Tensor
    """(classes,)."""
    threshold: float

    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (n, 2): 0, and the score, above 0 for the planted class."""
        features = self.inner.logits(pixels).double()
        score = features @ self.weight - self.threshold
        return torch.stack([torch.zeros_like(score), score], dim=1).to(pixels.dtype)


def plant(validity_batch: ValidityBatch, ball: Ball) -> Readout | None:
    """Return a readout of a bench of one image, or None where no border point stands apart.

    Zimmermann et al. 2022, section 4: inner points are the image and points drawn from its ball,
    and one point of the border is planted. Let f be the logits, m their mean over the inner
    points, and F the rows f(x) - m. For each candidate p of the border, ridge regression

        w = argmin |F w + 1|^2 + (w (f(p) - m) - 1)^2 + r |w|^2

    asks for -1 within and +1 at p. Of the candidates, that with the largest gap
    g = w f(p) - max w f(x) over the inner points is planted, if g > 0. The score

        s(x) = (w f(x) - max w f(inner)) / g - 0.9

    is below 0 on all inner points, and 0.1 at p: an adversarial is certainly there, and points
    drawn at random within the ball do not find it.
    """
    within = torch.cat(
        [validity_batch.pixels]
        + [
            ball.sample(validity_batch.pixels, _generators(validity_batch, "inner", i))
            for i in range(INNER_POINTS)
        ]
    )
    border = torch.cat(
        [
            ball.noise(validity_batch.pixels, _generators(validity_batch, "border", i))
            for i in range(BORDER_POINTS)
        ]
    )
    with torch.no_grad():
        inner = validity_batch.victim.logits(within).double()
        candidates = validity_batch.victim.logits(border).double()
    mean = inner.mean(dim=0)
    best: tuple[float, torch.Tensor, float] | None = None
    for candidate in candidates:
        rows = torch.cat([inner, candidate[None]]) - mean
        wanted = torch.full((len(rows),), -1.0, dtype=rows.dtype, device=rows.device)
        wanted[-1] = 1.0
        weight = _ridge(rows, wanted)
        highest = float((inner @ weight).max())
        gap = float(candidate @ weight) - highest
        if gap > 0 and (best is None or gap > best[0]):
            best = gap, weight, highest
    if best is None:
        return None
    gap, weight, highest = best
    return Readout(
        f"a readout of {validity_batch.victim.alias}",
        validity_batch.victim,
        weight / gap,
        highest / gap + SCORE_THRESHOLD,
    )


def _generators(validity_batch: ValidityBatch, kind: str, number: int) -> list[torch.Generator]:
    return validity_batch.draws.generators("planted", kind, str(number))


def _ridge(rows: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return (classes,) the weights, by the dual: there are fewer rows than classes, or few."""
    kernel = rows @ rows.T
    penalty = RIDGE_PENALTY * kernel.diagonal().mean().clamp(min=torch.finfo(rows.dtype).tiny)
    eye = torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    solved: torch.Tensor = rows.T @ torch.linalg.solve(kernel + penalty * eye, wanted)
    return solved


def found(evidence: Evidence) -> CheckResult:
    """S21: each image has a readout of its own, so each is attacked alone."""
    iterated_of(evidence)
    validity_batch, ball = (
        build_validity_batch(evidence),
        ball_of(evidence, informative_epsilon(evidence)[0]),
    )
    readouts, missed = 0, 0
    for i in range(min(MAX_IMAGES, len(validity_batch.pixels))):
        alone = validity_batch.of(torch.tensor([i], device=validity_batch.pixels.device))
        readout = plant(alone, ball)
        if readout is None:
            continue
        zero = torch.zeros(1, dtype=torch.int64, device=alone.pixels.device)
        planted = alone._replace(victim=readout, criterion=Misclassification(zero, zero[:, None]))
        readouts += 1
        missed += int(~run_attack(planted, attack_of(evidence), ball).broken)
    said = rate(missed, readouts, 0.05, "planted adversarials are not found")
    return said._replace(evidence=f"{said.evidence}; within {ball.epsilon:.3g}")


CHECK = ValidityCheck(
    id="S21",
    name="a planted adversarial is found",
    meaning="An attack that does not find what is certainly there has not shown that nothing is.",
    source="Zimmermann et al. 2022, Increasing Confidence in Adversarial Robustness Evaluations, "
    "section 4",
    cost="thorough",
    guards=iterating,
    run=found,
)
