"""A difference held against the margin that a gate allows."""

from __future__ import annotations

from typing import Literal

from vision_evals.log import Paired, Verdict
from vision_evals.verdict.paired.shares import mcnemar

BoundSide = Literal["at_least", "at_most"]


def p_value(found: Paired, side: BoundSide) -> float | None:
    """Return the exact one-sided p value that a share got worse for this side; null for means.

    Of ``at_least`` it is ``found.p_value``, that the share fell; of ``at_most`` that it rose.
    """
    if found.worse is None or found.better is None:
        return None
    if side == "at_least":
        return mcnemar(found.worse, found.better)
    return mcnemar(found.better, found.worse)


def decide(found: Paired, margin: float, side: BoundSide, alpha: float) -> Verdict:
    """Return the verdict of a gate.

    With a margin it is FAILED where the whole interval lies beyond the margin, PASSED where the
    whole interval lies within, INCONCLUSIVE where it lies across: each is wrong with probability
    alpha at most, were the truth right at the margin.

    At margin 0 nobody can show that two equal networks are equal, so the gate asks the other
    question, whether a drop was shown (a suite that adds ``confidence`` there is refused at
    collection). FAILED where one was: by exact McNemar, p <= alpha, of a share, and by the
    interval of a mean. Otherwise PASSED, except of a share of so few images that no outcome could
    have failed it, 0.5^n > alpha: then INCONCLUSIVE. An equal candidate fails with probability
    alpha at most; ``smallest_drop`` says what a pass is worth.

    Args:
        found: made at confidence 1 - 2 alpha.
        margin: the difference that just passes, in the metric's unit: -0.01 with ``at_least``
            allows a drop of one point.
        side: ``at_least`` where a drop is bad, ``at_most`` where a rise is.
        alpha: one-sided error, such as 0.05.

    Raises:
        ValueError: the interval was made for another alpha, and would decide for it.
    """
    if not 0 < alpha < 0.5 or abs(found.confidence - (1 - 2 * alpha)) > 1e-9:
        raise ValueError(f"an interval at {found.confidence} does not decide at alpha {alpha}")
    beyond = found.high < margin if side == "at_least" else found.low > margin
    within = found.low >= margin if side == "at_least" else found.high <= margin
    if margin == 0:
        p = p_value(found, side)
        if p is not None and undecidable(found.n, alpha):
            return Verdict.INCONCLUSIVE
        fell = beyond if p is None else p <= alpha
        return Verdict.FAILED if fell else Verdict.PASSED
    if within:
        return Verdict.PASSED
    return Verdict.FAILED if beyond else Verdict.INCONCLUSIVE


def undecidable(n: int, alpha: float) -> bool:
    """Whether exact McNemar could not reject even if all n images had got worse."""
    return 0.5**n > alpha
