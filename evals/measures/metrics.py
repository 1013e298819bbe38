"""Metrics that measures share: a fraction with Wilson's interval, a statistic with a bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from evals.log import Metric
from evals.measures.measure import Subject
from evals.statistics import bootstrap, generator, wilson

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

FEWEST = 10
"""Observations below which a bootstrap interval is not shown."""


def fraction(
    name: str,
    hits: pd.Series[bool],
    subject: Subject,
    *,
    at: str | None = None,
    of: str = "images",
) -> Metric:
    """Return the share of hits with Wilson's interval; null when there is nothing to count."""
    n, count = len(hits), int(hits.sum())
    if not n:
        return absent(name, f"there are no {of}", at=at, of=of)
    interval = wilson(count, n, subject.confidence)
    return Metric(
        name=name,
        at=at,
        value=count / n,
        unit="fraction",
        n=n,
        denominator=of,
        low=interval.low,
        high=interval.high,
        confidence=subject.confidence,
        method="wilson",
    )


def resampled(
    name: str,
    statistic: Callable[..., float],
    columns: tuple[NDArray[Any], ...],
    subject: Subject,
    *,
    at: str | None = None,
    of: str = "images",
    unit: str = "fraction",
) -> Metric:
    """Return a statistic of paired columns with a seeded percentile bootstrap over rows."""
    n = len(columns[0])
    if not n:
        return absent(name, f"there are no {of}", at=at, of=of, unit=unit)
    value, few = float(statistic(*columns)), n < FEWEST
    low = high = None
    if not few:
        rng = generator(subject.seed, name, at or "")
        low, high = bootstrap(statistic, columns, rng, subject.confidence)
        # a resample repeats images, which raises a calibration error: the point may lie below
        low, high = min(low, value), max(high, value)
    return Metric(
        name=name,
        at=at,
        value=value,
        unit=unit,
        n=n,
        denominator=of,
        low=low,
        high=high,
        confidence=None if few else subject.confidence,
        method=None if few else "bootstrap",
        reason=f"resampling {n} {of} says little" if few else None,
    )


def absent(
    name: str,
    reason: str,
    *,
    at: str | None = None,
    of: str = "images",
    unit: str = "fraction",
    n: int = 0,
) -> Metric:
    """Return a metric that does not exist, and why."""
    return Metric(name=name, at=at, value=None, unit=unit, n=n, denominator=of, reason=reason)
