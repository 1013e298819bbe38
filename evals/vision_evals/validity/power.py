"""Validity checks that give an attack more: budget, steps, starts, a certain adversarial."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from vision_evals.attacks.attack import Attack
from vision_evals.attacks.balls import Ball
from vision_evals.core.errors import NotApplicableError
from vision_evals.validity import planted
from vision_evals.validity.batch import (
    AttackOutcome,
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


@runtime_checkable
class Adjustable(Attack, Protocol):
    """An attack of which there can be more."""

    def longer(self) -> Attack:
        """Return the same attack with twice the steps."""
        ...

    def with_restarts(self, n: int) -> Attack:
        """Return the same attack with n starts."""
        ...


def big_budget(evidence: Evidence) -> CheckResult:
    """S11: within half of the scale lies a grey image, the same for all."""
    attack, ball = iterated_of(evidence), ball_of_all(evidence, 0.5)
    validity_batch, n = build_validity_batch(evidence), len(evidence.probe.ids)
    stand = int((~run_attack(validity_batch, attack, ball).broken).sum())
    right = (validity_batch.criterion.accepted >= 0).sum(dim=1).double().mean()
    chance = float(right) / len(evidence.classifier.classes)
    found = rate(stand, n, chance, "images stand")
    return found._replace(evidence=f"{found.evidence}; {ball.norm} within {ball.epsilon:.3g}")


def unbounded(evidence: Evidence) -> CheckResult:
    """S12: the ball holds every image there is, so those of other classes too.

    The rate that must remain is 0, and an attack may still end on a plateau by bad luck: one
    survivor among few says nothing of its rate, and is shown as such; several fall.
    """
    attack, ball = iterated_of(evidence), ball_of_all(evidence, 1.0)
    stand = ~run_attack(build_validity_batch(evidence), attack, ball).broken
    return rate(int(stand.sum()), len(stand), 0.01, "images stand though every image is allowed")


def converged(evidence: Evidence) -> CheckResult:
    """S15: twice the steps, and what the last ones gained.

    Gain is measured as in Pintor et al. 2022: by the best objective so far, as a share of all
    that was gained from the first iterate on; over the images that stand.
    """
    attack, ball = _adjustable(evidence)
    validity_batch = build_validity_batch(evidence)
    once, twice = (
        run_attack(validity_batch, attack, ball),
        run_attack(validity_batch, attack.longer(), ball),
    )
    changed = int((once.broken != twice.broken).sum())
    found = rate(changed, len(once.broken), 0.01, "verdicts change with twice the steps")
    share = _late_gain(once)
    if share is None:
        return found._replace(evidence=f"{found.evidence}; no image stands that gained anything")
    said = f"{found.evidence}; the last steps made {share:.1%} of the gain, at most 5 % allowed"
    if share >= 0.05:
        return failed(said)
    return found._replace(evidence=said)


def _late_gain(struck: AttackOutcome) -> float | None:
    """Return the share of the gain that the last ten steps made, or half of them if fewer."""
    losses = struck.attacked.losses[:, ~struck.broken].double()
    if not losses.numel():
        return None
    best = losses.nan_to_num(nan=float("-inf")).cummax(dim=0).values
    last = min(10, (len(best) - 1) // 2)
    gained = float((best[-1] - best[0]).mean())
    if not gained > 0:
        return None
    return float((best[-1] - best[-1 - last]).mean()) / gained


def enough_restarts(evidence: Evidence) -> CheckResult:
    """S16: one start against five."""
    attack, ball = _adjustable(evidence)
    validity_batch = build_validity_batch(evidence)
    one, five = (run_attack(validity_batch, attack.with_restarts(n), ball).broken for n in (1, 5))
    return rate(int((one != five).sum()), len(one), 0.01, "verdicts change with 5 starts for 1")


def _adjustable(evidence: Evidence) -> tuple[Adjustable, Ball]:
    attack, (epsilon, stands) = attack_of(evidence), informative_epsilon(evidence)
    if not isinstance(attack, Adjustable):
        raise NotApplicableError(f"{attack.name} knows no other number of steps and starts here")
    if not stands:
        raise NotApplicableError("no image that was looked at stands at any budget above 0")
    return attack, ball_of(evidence, epsilon)


_BETWEEN = reading("correct_clean", "correct", also=iterating)
"""They look where some images stand."""

CHECKS = (
    ValidityCheck(
        id="S11", name="a big budget breaks all",
        meaning="A ball that holds a grey image leaves nothing to see: who stands there has "
        "stopped the attack, not resisted it.",
        source="Carlini et al. 2019, On Evaluating Adversarial Robustness, section 4",
        cost="thorough", guards=iterating, run=big_budget,
    ),
    ValidityCheck(
        id="S12", name="unbounded reaches everything",
        meaning="Where every image is allowed, an attack that fails has failed by itself.",
        source="Athalye et al. 2018, section 3.1; Pintor et al. 2022",
        cost="thorough", guards=iterating, run=unbounded,
    ),
    ValidityCheck(
        id="S15", name="converged",
        meaning="An attack that is still climbing when it stops reports too few.",
        source="Carlini et al. 2019, section 4; Pintor et al. 2022, section 3",
        cost="thorough", severity="warn", guards=_BETWEEN, run=converged,
    ),
    ValidityCheck(
        id="S16", name="enough restarts",
        meaning="Where more starts break more images, one start reports too few.",
        source="Carlini et al. 2019, On Evaluating Adversarial Robustness, section 4",
        cost="thorough", severity="warn", guards=_BETWEEN, run=enough_restarts,
    ),
    planted.CHECK,
)  # fmt: skip
"""Those that are meant to make an attack succeed."""
