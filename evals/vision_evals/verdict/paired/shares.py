"""The difference of two shares of the same images: score test, its inversion, exact McNemar."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

from vision_evals.measures.intervals import Interval

BISECTIONS = 64
"""Of a bracket no wider than 2: its width ends below 1e-18."""


def null_variance(worse: float, better: float, margin: float) -> float:
    """Return the variance of one image's difference, were the true difference ``margin``.

    The shares of images that changed are then not those found but the likeliest that lie
    ``margin`` apart (Tango 1998, section 3): a root of 2 q^2 + B q + C, in closed form.

    Args:
        worse: share of images right before and wrong now.
        better: share of images wrong before and right now.
        margin: true difference, now less before, in [-1, 1].
    """
    if margin < 0:
        return null_variance(better, worse, -margin)
    b = (2 - better + worse) * margin - worse - better
    c = -worse * margin * (1 - margin)
    root = math.sqrt(b * b - 8 * c)
    # of the two forms the one that subtracts nothing nearly equal
    likeliest = -2 * c / (root + b) if b > 0 else (root - b) / 4
    return 2 * likeliest + margin * (1 - margin)


def score_statistic(worse: int, better: int, n: int, margin: float) -> float:
    """Return Tango's statistic: standard normal were the true difference ``margin``.

    Positive where the difference found, (better - worse) / n, lies above it. At margin 0 it is
    McNemar's (better - worse) / sqrt(better + worse).
    """
    _require_counts(worse, better, n)
    away = (better - worse) / n - margin
    spread = math.sqrt(null_variance(worse / n, better / n, margin) / n)
    if spread == 0:
        return 0.0 if away == 0 else math.copysign(math.inf, away)
    return away / spread


def score_interval(worse: int, better: int, n: int, confidence: float) -> Interval:
    """Score interval of a difference of paired shares (Tango 1998), now less before.

    Holds every difference that the two-sided score test would not reject. It stays inside
    [-1, 1], and has a width even where no image changed.

    Args:
        worse: images right before and wrong now.
        better: images wrong before and right now.
        n: images that both saw.
        confidence: two-sided, such as 0.9.

    Raises:
        ValueError: n is 0, or the counts do not fit into it.
    """
    _require_counts(worse, better, n)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    before, now = worse / n, better / n
    found = now - before

    def accepted(margin: float) -> bool:
        return n * (found - margin) ** 2 <= z * z * null_variance(before, now, margin)

    return Interval(_interval_end(accepted, found, -1.0), _interval_end(accepted, found, 1.0))


def mcnemar(worse: int, better: int) -> float:
    """Exact one-sided p value that it got worse (McNemar 1947): 1 where no image changed.

    Of the images that changed, were neither network the better, half would have got worse: how
    likely are so many, or more?
    """
    from scipy.stats import binom

    _require_counts(worse, better, max(1, worse + better))
    return float(binom.sf(worse - 1, worse + better, 0.5)) if worse else 1.0


def _interval_end(accepted: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return where ``held`` ends between a point that it holds and the end of the scale."""
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        if accepted(middle):
            inside = middle
        else:
            outside = middle
    return outside


def _require_counts(worse: int, better: int, n: int) -> None:
    if n < 1:
        raise ValueError("a difference needs at least one image")
    if min(worse, better) < 0 or worse + better > n:
        raise ValueError(f"{worse} worse and {better} better do not fit into {n} images")
