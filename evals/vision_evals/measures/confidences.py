"""Confidences: reliability, histograms, and how well they separate two image sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_evals.log import Line, Plot
from vision_evals.measures.calibration import bin_numbers
from vision_evals.measures.metrics import shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vision_evals.measures.measure import Subject

    Confidences = NDArray[np.floating[Any]]
    Ranks = NDArray[np.intp]

HISTOGRAM_BINS = (20, 10, 5)
"""Possible numbers of bins of a histogram: their edges are round numbers."""


def bin_indices(confidence: Confidences, bins: int) -> NDArray[np.int64]:
    """Return (n,) the index of each confidence's bin among equal bins (low, high] of [0, 1].

    0 belongs to the first bin.
    """
    indices: NDArray[np.int64] = np.ceil(confidence * bins).astype(np.int64) - 1
    return np.clip(indices, 0, bins - 1)


def reliability(confidence: Confidences, correct: NDArray[np.bool_], subject: Subject) -> Plot:
    """Return the reliability diagram: accuracy over confidence, without empty bins.

    Args:
        confidence: (n,) highest softmax probability.
        correct: (n,) whether the top-1 class is right.
        subject: whose confidences they are.
    """
    bins = bin_numbers(confidence)
    members = [bins == index for index in np.unique(bins)]
    means = [float(confidence[rows].mean()) for rows in members]
    return Plot(
        title="Reliability diagram",
        about="Share of right answers over confidence in the bins of `ece`, which hold equally "
        "many images. On the diagonal the accuracy equals the confidence; below it the "
        "network is overconfident (Niculescu-Mizil & Caruana 2005, Guo et al. 2017). Intervals are "
        "Wilson's.",
        x_label="mean confidence of the bin",
        y_label="share of its answers that are right",
        lines=(
            shares("measured", means, [correct[rows] for rows in members], subject),
            Line(name="perfect calibration", x=(0.0, 1.0), y=(0.0, 1.0), reference=True),
        ),
        share=True,
    )


def histograms(title: str, parts: Mapping[str, Confidences], of: int | None = None) -> Plot:
    """Return confidences as histograms with the same bins.

    The smallest set decides on the bins: the largest of 20, 10 and 5 within Rice's rule, twice the
    cube root of n.

    Args:
        title: of the plot.
        parts: name of each line to its confidences.
        of: number of images of which all parts together are shares; None where each part is a set
            of its own.
    """
    n = {name: len(confidence) if of is None else of for name, confidence in parts.items()}
    fewest = min(n.values())
    bins = next((bins for bins in HISTOGRAM_BINS if bins**3 <= 8 * fewest), HISTOGRAM_BINS[-1])
    counts = {name: np.bincount(bin_indices(c, bins), minlength=bins) for name, c in parts.items()}
    return Plot(
        title=title,
        about="Each bar is the share of images whose likeliest class has a probability in its bin; "
        f"there are {bins} equal bins. The bars describe these images alone and have no interval.",
        x_label="confidence in the likeliest class",
        y_label="share of images",
        lines=tuple(
            Line(
                name=name,
                x=tuple(edge / bins for edge in range(bins + 1)),
                y=(*(count / n[name] if n[name] else None for count in bars.tolist()), None),
                n=(n[name],) * (bins + 1),
                steps=True,
            )
            for name, bars in counts.items()
        ),
    )


def ranks(these: Confidences, others: Confidences) -> tuple[Ranks, Ranks]:
    """Return the rank of each confidence among all, from 0; equal ones share a rank.

    Resamples of ranks need no sorting.
    """
    every = np.unique(np.concatenate([these, others]), return_inverse=True)[1]
    return every[: len(these)], every[len(these) :]


def auroc(these: Ranks, others: Ranks) -> float:
    """Return the probability that one of these has a lower confidence than one of the others.

    The rank statistic of Mann and Whitney (1947) as a share of all pairs; a tie counts half.

    Args:
        these: (n,) ranks of the positive images, which a low confidence detects.
        others: (m,) ranks of the negative images.
    """
    equal = np.bincount(these, minlength=int(others.max()) + 1)
    below = (equal.cumsum() - equal / 2)[others].sum()
    return float(below / (len(others) * len(these)))


def false_positives(these: Ranks, others: Ranks) -> float:
    """Return the share of others at or below the threshold that catches 95 % of these.

    Args:
        these: (n,) ranks of the positive images, which a low confidence detects.
        others: (m,) ranks of the negative images.
    """
    caught = -(-95 * len(these) // 100)
    threshold = np.sort(these)[caught - 1]
    return float((others <= threshold).mean())
