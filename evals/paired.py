"""Two networks on the same images: the difference, its interval, and what a gate makes of it.

Everywhere the difference is *now less before*: of shares (better - worse) / n, of means the mean of
the images' own differences.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from evals.log import Paired, Verdict
from evals.statistics import Interval, bootstrap

if TYPE_CHECKING:
    from numpy.typing import NDArray

MANY = 200
"""Images from which on the mean of differences is as good as normal: a t interval then."""

FEWEST = 10
"""Images below which nothing is said of a mean."""

POWER = 0.8
"""What a gate that is said to be large enough finds: eight in ten."""


def score_interval(worse: int, better: int, n: int, confidence: float) -> Interval:
    """Tango's score interval for the difference of paired shares (Tango 1998, eq. 10 to 14).

    All differences that the score test does not reject. At 0 that test is McNemar's.

    Args:
        worse: images right before and wrong now.
        better: images wrong before and right now.
        n: all images.
        confidence: two-sided.

    Raises:
        ValueError: n is below 1, or more images flipped than there are.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    if n < 1 or min(worse, better) < 0 or worse + better > n:
        raise ValueError(f"{worse} worse and {better} better of {n} images")
    z, found = float(norm.ppf((1 + confidence) / 2)), (better - worse) / n

    def end(at: float, sign: int) -> float:
        if sign * score(worse, better, n, at) >= -z:
            return at
        return float(brentq(lambda d: score(worse, better, n, d) + sign * z, found, at, xtol=1e-14))

    return Interval(end(-1.0, -1), end(1.0, 1))


def score(worse: int, better: int, n: int, difference: float) -> float:
    """Return the score statistic of a difference: standard normal where it is the true one."""
    gap = better - worse - n * difference
    b = (2 * n - better + worse) * difference - better - worse
    c = -worse * difference * (1 - difference)
    # restricted maximum likelihood of the share that got worse, given the difference
    q = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * q + difference * (1 - difference))
    if variance <= 0 or abs(gap) < 1e-12:
        return math.copysign(math.inf, gap) if abs(gap) >= 1e-12 else 0.0
    return gap / math.sqrt(variance)


def mcnemar(worse: int, better: int) -> float:
    """Return the exact one-sided p value of McNemar's test (1947) that more got worse than better.

    Half of the images that flipped would have got worse by chance.
    """
    from scipy.stats import binom

    return float(binom.sf(worse - 1, worse + better, 0.5))


def paired(
    before: NDArray[Any], now: NDArray[Any], rng: np.random.Generator, confidence: float
) -> Paired | None:
    """Return the difference on the same images; None where they are too few to say anything.

    Args:
        before: (n,) of each image; booleans of a share.
        now: (n,) of the same images.
        rng: where a bootstrap's draws come from.
        confidence: two-sided.
    """
    n = len(before)
    if before.dtype == now.dtype == np.bool_:
        worse, better = int((before & ~now).sum()), int((now & ~before).sum())
        low, high = score_interval(worse, better, n, confidence)
        return Paired(
            n=n,
            difference=(better - worse) / n,
            low=low,
            high=high,
            confidence=confidence,
            method="score",
            worse=worse,
            better=better,
            p_value=mcnemar(worse, better),
        )
    if n < FEWEST:
        return None
    differences = now.astype(np.float64) - before.astype(np.float64)
    (low, high), method = mean_interval(differences, rng, confidence)
    return Paired(
        n=n,
        difference=float(differences.mean()),
        low=low,
        high=high,
        confidence=confidence,
        method=method,
    )


def mean_interval(
    differences: NDArray[np.float64], rng: np.random.Generator, confidence: float
) -> tuple[Interval, str]:
    """Return an interval of a mean of differences, and how it was made.

    A paired t interval from 200 images on, a percentile bootstrap (Efron 1979) below.
    """
    from scipy.stats import t

    n = len(differences)
    if n < MANY:
        return bootstrap(np.mean, (differences,), rng, confidence), "bootstrap"
    half = float(t.ppf((1 + confidence) / 2, n - 1) * differences.std(ddof=1) / math.sqrt(n))
    middle = float(differences.mean())
    return Interval(middle - half, middle + half), "paired t"


def decide(
    found: Paired, margin: float, side: Literal["at_least", "at_most"], alpha: float
) -> Verdict:
    """Return what a gate makes of a difference.

    FAILED where the interval lies beyond the margin, PASSED where within, else INCONCLUSIVE.
    Without a margin it is a test for any loss: of a share, exact McNemar decides whether it
    FAILED, and else it PASSED, unless so few images could never have failed it.

    Args:
        found: at the confidence 1 - 2 alpha.
        margin: the difference that just passes.
        side: which way the bound holds.
        alpha: one-sided, of failing a network that lies on the margin.
    """
    low, high, margin = _upright(found, margin, side)
    if margin == 0 and found.worse is not None and found.better is not None:
        if 0.5**found.n > alpha:
            return Verdict.INCONCLUSIVE
        flips = (found.worse, found.better) if side == "at_least" else (found.better, found.worse)
        return Verdict.FAILED if mcnemar(*flips) <= alpha else Verdict.PASSED
    if high < margin:
        return Verdict.FAILED
    return Verdict.PASSED if low >= margin or margin == 0 else Verdict.INCONCLUSIVE


def images_needed(
    found: Paired,
    margin: float,
    side: Literal["at_least", "at_most"],
    alpha: float,
    power: float = POWER,
) -> int | None:
    """Return how many images in all would let a gate pass a good network, eight times in ten.

    A network is good that lost nothing where the margin allows a loss, and as good as it was found
    to be where the margin asks for a gain. Flips stay as frequent, or values as scattered, as they
    were found. None where no number of images would do: the network found lies beyond the margin.
    """
    from scipy.stats import norm

    sign = 1 if side == "at_least" else -1
    upright = sign * margin
    good = 0.0 if upright < 0 else sign * found.difference
    gap = good - upright
    if gap <= 0:
        return None
    z = float(norm.ppf(1 - alpha))
    total = (z + float(norm.ppf(power))) ** 2 * _variance(found) / gap**2
    # without a single flip Tango's interval still reaches as far as z^2 / (n + z^2)
    floor = z**2 * (1 - gap) / gap if found.worse is not None else 0.0
    return math.ceil(max(total, floor))


def smallest_drop(found: Paired, alpha: float, power: float = POWER) -> float:
    """Return the loss that a gate without a margin would have failed, eight times in ten."""
    from scipy.stats import norm

    z = float(norm.ppf(1 - alpha) + norm.ppf(power))
    drop = z * math.sqrt(_variance(found) / found.n)
    if found.worse is None:
        return drop
    fewest = math.ceil(-math.log2(alpha))  # so many flips, all for the worse, fail the exact test
    return max(drop, fewest / found.n)


def _upright(
    found: Paired, margin: float, side: Literal["at_least", "at_most"]
) -> tuple[float, float, float]:
    """Return low, high and margin as if more were better."""
    if side == "at_least":
        return found.low, found.high, margin
    return -found.high, -found.low, -margin


def _variance(found: Paired) -> float:
    """Return the variance of one image's difference."""
    from scipy.stats import norm, t

    if found.worse is not None and found.better is not None:
        return (found.worse + found.better) / found.n
    tail = (1 + found.confidence) / 2
    z = float(t.ppf(tail, found.n - 1) if found.method == "paired t" else norm.ppf(tail))
    return ((found.high - found.low) / (2 * z)) ** 2 * found.n
