"""The decision of a gate, how many images it needs, and which drop it would have shown."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import numpy as np

from vision_evals.log import Paired, Verdict
from vision_evals.verdict.paired.shares import mcnemar, null_variance

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


def images_needed(
    found: Paired, margin: float, side: BoundSide, alpha: float, power: float = 0.8
) -> int | None:
    """Return how many images in all let a good candidate pass with this power.

    Discordance, or of a mean the variance, is taken to stay what was found. The difference is
    not: it is the noisiest number there, and a power at it would only repeat the verdict. Where
    the margin allows a drop the candidate is taken to be *equal*, true difference 0, as most are
    for which a gate is planned. Where the margin asks for a gain an equal candidate can never
    pass, and the difference found stands in; None where that does not reach the margin either.

    The number depends on the difference found only then, so it may be no more than ``found.n``:
    an equal candidate would have passed with these images already, and this one may not be equal.

    Args:
        found: made at confidence 1 - 2 alpha.
        margin: the difference that just passes; at 0 a share needs so many images that some
            outcome could fail, and a mean is never inconclusive: None.
        side: ``at_least`` where a drop is bad, ``at_most`` where a rise is.
        alpha: one-sided error, such as 0.05.
        power: probability of passing.
    """
    share = found.worse is not None and found.better is not None
    if margin == 0:
        return next(n for n in range(1, 1100) if not undecidable(n, alpha)) if share else None
    sign = 1 if side == "at_least" else -1
    true = 0.0 if sign * margin < 0 else found.difference
    room = sign * (true - margin)
    if room <= 0:
        return None
    if share and abs(margin) >= 1:
        return 1  # no two shares lie further apart
    z_alpha, z_power = _z(alpha, power)
    if found.worse is None or found.better is None:
        spread = (z_alpha + z_power) * _standard_deviation(found)
    else:
        changed = (found.worse + found.better) / found.n
        worse, better = max(0.0, changed - true) / 2, max(0.0, changed + true) / 2
        spread = z_alpha * math.sqrt(null_variance(worse, better, margin))
        spread += z_power * math.sqrt(max(0.0, changed - true**2))
    return max(1, math.ceil((spread / room) ** 2))


def smallest_drop(found: Paired, alpha: float, power: float = 0.8) -> float | None:
    """Return the true drop that a gate at margin 0 catches with this power, at this n.

    A pass at margin 0 says only that no drop was shown: this is how large one had to be to show.
    Of a share it is that of exact McNemar, over all numbers of images that might have changed,
    their share being what was found (or the drop itself, where that is larger). Of a mean it is
    that of the interval. By symmetry it is the smallest rise for ``at_most``, too.

    Args:
        found: made at confidence 1 - 2 alpha.
        alpha: one-sided error, such as 0.05.
        power: probability of failing.

    Returns:
        In the metric's unit, positive; None where so few images catch no drop.
    """
    if found.worse is None or found.better is None:
        return sum(_z(alpha, power)) * _standard_deviation(found) / math.sqrt(found.n)
    changed = (found.worse + found.better) / found.n
    if _caught(1.0, changed, found.n, alpha) < power:
        return None
    missed, caught = 0.0, 1.0
    while caught - missed > 1e-6:
        middle = (missed + caught) / 2
        if _caught(middle, changed, found.n, alpha) < power:
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
    most = binom.isf(alpha, counts, 0.5)  # of so many that changed, so many may get worse
    shown = binom.sf(most, counts, (1 + drop / changed) / 2)
    return float((binom.pmf(counts, n, changed) * shown).sum())


def _standard_deviation(found: Paired) -> float:
    """Return that of one image's difference, by the width of the interval of their mean."""
    z = NormalDist().inv_cdf((1 + found.confidence) / 2)
    return (found.high - found.low) / 2 * math.sqrt(found.n) / z


def _z(alpha: float, power: float) -> tuple[float, float]:
    return NormalDist().inv_cdf(1 - alpha), NormalDist().inv_cdf(power)
