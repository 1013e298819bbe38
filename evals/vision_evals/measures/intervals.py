"""Intervals, and generators that no test order can change."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


CONFIDENCE = 0.95
"""Of intervals that nobody asks otherwise for."""

RESAMPLES = 1000
"""Draws of a bootstrap."""

MIN_IMAGES_FOR_BOOTSTRAP = 10
"""With fewer there is no interval: of two images a percentile interval of 90 % would hold the truth
in half of all cases."""


class Interval(NamedTuple):
    """A two-sided interval."""

    low: float
    high: float


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return the generator of (seed, names): the same whatever else was drawn before."""
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval for a fraction (Wilson 1927; Brown, Cai & DasGupta 2001).

    Raises:
        ValueError: n is 0, or successes lie outside 0..n.
    """
    from scipy.stats import binomtest

    if n < 1:
        raise ValueError("an interval needs at least one observation")
    interval = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Interval(float(interval.low), float(interval.high))


def wilson_images_needed(value: float, threshold: float, confidence: float) -> int | None:
    """Return the n at which Wilson's interval around ``value`` no longer holds ``threshold``.

    The interval is the inverted score test, so n = z^2 t (1 - t) / (value - t)^2. None when
    they are equal, or when the threshold leaves no doubt to resolve.
    """
    from scipy.stats import norm

    if value == threshold or not 0 < threshold < 1:
        return None
    z = float(norm.ppf((1 + confidence) / 2))
    return math.floor(z**2 * threshold * (1 - threshold) / (value - threshold) ** 2) + 1


def bootstrap(
    statistic: Callable[..., float],
    columns: tuple[NDArray[np.floating], ...],
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Percentile bootstrap over images (Efron 1979): rows are drawn whole, columns stay paired.

    Args:
        statistic: takes the columns, each (n,), and returns the number.
        columns: what is resampled.
        rng: where the draws come from.
        confidence: two-sided.
        resamples: how many draws of n rows.
    """
    n = len(columns[0])
    draws = [
        statistic(*(column[rows] for column in columns))
        for rows in (rng.integers(0, n, n) for _ in range(resamples))
    ]
    return _percentiles(draws, confidence)


def bootstrap_apart(
    statistic: Callable[..., float],
    samples: tuple[NDArray[np.floating], ...],
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Percentile bootstrap of independent samples, each drawn on its own.

    Args:
        statistic: takes the samples, each of its own size, and returns the number.
        samples: what is resampled.
        rng: where the draws come from.
        confidence: two-sided.
        resamples: how many draws.
    """
    draws = [
        statistic(*(sample[rng.integers(0, len(sample), len(sample))] for sample in samples))
        for _ in range(resamples)
    ]
    return _percentiles(draws, confidence)


def _percentiles(draws: list[float], confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(float(low), float(high))
