"""The mean of differences on the same images: paired t, or a bootstrap where images are few."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_evals.core.errors import UserError
from vision_evals.measures.intervals import MIN_IMAGES_FOR_BOOTSTRAP, RESAMPLES, Interval, bootstrap

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_IMAGES_FOR_T = 200
"""Images from which the mean of their differences is normal enough for Student's t."""

RESAMPLES_PER_TAIL = 50
"""Resamples beyond each end of a percentile interval: gates that share an alpha have thin tails."""

MAX_RESAMPLES = 20_000
"""About 0.2 s of them; enough for an alpha of 0.0025, as of twenty gates that share 0.05."""


def t_interval(differences: NDArray[np.floating[Any]], confidence: float) -> Interval:
    """Student's interval of the mean of paired differences (n,), two-sided (Student 1908).

    Raises:
        ValueError: fewer than two differences have no spread.
    """
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        raise ValueError("a spread needs at least two differences")
    middle = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * error
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
        UserError: fewer than 10 images: any interval would be a guess.
    """
    n = len(differences)
    if n < MIN_IMAGES_FOR_BOOTSTRAP:
        images = "image says" if n == 1 else "images say"
        raise UserError(
            f"{n} {images} too little of a difference of means; "
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
    found = bootstrap(lambda x: float(x.mean()), (differences,), rng, confidence, resamples)
    return found, "bootstrap"
