"""Rows that a part of a run leaves for `evals merge`."""

from __future__ import annotations

from vision_evals.log.record import Record
from vision_evals.log.verdicts import Validity


class Rows(Record):
    """Rows that the metrics of an item read."""

    classifier: str
    """Alias: the item's own, and those that its thresholds name or its metrics compare with."""
    seed: int | None = None
    """That a recipe trained it from; null for one that came trained."""
    against: bool = False
    """Whether they are of the second image set of a check that compares."""
    images: str | None = None
    """Role of the image set; null for a measure that looks at none."""
    n: int = 0
    """Images looked at."""
    table: str | None = None
    """Where they are, below the run directory; null where there are none."""
    validity: tuple[Validity, ...] = ()
    """Whether they can be trusted."""
