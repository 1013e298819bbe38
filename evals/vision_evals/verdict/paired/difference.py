"""Values of each image before and now to the record of their difference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_evals.core.errors import UserError
from vision_evals.log import Paired
from vision_evals.measures.intervals import MIN_IMAGES_FOR_BOOTSTRAP
from vision_evals.verdict.paired.means import mean_interval
from vision_evals.verdict.paired.shares import mcnemar, score_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def paired(
    before: ArrayLike,
    now: ArrayLike,
    rng: np.random.Generator,
    confidence: float,
    span: float = math.inf,
) -> Paired:
    """Return how far a metric moved on the same images, with its interval.

    Booleans on both sides make a share: counts, Tango's score interval and exact McNemar. Anything
    else makes a mean of differences.

    Args:
        before: (n,) values of the network compared with.
        now: (n,) values of this one, of the same images in the same order.
        rng: where the resamples come from, should there be few images.
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
        raise UserError("there is no image that both saw; compare runs over the same images")
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
    lacking = int((~np.isfinite(before) | ~np.isfinite(now)).sum())
    if lacking:
        raise UserError(f"{lacking} of {len(now)} images have a value that is not finite")
    differences: NDArray[Any] = now - before
    (low, high), method = mean_interval(differences, rng, confidence)
    if math.isfinite(span) and np.count_nonzero(differences) < MIN_IMAGES_FOR_BOOTSTRAP:
        # so few moved that the spread says little of those that were not drawn: rule of three
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
