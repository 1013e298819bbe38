"""Validity checks that give an attack more: budget, steps, starts, a planted adversarial."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from vision_evals.attacks.attack import Attack, Victim
from vision_evals.attacks.balls import Ball
from vision_evals.attacks.criteria import Misclassification
from vision_evals.core.errors import NotApplicableError
from vision_evals.validity.batch import (
    AttackOutcome,
    ValidityBatch,
    attack_of,
    ball_of,
    ball_of_all,
    build_validity_batch,
    informative_epsilon,
    iterated_of,
    run_attack,
)
from vision_evals.validity.check import (
    CheckResult,
    Evidence,
    ValidityCheck,
    failed,
    iterating,
    rate,
    reading,
)

MAX_IMAGES, INNER_POINTS, BORDER_POINTS = 8, 32, 16
"""How many images, points within each ball, and candidates on its border."""

SCORE_THRESHOLD = 0.9
"""Threshold on a scale where the highest inner point is 0 and the planted one is 1."""

RIDGE_PENALTY = 1e-3
"""Share of the mean variance of a logit: keeps the readout off directions without variance."""


@dataclass(frozen=True, slots=True)
class Readout:
    """A victim of two classes: a linear function of the logits of another victim."""

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

    @property
    def climbed(self) -> Readout:
        """The same function of the copy on which attacks climb."""
        inner = self.inner.climbed
        return self if inner is self.inner else replace(self, inner=inner)


def plant(validity_batch: ValidityBatch, ball: Ball) -> Readout | None:
    """Return a readout of a batch of one image, or None where no border point can be separated.

    Zimmermann et al. 2022, section 4: inner points are the image and points drawn from its ball,
    and one point of the border is planted. Let f be the logits, m their mean over the inner
    points, and F the rows f(x) - m. For each candidate p of the border, ridge regression

        w = argmin |F w + 1|^2 + (w (f(p) - m) - 1)^2 + r |w|^2

    fits -1 within and +1 at p. Of the candidates, that with the largest gap
    g = w f(p) - max w f(x) over the inner points is planted, if g > 0. The score

        s(x) = (w f(x) - max w f(inner)) / g - 0.9

    is below 0 on all inner points, and 0.1 at p: an adversarial certainly exists, and points
    drawn at random within the ball do not find it.
    """
    inner, candidates = _sample_logits(validity_batch, ball)
    fits = [fit for fit in (_fit(inner, point) for point in candidates) if fit.gap > 0]
    if not fits:
        return None
    gap, weight, highest = max(fits, key=lambda fit: fit.gap)
    victim = validity_batch.victim
    threshold = highest / gap + SCORE_THRESHOLD
    return Readout(f"a readout of {victim.alias}", victim, weight / gap, threshold)


def _sample_logits(validity_batch: ValidityBatch, ball: Ball) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits in float64 of the image with its inner points, and of the border points."""
    pixels, draws = validity_batch.pixels, validity_batch.draws

    def points(kind: str, n: int) -> list[torch.Tensor]:
        draw = ball.sample if kind == "inner" else ball.noise
        return [draw(pixels, draws.generators("planted", kind, str(i))) for i in range(n)]

    within = torch.cat([pixels, *points("inner", INNER_POINTS)])
    border = torch.cat(points("border", BORDER_POINTS))
    with torch.no_grad():
        inner = validity_batch.victim.logits(within).double()
        return inner, validity_batch.victim.logits(border).double()


class _Fit(NamedTuple):
    """A direction in logits that sets one border point apart from the inner points."""

    gap: float
    weight: torch.Tensor
    highest: float
    """Largest inner product with an inner point."""


def _fit(inner: torch.Tensor, candidate: torch.Tensor) -> _Fit:
    rows = torch.cat([inner, candidate[None]]) - inner.mean(dim=0)
    goals = torch.full((len(rows),), -1.0, dtype=rows.dtype, device=rows.device)
    goals[-1] = 1.0
    weight = _ridge(rows, goals)
    highest = float((inner @ weight).max())
    return _Fit(float(candidate @ weight) - highest, weight, highest)


