"""The decision of a gate, how many images it needs, and which drop it would have shown."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import numpy as np

from vision_evals.log import Paired, Verdict
from vision_evals.verdict.paired.shares import mcnemar, null_variance

BoundSide = Literal["at_least", "at_most"]


def p_value(paired: Paired, side: BoundSide) -> float | None:
    """Return the exact one-sided p value that a share became worse for this side; None for means.

    Of ``at_least`` it is ``paired.p_value``, that the share fell; of ``at_most`` that it rose.
    """
    if paired.worse is None or paired.better is None:
        return None
    if side == "at_least":
        return mcnemar(paired.worse, paired.better)
    return mcnemar(paired.better, paired.worse)


def decide(paired: Paired, margin: float, side: BoundSide, alpha: float) -> Verdict:
    """Return the verdict of a gate.

    With a margin it is FAILED where the whole interval is beyond the margin, PASSED where the
    whole interval is within it, INCONCLUSIVE where the interval contains it. If the true
    difference is exactly the margin, each verdict is wrong with probability alpha at most.

    At margin 0 no data can show that two networks are equal, so the gate tests whether there is a
    drop (a suite that adds ``confidence`` there is refused at collection). FAILED where a drop is
    shown: for a share by exact McNemar, p <= alpha, and for a mean by its interval. Otherwise
    PASSED, except for a share of so few images that no outcome can fail, 0.5^n > alpha: then
    INCONCLUSIVE. An equal candidate fails with probability alpha at most; ``smallest_drop`` gives
    the drop that a pass excludes.

    Args:
        paired: made at confidence 1 - 2 alpha.
        margin: the difference that just passes, in the metric's unit: -0.01 with ``at_least``
            allows a drop of one point.
        side: ``at_least`` where a drop is bad, ``at_most`` where a rise is.
        alpha: one-sided error, such as 0.05.

    Raises:
        ValueError: the interval was made for another alpha, and would decide for it.
    """
    if not 0 < alpha < 0.5 or abs(paired.confidence - (1 - 2 * alpha)) > 1e-9:
        raise ValueError(f"an interval at {paired.confidence} does not decide at alpha {alpha}")
    beyond = paired.high < margin if side == "at_least" else paired.low > margin
    within = paired.low >= margin if side == "at_least" else paired.high <= margin
    if margin == 0:
        p = p_value(paired, side)
        if p is not None and undecidable(paired.n, alpha):
            return Verdict.INCONCLUSIVE
        dropped = beyond if p is None else p <= alpha
        return Verdict.FAILED if dropped else Verdict.PASSED
    if within:
        return Verdict.PASSED
    return Verdict.FAILED if beyond else Verdict.INCONCLUSIVE


def undecidable(n: int, alpha: float) -> bool:
    """Whether exact McNemar cannot reject even if all n images become worse."""
    return 0.5**n > alpha


def images_needed(
    paired: Paired, margin: float, side: BoundSide, alpha: float, power: float = 0.8
) -> int | None:
    """Return how many images in all let a good candidate pass with this power.

    It assumes that the discordance, or for a mean the variance, stays as measured. The measured
    difference is not used: it is the noisiest number, and a power at it would only repeat the
    verdict. Where the margin allows a drop, the candidate is assumed to be *equal*, with a true
    difference of 0. Where the margin requires a gain, an equal candidate cannot pass, so the
    measured difference is used; None where that does not reach the margin either.

    So in the first case the number may be no more than ``paired.n``: an equal candidate passes with
    these images already, and this one may not be equal.

    Args:
        paired: made at confidence 1 - 2 alpha.
        margin: the difference that just passes; at 0 a share needs so many images that some
            outcome can fail, and a mean is never inconclusive: None.
        side: ``at_least`` where a drop is bad, ``at_most`` where a rise is.
        alpha: one-sided error, such as 0.05.
        power: probability of passing.
    """
    share = paired.worse is not None and paired.better is not None
    if margin == 0:
        return next(n for n in range(1, 1100) if not undecidable(n, alpha)) if share else None
    sign = 1 if side == "at_least" else -1
    true = 0.0 if sign * margin < 0 else paired.difference
    distance = sign * (true - margin)
    if distance <= 0:
        return None
    if share and abs(margin) >= 1:
        return 1  # two shares cannot differ by more
    z_alpha, z_power = _z(alpha, power)
    if paired.worse is None or paired.better is None:
        spread = (z_alpha + z_power) * _standard_deviation(paired)
    else:
        changed = (paired.worse + paired.better) / paired.n
        worse, better = max(0.0, changed - true) / 2, max(0.0, changed + true) / 2
        spread = z_alpha * math.sqrt(null_variance(worse, better, margin))
        spread += z_power * math.sqrt(max(0.0, changed - true**2))
    return max(1, math.ceil((spread / distance) ** 2))


def smallest_drop(paired: Paired, alpha: float, power: float = 0.8) -> float | None:
    """Return the true drop that a gate at margin 0 catches with this power, at this n.

    A pass at margin 0 means only that no drop was shown; this is the drop that would have been. For
    a share it is the power of exact McNemar, averaged over the number of images that change, whose
    share is as measured (or the drop itself, where that is larger). For a mean it is the power of
    the interval. By symmetry it is also the smallest rise for ``at_most``.

    Args:
        paired: made at confidence 1 - 2 alpha.
        alpha: one-sided error, such as 0.05.
        power: probability of failing.

    Returns:
        In the metric's unit, positive; None where so few images catch no drop.
    """
    if paired.worse is None or paired.better is None:
        return sum(_z(alpha, power)) * _standard_deviation(paired) / math.sqrt(paired.n)
    changed = (paired.worse + paired.better) / paired.n
    if _caught(1.0, changed, paired.n, alpha) < power:
        return None
    missed, caught = 0.0, 1.0
    while caught - missed > 1e-6:
        middle = (missed + caught) / 2
        if _caught(middle, changed, paired.n, alpha) < power:
            missed = middle
        else:
            caught = middle
    return caught


def _caught(drop: float, changed: float, n: int, alpha: float) -> float:
    """Return the probability that exact McNemar shows a drop among n images."""
    from scipy.stats import binom

    changed = max(changed, drop)
    if changed == 0:
        return 0.0
    first, last = (int(binom.ppf(tail, n, changed)) for tail in (1e-9, 1 - 1e-9))
    counts = np.arange(first, last + 1)
    most = binom.isf(alpha, counts, 0.5)  # of this many changed images, this many may become worse
    shown = binom.sf(most, counts, (1 + drop / changed) / 2)
    return float((binom.pmf(counts, n, changed) * shown).sum())


def _standard_deviation(paired: Paired) -> float:
    """Return the deviation of one image's difference, from the width of the interval."""
    z = NormalDist().inv_cdf((1 + paired.confidence) / 2)
    return (paired.high - paired.low) / 2 * math.sqrt(paired.n) / z


def _z(alpha: float, power: float) -> tuple[float, float]:
    return NormalDist().inv_cdf(1 - alpha), NormalDist().inv_cdf(power)
