"""Confidence intervals, and random generators that do not depend on the order of the tests."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


CONFIDENCE = 0.95
"""Of intervals where the user names no other."""

RESAMPLES = 1000
"""How often a bootstrap resamples."""

MIN_IMAGES_FOR_BOOTSTRAP = 10
"""With fewer images there is no interval: a percentile interval of 90 % over two images holds the
true value in only half of all cases."""


ROWWISE: tuple[Callable[..., Any], ...] = (np.mean, np.median)
"""Statistics of one column that take many resamples at once, as the rows of a matrix."""

MAX_DRAWS_AT_ONCE = 1_000_000
"""Numbers in such a matrix."""


class Interval(NamedTuple):
    """A two-sided interval."""

    low: float
    high: float


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return the generator of (seed, names): earlier draws elsewhere do not change it."""
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval for a fraction (Wilson 1927; Brown, Cai & DasGupta 2001).

    Raises:
        ValueError: n is 0, or successes lie outside 0..n.
    """
    if n < 1:
        raise ValueError("an interval needs at least one observation")
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes do not fit into {n} observations")
    share, z = successes / n, two_sided(confidence)
    scale = 2 * (n + z**2)
    centre = (2 * n * share + z**2) / scale
    half = z / scale * math.sqrt(4 * n * share * (1 - share) + z**2)
    # exact at both ends, where centre and half are equal but for rounding
    return Interval(centre - half if successes else 0.0, centre + half if successes < n else 1.0)


def wilson_images_needed(value: float, threshold: float, confidence: float) -> int | None:
    """Return the n at which Wilson's interval around ``value`` no longer contains ``threshold``.

    The interval is the inverted score test, so n = z^2 t (1 - t) / (value - t)^2. None where
    they are equal, or where the threshold is 0 or 1.
    """
    squared_distance = (value - threshold) ** 2  # 0 also where it is too small for a float
    if squared_distance == 0 or not 0 < threshold < 1:
        return None
    z = two_sided(confidence)
    return math.floor(z**2 * threshold * (1 - threshold) / squared_distance) + 1


def two_sided(confidence: float) -> float:
    """Return the normal deviate z with this share of all values between -z and z."""
    from scipy.special import ndtri  # scipy.stats takes a second to import

    return float(ndtri(0.5 + 0.5 * confidence))


def bootstrap(
    statistic: Callable[..., float],
    columns: tuple[NDArray[Any], ...],
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    *,
    paired: bool = True,
) -> Interval:
    """Percentile bootstrap over images (Efron 1979).

    Args:
        statistic: takes the columns, each (n,), and returns the number.
        columns: what is resampled.
        rng: where the random rows come from.
        confidence: two-sided.
        resamples: how often n rows are drawn.
        paired: whether the columns belong to the same images, so that each row is drawn whole.
            Otherwise they are independent samples, each of its own size.
    """
    tail = (1 - confidence) / 2
    estimates = (_rowwise if statistic in ROWWISE else _one_by_one)(
        statistic, columns, rng, resamples, paired=paired
    )
    low, high = np.quantile(list(estimates), [tail, 1 - tail])
    return Interval(float(low), float(high))


def _one_by_one(
    statistic: Callable[..., float],
    columns: tuple[NDArray[Any], ...],
    rng: np.random.Generator,
    resamples: int,
    *,
    paired: bool,
) -> Iterator[float]:
    def draw(column: NDArray[Any]) -> NDArray[np.int64]:
        return rng.integers(0, len(column), len(column))

    for _ in range(resamples):
        if paired:
            rows = draw(columns[0])
            yield statistic(*(column[rows] for column in columns))
        else:
            yield statistic(*(column[draw(column)] for column in columns))


def _rowwise(
    statistic: Callable[..., float],
    columns: tuple[NDArray[Any], ...],
    rng: np.random.Generator,
    resamples: int,
    *,
    paired: bool,
) -> Iterator[float]:
    """Yield the same numbers as one by one, bit for bit, from the same draws."""
    del paired  # of one column
    (column,) = columns
    step = max(1, MAX_DRAWS_AT_ONCE // len(column))
    for start in range(0, resamples, step):
        shape = min(step, resamples - start), len(column)
        yield from np.asarray(statistic(column[rng.integers(0, len(column), shape)], axis=1))
