"""Coverage of the interval of `ece`, by simulation.

    python benchmarks/calibration.py [TABLES]

Draws tables of confidences and answers whose calibration error is known, makes the interval of
each, and prints for each number of images and each error the share of intervals that hold it. In
brackets is that of the percentile bootstrap of the plug-in error in 15 bins of equal width.
`docs/trust.md` has the table.
"""

# ruff: noqa: T201 - a script, and its table is what it is for

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision_evals.measures.calibration import (
    bin_numbers,
    calibration_interval,
)
from vision_evals.measures.intervals import Interval, bootstrap

IMAGES = (100, 500, 2000, 5000)
ERRORS = (0.0, 0.02, 0.05, 0.1)
TABLES = 300
POPULATION = 100_000
"""Images from which the true error in bins is computed."""

Floats = NDArray[np.float64]


def spread(u: Floats) -> Floats:
    """Return confidences between 0.45 and 0.95, the higher the more frequent."""
    return 0.45 + 0.5 * np.sqrt(u)


def overconfident(u: Floats, error: float) -> tuple[Floats, Floats]:
    """Every answer is less likely to be right than the network says."""
    return spread(u), spread(u) - error


def two_sided(u: Floats, error: float) -> tuple[Floats, Floats]:
    """Underconfident below the median, overconfident above."""
    return spread(u), spread(u) + np.where(u < 0.5, error, -error)


def one_end(u: Floats, error: float) -> tuple[Floats, Floats]:
    """The most confident quarter has all of the error."""
    return spread(u), spread(u) - np.where(u > 0.75, 4 * error, 0)


def nearly_sure(u: Floats, error: float) -> tuple[Floats, Floats]:
    """Overconfident, and half of the confidences are above 0.97."""
    return 1 - 0.4 * u**4, 1 - 0.4 * u**4 - error


SHAPES = (overconfident, two_sided, one_end, nearly_sure)
"""Random numbers in [0, 1] and error to confidences, and how likely each answer is right."""


class Case(NamedTuple):
    """Tables of one kind."""

    shape: Callable[[Floats, float], tuple[Floats, Floats]]
    images: int
    error: float

    def truth(self) -> float:
        """Return the error in as many bins as the tables have, of very many images."""
        bins = int(bin_numbers(np.arange(float(self.images))).max()) + 1
        u = (np.arange(POPULATION) + 0.5) / POPULATION
        confidence, likely = self.shape(u, self.error)
        ranks = confidence.argsort().argsort() * bins // POPULATION
        return float(np.abs(np.bincount(ranks, confidence - likely)).sum() / POPULATION)


def covered(case: Case, interval: Callable[..., Interval], tables: int) -> float:
    """Return the share of tables whose interval holds the true error."""
    truth, held = case.truth(), 0
    for seed in range(tables):
        rng = np.random.default_rng([seed, case.images, round(1000 * case.error)])
        confidence, likely = case.shape(rng.random(case.images), case.error)
        correct = (rng.random(case.images) < likely).astype(float)
        low, high = interval(confidence, correct, rng)
        held += low <= truth <= high
    return held / tables


def usual(confidence: Floats, correct: Floats, rng: np.random.Generator) -> Interval:
    """Return the percentile bootstrap of the plug-in error."""
    return bootstrap(plug_in, (confidence, correct), rng, resamples=200)


def plug_in(confidence: Floats, correct: Floats) -> float:
    """Return the error as most tools define it: 15 bins of equal width (Guo et al. 2017)."""
    bins = np.clip(np.ceil(confidence * 15).astype(int) - 1, 0, 14)
    return float(np.abs(np.bincount(bins, confidence - correct)).sum() / len(confidence))


def main(tables: int) -> None:
    """Print the table."""
    print("| gaps | images | " + " | ".join(f"ECE {error:g}" for error in ERRORS) + " |")
    print("|---|---|" + "---|" * len(ERRORS))
    for shape in SHAPES:
        for images in IMAGES:
            cells = []
            for error in ERRORS:
                case = Case(shape, images, error)
                ours = covered(case, calibration_interval, tables)
                cells.append(f"{ours:.2f} ({covered(case, usual, tables):.2f})")
            name = shape.__name__.replace("_", " ")
            print(f"| {name} | {images:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TABLES)
