"""Metrics with an axis as curves: what may share a chart, and its points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from vision_evals.log import Item, Metric
from vision_evals.report.groups import grouped
from vision_evals.report.rounding import Reading, reading
from vision_evals.report.scales import SHARES
from vision_evals.report.words import listed

DASHES = 3
"""Dashes for the metrics of one chart, in the order of the log."""

DOTTED = 3
"""The dash after these: of a metric that refines another one."""


@dataclass(frozen=True, slots=True)
class Point:
    """One value of the axis."""

    at: str
    value: float | None
    low: float | None
    high: float | None
    reading: Reading


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of one classifier along the axis."""

    metric: str
    classifier: str
    colour: str
    dash: int
    shape: int
    whiskers: bool
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class SweepPlot:
    """Curves in one frame."""

    checks: str
    classifier: str | None
    colour: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One metric of a chart and how it is drawn."""

    metric: Metric
    """At one of its points."""
    dash: int
    shape: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """Shares that have an axis and a denominator in common, or one other metric."""

    quantities: tuple[Quantity, ...]
    compared: bool
    """Whether several metrics share a chart, which then is one classifier's."""
    axis: str | None
    numeric: bool
    ticks: tuple[str, ...]
    """Values of the axis in the suite's own words, numbers by size."""
    drawn: bool
    intervals: bool
    seeds: bool
    plots: tuple[SweepPlot, ...]
    checks: tuple[str, ...]


_ChartKey = tuple[str, str, str, str, tuple[str, ...]]
"""Measure, unit, name or nothing, denominator, axis: metrics that agree in these share a chart."""


def sweeps(items: Sequence[Item], colours: Mapping[str, str]) -> tuple[Sweep, ...]:
    """Return the curves of one suite, those of several checks side by side."""
    by_key: dict[_ChartKey, dict[str, list[Item]]] = {}
    for members in grouped((item.check, item) for item in items).values():
        for name, metrics in _on_axes(members).items():
            key = _chart_key(members[0].measure, metrics)
            names = by_key.setdefault(key, {})
            names.setdefault(name, []).extend(members)
    return tuple(_sweep(key, names, colours) for key, names in by_key.items())


def swept(items: Sequence[Item]) -> set[str]:
    """Return the metrics of one check that are curves: at two values of an axis or more."""
    return set(_on_axes(items))


def _on_axes(items: Sequence[Item]) -> dict[str, list[Metric]]:
    metrics = (metric for item in items for metric in item.metrics)
    by_name = grouped((metric.name, metric) for metric in metrics if metric.at is not None)
    return {name: metrics for name, metrics in by_name.items() if len({m.at for m in metrics}) > 1}


def _chart_key(measure: str, metrics: Sequence[Metric]) -> _ChartKey:
    method = next((metric.method for metric in metrics if metric.method), None)
    axis = tuple(_ordered(metric.at for metric in metrics if metric.at is not None)[0])
    # Shares counted over the same images can be compared. Means of a similarity and of a
    # confidence have one unit, too, and yet nothing to do with each other: each stands alone.
    alone = "" if method == "wilson" else metrics[0].name
    return measure, metrics[0].unit, alone, metrics[0].denominator, axis


def _ordered(words: Iterable[str]) -> tuple[list[str], bool]:
    """Return the values of an axis by size, and whether they are numbers at all."""
    axis = list(dict.fromkeys(words))
    try:
        return sorted(axis, key=number), True
    except ValueError:
        return axis, False


def number(text: str) -> float:
    """Return a value of an axis as a suite writes it, such as ``0.5`` or ``1/255``.

    Raises:
        ValueError: it is none, or none that can be drawn.
    """
    over, _, under = text.partition("/")
    below = float(under or 1)
    value = float(over) / below if below else math.nan
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _sweep(
    key: _ChartKey, names: Mapping[str, Sequence[Item]], colours: Mapping[str, str]
) -> Sweep:
    _, unit, _, _, axis = key
    items = {item.id: item for members in names.values() for item in members}
    metrics = [metric for i in items.values() for metric in i.metrics if metric.name in names]
    quantities = tuple(_quantities(names))
    compared = sum(quantity.dash != DOTTED for quantity in quantities) > 1
    plots = tuple(_shared(_plots(quantities, compared, list(items.values()), axis, colours)))
    points = [point for plot in plots for curve in plot.curves for point in curve.points]
    return Sweep(
        quantities=quantities,
        compared=compared,
        axis=next((metric.axis for metric in metrics), None),
        numeric=_ordered(axis)[1],
        ticks=axis,
        # differences of shares may be beyond 0 and 1
        drawn=unit == "fraction" and all(p.value is None or SHARES.holds(p.value) for p in points),
        intervals=any(point.low is not None for point in points),
        seeds=any(metric.spread for metric in metrics),
        plots=plots,
        checks=tuple(dict.fromkeys(item.check for item in items.values())),
    )


def _quantities(names: Mapping[str, Sequence[Item]]) -> Iterator[Quantity]:
    metrics = {
        name: next(m for item in items for m in item.metrics if m.name == name)
        for name, items in names.items()
    }
    main = [name for name, metric in metrics.items() if metric.refines not in names]
    for name, metric in metrics.items():
        variant = name not in main
        place = list(names).index(name) if variant else main.index(name)
        yield Quantity(
            metric=metric,
            dash=DOTTED if variant else place % DASHES,
            shape=place,
        )


def _plots(
    quantities: Sequence[Quantity],
    compared: bool,
    items: Sequence[Item],
    ticks: Sequence[str],
    colours: Mapping[str, str],
) -> Iterator[SweepPlot]:
    """Yield a plot a check, or a plot a classifier where several metrics are compared."""
    aliases = list(dict.fromkeys(item.classifier for item in items))
    names = {quantity.metric.name for quantity in quantities}
    for check, members in grouped((item.check, item) for item in items).items():
        drawn: dict[str, list[Curve]] = {}
        for item in members:
            if names.isdisjoint(metric.name for metric in item.metrics):
                continue
            for quantity in quantities:
                shape = quantity.shape if compared else aliases.index(item.classifier)
                curve = _curve(quantity, item, ticks, colours, shape)
                drawn.setdefault(item.classifier, []).append(curve)
        if compared:
            for name, curves in drawn.items():
                yield SweepPlot(check, name, colours[name], tuple(curves))
        elif drawn:
            yield SweepPlot(check, None, "", tuple(chain.from_iterable(drawn.values())))


def _shared(plots: Iterable[SweepPlot]) -> Iterator[SweepPlot]:
    """Yield plots, one for checks that measured the same."""
    same = grouped((replace(plot, checks=""), plot.checks) for plot in plots)
    for plot, checks in same.items():
        yield replace(plot, checks=listed(checks))


def _curve(
    quantity: Quantity, item: Item, ticks: Sequence[str], colours: Mapping[str, str], shape: int
) -> Curve:
    metrics = {metric.at: metric for metric in item.metrics if metric.name == quantity.metric.name}
    return Curve(
        metric=quantity.metric.name,
        classifier=item.classifier,
        colour=colours[item.classifier],
        dash=quantity.dash,
        shape=shape,
        whiskers=quantity.dash != DOTTED,
        points=tuple(_point(metrics.get(at), at) for at in ticks),
    )


def _point(metric: Metric | None, at: str) -> Point:
    if metric is None:
        return Point(at, None, None, None, Reading("none", "", None, "0", "not measured here"))
    return Point(at, metric.value, metric.low, metric.high, reading(metric))
