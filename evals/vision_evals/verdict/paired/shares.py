"""The difference of two shares of the same images: score test, its inversion, exact McNemar."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

from vision_evals.measures.binomial import at_least
from vision_evals.measures.intervals import Interval

BISECTIONS = 64
"""Of a bracket of width 2 or less: its final width is below 1e-18."""


def null_variance(worse: float, better: float, margin: float) -> float:
    """Return the variance of one image's difference if the true difference is ``margin``.

    The shares of changed images are then not the measured ones but the likeliest ones that differ
    by ``margin`` (Tango 1998, section 3): a root of 2 q^2 + B q + C, in closed form.

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
    # of the two forms, the one without cancellation
    likeliest = -2 * c / (root + b) if b > 0 else (root - b) / 4
    return 2 * likeliest + margin * (1 - margin)


def score_interval(worse: int, better: int, n: int, confidence: float) -> Interval:
    """Score interval of a difference of paired shares (Tango 1998), now less before.

    It contains every difference that the two-sided score test does not reject. It stays in
    [-1, 1], and has a width even where no image changed.

    Args:
        worse: images right before and wrong now.
        better: images wrong before and right now.
        n: images of both networks.
        confidence: two-sided, such as 0.9.

    Raises:
        ValueError: n is 0, or the counts do not fit into it.
    """
    _require_counts(worse, better, n)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    before, now = worse / n, better / n
    difference = now - before

    def accepted(margin: float) -> bool:
        return n * (difference - margin) ** 2 <= z * z * null_variance(before, now, margin)

    return Interval(
        _interval_end(accepted, difference, -1.0), _interval_end(accepted, difference, 1.0)
    )


def mcnemar(worse: int, better: int) -> float:
    """Exact one-sided p value that a share became worse (McNemar 1947): 1 where no image changed.

    The probability of so many worse ones, or more, if half of the changed images become worse.
    """
    _require_counts(worse, better, max(1, worse + better))
    return at_least(worse, worse + better)


def _interval_end(accepted: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return where ``accepted`` ends, between an accepted point and the end of the scale."""
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
