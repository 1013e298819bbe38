"""From values of each image, before and now, to the record of their paired difference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_evals.core.errors import UserError
from vision_evals.log import Paired
from vision_evals.measures.intervals import MIN_IMAGES_FOR_BOOTSTRAP, RESAMPLES, Interval, bootstrap
from vision_evals.verdict.paired.shares import mcnemar, score_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MIN_IMAGES_FOR_T = 200
"""From this number of images on, the mean of differences is normal enough for Student's t."""

RESAMPLES_PER_TAIL = 50
"""Resamples beyond each end of a percentile interval, also for a small alpha."""

MAX_RESAMPLES = 20_000
"""About 0.2 s of them; enough for an alpha of 0.0025, as of twenty gates that share 0.05."""


def t_interval(differences: NDArray[np.floating[Any]], confidence: float) -> Interval:
    """Student's interval of the mean of paired differences (n,), two-sided (Student 1908).

    Raises:
        ValueError: fewer than two differences have no spread.
    """
    from scipy.special import stdtrit

    n = len(differences)
    if n < 2:
        raise ValueError("a spread needs at least two differences")
    middle = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * error
    return Interval(middle - half, middle + half)


def mean_interval(
    differences: NDArray[np.floating[Any]], rng: np.random.Generator, confidence: float
) -> tuple[Interval, str]:
    """Return the interval of the mean of paired differences (n,), and how it was made.

    ``paired t`` from 200 images, below it a seeded percentile ``bootstrap`` over images. Equal
    differences have an interval of width 0.

    Args:
        differences: now less before, one an image.
        rng: where the resamples come from.
        confidence: two-sided, such as 0.9.

    Raises:
        UserError: fewer than 10 images, too few for an interval.
    """
    n = len(differences)
    if n < MIN_IMAGES_FOR_BOOTSTRAP:
        images = "image is" if n == 1 else "images are"
        raise UserError(
            f"{n} {images} too few for a difference of means; "
            f"compare at least {MIN_IMAGES_FOR_BOOTSTRAP}"
        )
    if np.ptp(differences) == 0:
        only = float(differences[0])
        return Interval(only, only), "paired t" if n >= MIN_IMAGES_FOR_T else "bootstrap"
    if n >= MIN_IMAGES_FOR_T:
        return t_interval(differences, confidence), "paired t"
    resamples = min(
        MAX_RESAMPLES, max(RESAMPLES, round(RESAMPLES_PER_TAIL / ((1 - confidence) / 2)))
    )
    interval = bootstrap(np.mean, (differences,), rng, confidence, resamples)
    return interval, "bootstrap"


def paired(
    before: ArrayLike,
    now: ArrayLike,
    rng: np.random.Generator,
    confidence: float,
    span: float = math.inf,
) -> Paired:
    """Return the difference of a metric on the same images, with its interval.

    Booleans on both sides are a share: counts, Tango's score interval and exact McNemar. Other
    values are a mean of differences.

    Args:
        before: (n,) values of the network compared with.
        now: (n,) values of this one, of the same images in the same order.
        rng: for resamples, where images are few.
        confidence: two-sided; a gate with a one-sided error alpha takes 1 - 2 alpha.
        span: from the lowest value that an image can have to the highest.

    Raises:
        ValueError: the two are not of one length.
        UserError: no image, too few for a mean, or values that are not finite.
    """
    old, new = np.asarray(before), np.asarray(now)
    if old.shape != new.shape or old.ndim != 1:
        raise ValueError(f"pairs need two arrays of one length, not {old.shape} and {new.shape}")
    if not len(old):
        raise UserError("the two runs have no image in common; compare runs over the same images")
    if old.dtype == new.dtype == np.bool_:
        return _share(old, new, confidence)
    return _mean(old.astype(np.float64), new.astype(np.float64), rng, confidence, span)


def _share(before: NDArray[np.bool_], now: NDArray[np.bool_], confidence: float) -> Paired:
    n, worse, better = len(now), int((before & ~now).sum()), int((~before & now).sum())
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


def _mean(
    before: NDArray[np.float64],
    now: NDArray[np.float64],
    rng: np.random.Generator,
    confidence: float,
    span: float,
) -> Paired:
    infinite = int((~np.isfinite(before) | ~np.isfinite(now)).sum())
    if infinite:
        raise UserError(f"{infinite} of {len(now)} images have a value that is not finite")
    differences: NDArray[Any] = now - before
    (low, high), method = mean_interval(differences, rng, confidence)
    if math.isfinite(span) and np.count_nonzero(differences) < MIN_IMAGES_FOR_BOOTSTRAP:
        # few values changed, so the spread misses images outside the sample: rule of three
        unseen = -math.log((1 - confidence) / 2) / len(now) * span
        low, high = low - unseen, high + unseen
    return Paired(
        n=len(now),
        difference=float(differences.mean()),
        low=low,
        high=high,
        confidence=confidence,
        method=method,
    )
