"""What a measure says of itself, without torch: enough to check a suite and to read a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vision_evals.core.tables import Table
from vision_evals.log import Reference

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric as promised by a measure."""

    name: str
    about: str
    unit: str = "fraction"
    higher_is_better: bool = True
    interval: Literal["wilson", "bootstrap"] | None = None
    """How the interval is made that an expectation may ask for with ``confidence``."""
    axis: str | None = None
    """Parameter that lists the values of its axis; an expectation then says ``at``."""
    per_image: Callable[[pd.DataFrame, Any], pd.Series[float]] | None = None
    """Rows at one point of the axis, and parameters, to each image's value: the metric is their
    mean. None where it is no mean over all images, and two runs cannot be compared in pairs."""
    range: tuple[float, float] = (0.0, 1.0)
    """Values that it can take: a threshold must lie inside, or it could never fail."""
    source: str = ""
    """Paper and section, where it comes from one: the report's glossary names it."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Parameters and metrics of a measure."""

    name: str
    about: str
    parameters: type[Table]
    metrics: tuple[MetricSpec, ...]
    labels: bool
    """Whether it means nothing without labels."""
    gradient: bool = False
    """Whether it asks the probe for the gradient with respect to the pixels."""
    images: bool = True
    """Whether it looks at images; without, a check names none."""
    subject: str | None = None
    """What it is about where it asks no classifier: ``quadratic``."""
    keys: tuple[str, ...] = ("image",)
    """What names one of its rows; rows that do not name images are joined by ``reduce``."""
    reduce: Mapping[str, Literal["sum", "min", "max"]] = field(default_factory=dict)
    """How rows of equal keys are joined over batches, by column; nothing for rows of images."""
    axis: tuple[str, str] | None = None
    """Second key column of its rows, and the parameter that lists its values."""
    class_columns: tuple[str, ...] = ()
    """Columns of its rows that hold class indices: frames and exports show the names beside them.
    Those of every labelled image, ``label`` and ``accepted``, need not be named."""
    against: bool = False
    """Whether a check may name a second image set to compare with."""
    compares: bool = False
    """Whether its metrics read the rows of the other classifiers that were asked the same."""
    gallery: bool = False
    """Whether the report shows every image of a small set."""
    aliases: Callable[[Any], Iterable[str]] = lambda _: ()
    """Classifiers that its parameters name: a typo there is found at collection."""
    references: tuple[Reference, ...] = ()
    """Numbers from elsewhere that the report shows beside its metrics."""

    def metric(self, name: str) -> MetricSpec:
        """Return the metric of this name; KeyError if there is none."""
        return {metric.name: metric for metric in self.metrics}[name]
