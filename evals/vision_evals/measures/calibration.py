"""Expected calibration error: debiased, with an interval whose coverage is shown by simulation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vision_evals.measures.intervals import (
    CONFIDENCE,
    MAX_DRAWS_AT_ONCE,
    RESAMPLES,
    Interval,
    two_sided,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]

MANY_IMAGES = 500
"""From this many images on there are 15 bins, before 10."""

MIN_IMAGES_FOR_INTERVAL = 100
"""With fewer images a bin holds fewer than ten: the coverage of the interval is not known."""

SPLITS = 9
"""Random halves of the images for the lower end of the interval; their median is taken."""


class Binned(NamedTuple):
    """Images in bins of their confidence; the last axis of each array is the bin, none is empty."""

    sizes: Numbers
    """Number of images."""
    gaps: Numbers
    """Sum of confidence less correctness."""
    right: Numbers
    """Number of correct answers."""


def bin_numbers(confidence: Numbers) -> NDArray[np.int64]:
    """Return (n,) the bin of each image, from 0: 10 or 15 bins that hold equally many images.

    Equal confidences share a bin, so the order of images changes nothing, and a bin may be empty.
    """
    n = len(confidence)
    bins = 15 if n >= MANY_IMAGES else 10
    below: NDArray[np.int64] = np.searchsorted(np.sort(confidence), confidence)
    return below * bins // n


def calibration_error(confidence: Numbers, correct: Numbers) -> float:
    """Debiased expected calibration error (Kumar et al. 2019, section 5 and appendix), 0 or more.

    Args:
        confidence: (n,) highest softmax probability.
        correct: (n,) 1 where the top-1 class is right, else 0.
    """
    bins = bin_numbers(confidence)
    return float(_debiased(_binned(bins, confidence - correct, correct, int(bins.max()) + 1)))


def _binned(keys: NDArray[np.int64], gaps: Numbers, correct: Numbers, bins: int) -> Binned:
    return Binned(*(np.bincount(keys, of, bins).astype(float) for of in (None, gaps, correct)))


def _debiased(binned: Binned) -> Numbers:
    """Return the plug-in error less its bias, over the last axis.

    The accuracy of a bin is taken as normal around what was measured. The mean of the absolute
    gap is then that of a folded normal distribution (Leone et al. 1961), and the bias is that mean
    less the measured gap.
    """
    sizes = np.maximum(binned.sizes, 1)
    gap, accuracy = np.abs(binned.gaps) / sizes, binned.right / sizes
    deviation = np.sqrt(accuracy * (1 - accuracy) / sizes)
    z = np.divide(gap, deviation, out=np.full_like(gap, np.inf), where=deviation > 0)
    folded = deviation * math.sqrt(2 / math.pi) * np.exp(-(z**2) / 2) + gap * _erf(z)
    error = ((2 * gap - folded) * binned.sizes).sum(axis=-1) / binned.sizes.sum(axis=-1)
    return np.asarray(np.maximum(error, 0.0))


def _erf(z: Numbers) -> Numbers:
    """Return the probability that a normal deviate lies between -z and z."""
    from scipy.special import erf  # scipy.stats takes a second to import

    return np.asarray(erf(z / math.sqrt(2)))


def calibration_interval(
    confidence: Numbers,
    correct: Numbers,
    rng: np.random.Generator,
    level: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return an interval of the calibration error in these bins.

    The plug-in error of few images is above the true one, and resamples of them are even further
    above it. The lower end is therefore cross-fitted: one half of the images gives the sign of
    each bin's gap, the other half the gap with this sign, which is on average not above its
    absolute value. It is the median over random halves of this mean less its standard errors. The
    upper end is a quantile of the debiased error of resamples.

    Args:
        confidence: (n,) highest softmax probability.
        correct: (n,) 1 where the top-1 class is right, else 0.
        rng: of halves and resamples.
        level: two-sided.
        resamples: how often n images are drawn.
    """
    order = np.lexsort((correct, confidence))  # the order of images decides nothing
    confidence, correct = confidence[order], correct[order]
    bins, gaps = bin_numbers(confidence), confidence - correct
    lows = [_cross_fitted(bins, gaps, rng, two_sided(level)) for _ in range(SPLITS)]
    errors = _resampled_errors(bins, gaps, correct, rng, resamples)
    high = float(np.quantile(errors, (1 + level) / 2))
    return Interval(max(0.0, float(np.median(lows))), high)


def _cross_fitted(
    bins: NDArray[np.int64], gaps: Numbers, rng: np.random.Generator, z: float
) -> float:
    half = np.zeros(len(gaps), dtype=bool)
    half[rng.permutation(len(gaps))[: len(gaps) // 2]] = True
    signed = np.empty(len(gaps))
    for this in (half, ~half):
        sign = np.sign(np.bincount(bins[~this], gaps[~this], int(bins.max()) + 1))
        signed[this] = gaps[this] * sign[bins[this]]
    return float(signed.mean() - z * signed.std(ddof=1) / math.sqrt(len(signed)))


def _resampled_errors(
    bins: NDArray[np.int64],
    gaps: Numbers,
    correct: Numbers,
    rng: np.random.Generator,
    resamples: int,
) -> Numbers:
    """Return (resamples,) debiased errors, many resamples at once, in the bins of all images."""
    n, count = len(gaps), int(bins.max()) + 1
    step, errors = max(1, MAX_DRAWS_AT_ONCE // n), []
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, n, (rows, n))
        keys = (bins[drawn] + count * np.arange(rows)[:, None]).ravel()
        parts = _binned(keys, gaps[drawn].ravel(), correct[drawn].ravel(), rows * count)
        errors.append(_debiased(Binned(*(part.reshape(rows, count) for part in parts))))
    return np.concatenate(errors)
