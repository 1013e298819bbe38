"""What the images of a gate can decide: its margin, and its floor after a first run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vision_evals.log import Metric
from vision_evals.measures.intervals import wilson
from vision_evals.verdict.paired.planned import POWER, images_for, margin_for

MAX_MARGIN = 0.03
"""A gate with a wider margin only warns: it would let a loss pass that users notice."""


@dataclass(frozen=True, slots=True)
class Gate:
    """The comparison with the accepted run, as so many images allow it."""

    n: int
    """Images."""
    discordance: float
    """Assumed share of images that only one of two equally good networks answers rightly."""

    @property
    def margin(self) -> float:
        """The smallest drop that they decide, as a fraction."""
        return margin_for(self.n, self.discordance)

    @property
    def warns(self) -> bool:
        """Whether the margin is too wide to refuse a checkpoint by."""
        return self.margin > MAX_MARGIN

    @property
    def points(self) -> str:
        """The margin in points."""
        return f"{self.margin * 100:.1f}"

    @property
    def assumption(self) -> str:
        """What the margin rests on."""
        return (
            f"{100 * POWER:.0f} % power, if {100 * self.discordance:g} % of the images change "
            "sides between two equal networks"
        )

    @property
    def for_one_point(self) -> str:
        """How many images a margin of one point needs."""
        return f"{images_for(0.01, self.discordance):,}"

    def __str__(self) -> str:
        ending = f"; a margin of 1 point needs {self.for_one_point} images"
        return f"{self.n:,} images decide a margin of {self.points} points ({self.assumption})" + (
            f"{ending}, so the gate only warns" if self.warns else ""
        )


def floor(accuracy: Metric, classes: int) -> float | None:
    """Return a floor that an equal network stays above, or None where guessing would, too.

    It is the lower end of Wilson's interval around the lower end of the measured interval: a
    network whose accuracy is at least that end passes ``confidence = 0.95`` on as many images.

    Args:
        accuracy: top-1, of the first run.
        classes: among which the network chooses.
    """
    if accuracy.value is None or accuracy.low is None:
        return None
    lowest = wilson(math.floor(accuracy.low * accuracy.n), accuracy.n).low
    rounded = math.floor(lowest * 100) / 100
    return rounded if rounded > 1 / classes else None