def _ridge(rows: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
    """Return the weights (classes,), solved in the dual: there are few rows."""
    kernel = rows @ rows.T
    penalty = RIDGE_PENALTY * kernel.diagonal().mean().clamp(min=torch.finfo(rows.dtype).tiny)
    eye = torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    solved: torch.Tensor = rows.T @ torch.linalg.solve(kernel + penalty * eye, goals)
    return solved


def finds_planted(evidence: Evidence) -> CheckResult:
    """S21: each image has its own readout, so each is attacked alone."""
    iterated_of(evidence)
    validity_batch = build_validity_batch(evidence)
    ball = ball_of(evidence, informative_epsilon(evidence)[0])
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
    result = rate(missed, readouts, 0.05, "planted adversarials are not found")
    return result.adding(f"within {ball.epsilon:.3g}")


@runtime_checkable
class Adjustable(Attack, Protocol):
    """An attack whose numbers of steps and starts can change."""

    def longer(self) -> Attack:
        """Return the same attack with twice the steps."""
        ...

    def with_restarts(self, n: int) -> Attack:
        """Return the same attack with n starts."""
        ...


def big_budget(evidence: Evidence) -> CheckResult:
    """S11: a ball of half of the scale contains the same grey image for every image."""
    attack, ball = iterated_of(evidence), ball_of_all(evidence, 0.5)
    validity_batch, n = build_validity_batch(evidence), len(evidence.probe.ids)
    stand = int((~run_attack(validity_batch, attack, ball).broken).sum())
    right = (validity_batch.criterion.accepted >= 0).sum(dim=1).double().mean()
    chance = float(right) / len(evidence.classifier.classes)
    return rate(stand, n, chance, "images stand").adding(f"{ball.norm} within {ball.epsilon:.3g}")


def unbounded(evidence: Evidence) -> CheckResult:
    """S12: the ball contains all possible images, including those of other classes.

    No image should stand, but an attack can end on a plateau by bad luck: one standing image among
    few leaves the check undecided, several fail it.
    """
    attack, ball = iterated_of(evidence), ball_of_all(evidence, 1.0)
    stand = ~run_attack(build_validity_batch(evidence), attack, ball).broken
    return rate(int(stand.sum()), len(stand), 0.01, "images stand though every image is allowed")


def converged(evidence: Evidence) -> CheckResult:
    """S15: compare with twice the steps, and measure the gain of the last steps.

    Gain is measured as in Pintor et al. 2022: by the best objective so far, as a share of the
    total gain since the first iterate; over the images that stand.
    """
    attack, ball = _adjustable(evidence)
    validity_batch = build_validity_batch(evidence)
    once, twice = (run_attack(validity_batch, a, ball) for a in (attack, attack.longer()))
    changed = int((once.broken != twice.broken).sum())
    result = rate(changed, len(once.broken), 0.01, "verdicts change with twice the steps")
    share = _late_gain(once)
    if share is None:
        return result.adding("no image stands that gained anything")
    result = result.adding(f"the last steps made {share:.1%} of the gain, at most 5 % allowed")
    return failed(result.evidence) if share >= 0.05 else result


def _late_gain(outcome: AttackOutcome) -> float | None:
    """Return the share of the gain that the last ten steps made, or half of them if fewer."""
    losses = outcome.attacked.losses[:, ~outcome.broken].double()
    if not losses.numel():
        return None
    best = losses.nan_to_num(nan=float("-inf")).cummax(dim=0).values
    last = min(10, (len(best) - 1) // 2)
    gained = float((best[-1] - best[0]).mean())
    if not gained > 0:
        return None
    return float((best[-1] - best[-1 - last]).mean()) / gained


def enough_restarts(evidence: Evidence) -> CheckResult:
    """S16: compare one start with five."""
    attack, ball = _adjustable(evidence)
    validity_batch = build_validity_batch(evidence)
    one, five = (run_attack(validity_batch, attack.with_restarts(n), ball).broken for n in (1, 5))
    return rate(int((one != five).sum()), len(one), 0.01, "verdicts change with 5 starts for 1")


def _adjustable(evidence: Evidence) -> tuple[Adjustable, Ball]:
    attack, (epsilon, stands) = attack_of(evidence), informative_epsilon(evidence)
    if not isinstance(attack, Adjustable):
        raise NotApplicableError(f"{attack.name} has no other number of steps and starts here")
    if not stands:
        raise NotApplicableError("no image of the probe stands at any budget above 0")
    return attack, ball_of(evidence, epsilon)


_BETWEEN = reading("correct_clean", "correct", also=iterating)
"""Measures whose rows record which images stand."""

CHECKS = (
    ValidityCheck(
        id="S11", name="a big budget breaks all",
        meaning="A ball that contains a grey image hides everything: a network that stands there "
        "stops the attack, and does not resist it.",
        source="Carlini et al. 2019, On Evaluating Adversarial Robustness, section 4",
        cost="thorough", guards=iterating, run=big_budget,
    ),
    ValidityCheck(
        id="S12", name="unbounded reaches everything",
        meaning="Where every image is allowed, an attack that fails is itself wrong.",
        source="Athalye et al. 2018, section 3.1; Pintor et al. 2022",
        cost="thorough", guards=iterating, run=unbounded,
    ),
    ValidityCheck(
        id="S15", name="converged",
        meaning="An attack that stops while its loss still rises reports too few.",
        source="Carlini et al. 2019, section 4; Pintor et al. 2022, section 3",
        cost="thorough", severity="warn", guards=_BETWEEN, run=converged,
    ),
    ValidityCheck(
        id="S16", name="enough restarts",
        meaning="Where more starts break more images, one start reports too few.",
        source="Carlini et al. 2019, On Evaluating Adversarial Robustness, section 4",
        cost="thorough", severity="warn", guards=_BETWEEN, run=enough_restarts,
    ),
    ValidityCheck(
        id="S21", name="a planted adversarial is found",
        meaning="An attack that misses an adversarial that certainly exists has not shown that "
        "there is none.",
        source="Zimmermann et al. 2022, Increasing Confidence in Adversarial Robustness "
        "Evaluations, section 4",
        cost="thorough", guards=iterating, run=finds_planted,
    ),
)  # fmt: skip
