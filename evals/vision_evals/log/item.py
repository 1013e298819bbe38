"""One check on one classifier."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from vision_evals.log.comparison import Comparison
from vision_evals.log.pictures import Picture, Plot, WorstFirst
from vision_evals.log.record import Record
from vision_evals.log.verdicts import Judgement, Metric, Reference, Validity, Verdict


class Rows(Record):
    """Rows that a part of a run leaves for `evals merge`."""

    classifier: str
    """Alias: the item's own, and those that its thresholds name or its metrics compare with."""
    seed: int | None = None
    """From which a recipe trained it; null for a network that was not trained here."""
    against: bool = False
    """Whether they are of the second image set of a check that compares two."""
    images: str | None = None
    """Role of the image set; null for a measure that looks at none."""
    n: int = 0
    """Images of these rows."""
    table: str | None = None
    """Where they are, below the run directory; null where there are none."""
    validity: tuple[Validity, ...] = ()
    """Validity checks of these rows."""


class Item(Record):
    """One check on one classifier: one pytest item."""

    id: str
    """pytest's node id, which reproduces it: ``suites/accuracy.toml::photographs[alexnet]``."""
    suite: str
    """Path of the suite."""
    line: int | None = None
    """Of the check's header in that file, from 1; null in older logs."""
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
    """Published numbers that are shown next to them."""
    judgements: tuple[Judgement, ...] = ()
    """One for each expectation."""
    validity: tuple[Validity, ...] = ()
    """Validity checks: whether the numbers can be trusted."""
    table: str | None = None
    """Rows, below the run directory: ``tables/....parquet``."""
    class_columns: tuple[str, ...] | None = None
    """Columns of its rows that hold class indices, in addition to ``label`` and ``accepted``; null
    in older logs."""
    keys: tuple[str, ...] | None = None
    """Columns that identify a row of it; null in older logs."""
    rows: tuple[Rows, ...] = ()
    """Of a part of a run: the rows that `evals merge` judges; empty in a whole run."""
    pictures: tuple[Picture, ...] = ()
    """Pictures that the report shows."""
    worst_first: WorstFirst | None = None
    """How the measure describes the pictures that come first."""
    plots: tuple[Plot, ...] = ()
    """Plots that the report draws next to the numbers."""
    comparison: Comparison | None = None
    """The same item of the baseline; null without one."""
    cached: int = 0
    """Images whose rows came from the cache."""
    seconds: float = 0.0
    """Forward passes and rows of this item, as if it had run alone."""

    @model_validator(mode="after")
    def _changes_are_of_its_metrics(self) -> Item:
        own = {(metric.name, metric.at) for metric in self.metrics}
        changes = self.comparison.changes if self.comparison is not None else ()
        other = next((c.metric for c in changes if (c.metric, c.at) not in own), None)
        if other is not None:
            raise ValueError(f"its comparison has a change of {other}, which it did not measure")
        return self

    @property
    def headline(self) -> str:
        """The sentence with the verdict as its first word: ``FAILED: 0.9167, at least ...``."""
        word = f"{self.verdict.upper()}: "
        return word + self.sentence.removeprefix(word)
