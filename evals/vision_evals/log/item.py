"""One check on one classifier."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vision_evals.log.comparison import Comparison
from vision_evals.log.pictures import Picture, Plot, WorstFirst
from vision_evals.log.record import Record
from vision_evals.log.rows import Rows
from vision_evals.log.verdicts import Judgement, Metric, Reference, Validity, Verdict


class Item(Record):
    """One check on one classifier: one pytest item."""

    id: str
    """pytest's node id, which reproduces it: ``suites/accuracy.toml::photographs[alexnet]``."""
    suite: str
    """Path of the suite."""
    line: int | None = None
    """Of the check's header in that file, from 1; null in logs that did not say."""
    check: str
    """Name of the check."""
    classifier: str
    """Alias of the classifier."""
    measure: str
    """Name of the measure."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Every parameter of the measure, defaults written out."""
    images: str | None = None
    """Role of its image set, a key of ``image_sets``."""
    against: str | None = None
    """Role of the second image set, for checks that compare two."""
    verdict: Verdict
    """The worst of its judgements and validity checks."""
    sentence: str
    """The verdict in one line, numbers first."""
    metrics: tuple[Metric, ...] = ()
    """Every metric of the measure."""
    references: tuple[Reference, ...] = ()
    """Numbers from elsewhere to show beside them."""
    judgements: tuple[Judgement, ...] = ()
    """One for each expectation."""
    validity: tuple[Validity, ...] = ()
    """Whether the numbers can be trusted."""
    table: str | None = None
    """Rows, below the run directory: ``tables/....parquet``."""
    class_columns: tuple[str, ...] | None = None
    """Columns of its rows that hold class indices, beside ``label`` and ``accepted``; null in logs
    that did not say."""
    rows: tuple[Rows, ...] = ()
    """Of a part of a run: what `evals merge` judges by; empty in a whole one."""
    pictures: tuple[Picture, ...] = ()
    """What the report shows."""
    worst_first: WorstFirst | None = None
    """What the measure says of the pictures that it puts first."""
    plots: tuple[Plot, ...] = ()
    """What the report draws beside the numbers."""
    comparison: Comparison | None = None
    """The same item of the baseline; null without one."""
    cached: int = 0
    """Images whose rows came from the cache."""
    seconds: float = 0.0
    """Forward passes and rows of this item, as if it had been asked alone."""
