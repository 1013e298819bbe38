"""The few images that validity checks attack, and the attack of the measure on them."""

from __future__ import annotations

from typing import NamedTuple

import torch

from vision_evals.attacks.attack import Attack, Attacked, Draws, Victim
from vision_evals.attacks.balls import BALLS, Ball
from vision_evals.attacks.criteria import Criterion, Misclassification
from vision_evals.core.errors import NotApplicableError
from vision_evals.measures.epsilons import value
from vision_evals.validity.check import Evidence
from vision_evals.validity.rows import budgets
from vision_evals.validity.slopes import require_two_classes


class ValidityBatch(NamedTuple):
    """Images to attack: n of them, all classified correctly when clean."""

    victim: Victim
    pixels: torch.Tensor
    criterion: Misclassification
    draws: Draws

    def of(self, rows: torch.Tensor) -> ValidityBatch:
        """Return some of the images, by indices."""
        return ValidityBatch(
            self.victim, self.pixels[rows], self.criterion.of(rows), self.draws.of(rows.tolist())
        )

    def first(self, n: int) -> ValidityBatch:
        """Return the first n images, or all if there are fewer."""
        return self.of(torch.arange(min(n, len(self.pixels)), device=self.pixels.device))


class AttackOutcome(NamedTuple):
    """What an attack did to a validity batch."""

    attacked: Attacked
    broken: torch.Tensor
    """(n,) decided outside the attack: projected, and run through the network again."""


def attack_of(evidence: Evidence) -> Attack:
    """Return the measure's attack."""
    assert evidence.measure.attack is not None, "checks of attacks guard measures that attack"
    return evidence.measure.attack(evidence.parameters)


def iterated_of(evidence: Evidence) -> Attack:
    """Return the measure's attack.

    Raises:
        NotApplicableError: it takes one step.
    """
    attack = attack_of(evidence)
    if not attack.iterated:
        raise NotApplicableError(f"{attack.name} takes one step, which need not succeed")
    return attack


def build_validity_batch(evidence: Evidence) -> ValidityBatch:
    """Return the images that are classified correctly; without labels, every answer is correct.

    Raises:
        NotApplicableError: there is none.
    """
    probe = evidence.probe
    require_two_classes(evidence)
    with torch.no_grad():
        logits = evidence.classifier.logits(probe.pixels)
    label = logits.argmax(dim=1) if probe.answers is None else probe.answers.label
    accepted = label[:, None] if probe.answers is None else probe.answers.accepted
    criterion = Misclassification(label, accepted)
    right = torch.nonzero(~criterion.met(logits))[:, 0]
    if not len(right):
        raise NotApplicableError("none of the images is classified correctly when clean")
    draws = Draws(probe.seed, probe.ids)
    return ValidityBatch(evidence.classifier, probe.pixels, criterion, draws).of(right)


def ball_of(evidence: Evidence, epsilon: float) -> Ball:
    """Return a ball of the measure's norm."""
    return BALLS[getattr(evidence.parameters, "norm", "linf")](epsilon)


def ball_of_all(evidence: Evidence, share: float) -> Ball:
    """Return a ball in which all pixel values may move by a share of the scale together."""
    ball = ball_of(evidence, 0.0)
    still = torch.zeros_like(evidence.probe.pixels[:1], dtype=torch.float64)
    return type(ball)(float(ball.distance(still + share, still)))  # type: ignore[call-arg]


def informative_epsilon(evidence: Evidence) -> tuple[float, bool]:
    """Return the most informative budget, and whether an image of the probe stands at it.

    Of the budgets at which an image stands, that whose share of standing images is nearest to one
    half; the smallest above 0 where none stands, or where the rows do not record it.

    Raises:
        NotApplicableError: no budget is above 0.
    """
    rows, axis = evidence.rows, evidence.measure.axis
    assert axis is not None, "a measure that attacks has budgets"
    sizes = [size for size in budgets(rows, axis[0]) if value(size) > 0]
    if not sizes:
        raise NotApplicableError("no budget is above 0")
    if not {"correct", "correct_clean"} <= set(rows):
        return value(sizes[0]), True
    mine = rows[rows["image"].isin(evidence.probe.ids) & rows["correct_clean"].astype(bool)]
    shares = {size: float(mine["correct"][mine[axis[0]] == size].mean()) for size in sizes}
    standing = [size for size in sizes if shares[size] > 0]
    if not standing:
        return value(sizes[0]), False
    return value(min(standing, key=lambda size: abs(shares[size] - 0.5))), True


def run_attack(
    validity_batch: ValidityBatch, attack: Attack, ball: Ball, criterion: Criterion | None = None
) -> AttackOutcome:
    """Run an attack; an image is broken where it is misclassified afterwards, tested here.

    Args:
        validity_batch: the images.
        attack: the attack.
        ball: how far it may move pixels.
        criterion: goal of the attack, if not misclassification.
    """
    aim = validity_batch.criterion if criterion is None else criterion
    attacked = attack(validity_batch.victim, validity_batch.pixels, aim, ball, validity_batch.draws)
    with torch.no_grad():
        logits = validity_batch.victim.logits(ball.project(attacked.pixels, validity_batch.pixels))
    return AttackOutcome(attacked, validity_batch.criterion.met(logits))
