"""A share as a small bar from 0 to 1, drawn without a script."""

from __future__ import annotations

from dataclasses import dataclass

from vision_evals.log import Metric


@dataclass(frozen=True, slots=True)
class Gauge:
    """Where a share lies between 0 and 1, with its interval, or a dot for each seed."""

    colour: str
    value: float
    low: float | None
    high: float | None
    seeds: tuple[float, ...]
    threshold: float | None


def gauge(metric: Metric, colour: str, threshold: float | None = None) -> Gauge | None:
    """Return a metric as a gauge; None where a bar from 0 to 1 would say something else."""
    places = (metric.value, metric.low, metric.high, *metric.spread)
    if metric.unit != "fraction" or metric.value is None:
        return None
    if any(place is not None and not 0 <= place <= 1 for place in places):
        return None
    return Gauge(colour, metric.value, metric.low, metric.high, metric.spread, threshold)
