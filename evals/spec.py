"""What a measure says of itself, without torch: enough to check a suite and to read a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evals.log import Reference
from evals.schema import Table


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric as promised by a measure."""

    name: str
    about: str
    unit: str = "fraction"
    higher_is_better: bool = True
    interval: Literal["wilson", "bootstrap"] | None = None
    """How its interval is made; without one, an expectation cannot ask for ``confidence``."""
    axis: str | None = None
    """Parameter that lists the values of its axis; an expectation then says ``at``."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Parameters and metrics of a measure."""

    name: str
    about: str
    parameters: type[Table]
    metrics: tuple[MetricSpec, ...]
    labels: bool
    """Whether it means nothing without labels."""
    references: tuple[Reference, ...] = ()
    """Numbers from elsewhere that the report shows beside its metrics."""

    def metric(self, name: str) -> MetricSpec:
        """Return the metric of this name; KeyError if there is none."""
        return {metric.name: metric for metric in self.metrics}[name]
