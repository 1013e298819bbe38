"""Confidences in equal bins: how often they are right, and how they are spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vision_evals.log import Line, Plot
from vision_evals.measures.metrics import shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vision_evals.measures.measure import Subject

BINS = 15
"""Of the calibration error and its diagram, as Guo et al. 2017 have them."""

SPREADS = (20, 10, 5)
"""How many bins a histogram may have: edges are round numbers."""


def places(confidence: NDArray[np.floating], bins: int) -> NDArray[np.int64]:
    """Return (n,) in which of equal bins (low, high] of [0, 1] each confidence lies.

    0 lies in the first.
    """
    found: NDArray[np.int64] = np.ceil(confidence * bins).astype(np.int64) - 1
    return np.clip(found, 0, bins - 1)


def reliability(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_], subject: Subject
) -> Plot:
    """Return how often answers are right, over how sure they were; empty bins are left out.

    Args:
        confidence: (n,) highest softmax probability.
        correct: (n,) whether the top-1 class is right.
        subject: whose they are.
    """
    place = places(confidence, BINS)
    members = [place == one for one in np.unique(place)]
    sure = [float(confidence[mine].mean()) for mine in members]
    return Plot(
        title="Reliability diagram",
        about=f"How many of the answers given with some confidence are right: {BINS} equal bins, "
        "as `ece` has them, empty ones left out. On the diagonal a network is right as often as it "
        "is sure, below it is overconfident (Niculescu-Mizil & Caruana 2005, Guo et al. 2017). "
        "Intervals are Wilson's.",
        x_label="mean confidence of the bin",
        y_label="share of its answers that are right",
        lines=(
            shares("measured", sure, [correct[mine] for mine in members], subject),
            Line(name="perfect calibration", x=(0.0, 1.0), y=(0.0, 1.0), reference=True),
        ),
        share=True,
    )


def spread(title: str, parts: Mapping[str, NDArray[np.floating]], of: int | None = None) -> Plot:
    """Return confidences as histograms, all of the same bins.

    As many bins as suit the smallest set: the most of 20, 10 and 5 that are no more than Rice's
    rule allows, twice the cube root of n.

    Args:
        title: of the plot.
        parts: name to confidences, one line each.
        of: how many images the parts are shares of together; None where each is a set of its own.
    """
    n = {name: len(confidence) if of is None else of for name, confidence in parts.items()}
    fewest = min(n.values())
    bins = next((bins for bins in SPREADS if bins**3 <= 8 * fewest), SPREADS[-1])
    counts = {name: np.bincount(places(c, bins), minlength=bins) for name, c in parts.items()}
    return Plot(
        title=title,
        about=f"Each bar is the share of images whose likeliest class got so much probability, in "
        f"{bins} equal bins. It shows these images alone, and no interval: numbers beside it have "
        "theirs.",
        x_label="confidence in the likeliest class",
        y_label="share of images",
        lines=tuple(
            Line(
                name=name,
                x=tuple(edge / bins for edge in range(bins + 1)),
                y=(*(count / n[name] if n[name] else None for count in found.tolist()), None),
                n=(n[name],) * (bins + 1),
                steps=True,
            )
            for name, found in counts.items()
        ),
    )
