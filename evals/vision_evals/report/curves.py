"""Metrics with an axis as curves: what may share a chart, and its points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from vision_evals.log import Item, Metric
from vision_evals.report import rounding, words
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
    text: str
    unit: str
    interval: str | None
    n: str
    reason: str | None


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
class Plot:
    """Curves in one frame."""

    checks: str
    classifier: str | None
    colour: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One metric of a chart and how it is drawn."""

    name: str
    about: str
    denominator: str
    higher_is_better: bool
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
    plots: tuple[Plot, ...]
    checks: tuple[str, ...]


_Family = tuple[str, str, str, str, tuple[str, ...]]
"""Measure, unit, name or nothing, denominator, axis: metrics that agree in these share a chart."""


def sweeps(items: Sequence[Item], colours: Mapping[str, str]) -> tuple[Sweep, ...]:
    """Return the curves of one suite, those of several checks side by side."""
    families: dict[_Family, dict[str, list[Item]]] = {}
    for check in dict.fromkeys(item.check for item in items):
        members = [item for item in items if item.check == check]
        for name, metrics in _on_axes(members).items():
            key = _family(members[0].measure, metrics)
            names = families.setdefault(key, {})
            names.setdefault(name, []).extend(members)
    return tuple(_sweep(key, names, colours) for key, names in families.items())


def swept(items: Sequence[Item]) -> set[str]:
    """Return the metrics of one check that are curves: at two values of an axis or more."""
    return set(_on_axes(items))


def _on_axes(items: Sequence[Item]) -> dict[str, list[Metric]]:
    found: dict[str, list[Metric]] = {}
    for metric in (metric for item in items for metric in item.metrics):
        if metric.at is not None:
            found.setdefault(metric.name, []).append(metric)
    return {name: every for name, every in found.items() if len({m.at for m in every}) > 1}


def _family(measure: str, metrics: Sequence[Metric]) -> _Family:
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


def _sweep(key: _Family, names: Mapping[str, Sequence[Item]], colours: Mapping[str, str]) -> Sweep:
    _, unit, _, _, axis = key
    items = {item.id: item for members in names.values() for item in members}
    quantities = tuple(_quantities(names))
    compared = sum(quantity.dash != DOTTED for quantity in quantities) > 1
    plots = tuple(_shared(_plots(quantities, compared, list(items.values()), axis, colours)))
    points = [point for plot in plots for curve in plot.curves for point in curve.points]
    return Sweep(
        quantities=quantities,
        compared=compared,
        axis=next(
            (m.axis for item in items.values() for m in item.metrics if m.name in names), None
        ),
        numeric=_ordered(axis)[1],
        ticks=axis,
        drawn=unit == "fraction" and all(map(_on_shares, points)),
        intervals=any(point.low is not None for point in points),
        seeds=any(m.spread for item in items.values() for m in item.metrics if m.name in names),
        plots=plots,
        checks=tuple(dict.fromkeys(item.check for item in items.values())),
    )


def _on_shares(point: Point) -> bool:
    """Whether a point stands between 0 and 1: differences of shares may not."""
    return point.value is None or SHARES.holds(point.value)


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
            name=name,
            about=metric.about,
            denominator=metric.denominator,
            higher_is_better=metric.higher_is_better,
            dash=DOTTED if variant else place % DASHES,
            shape=place,
        )


def _plots(
    quantities: Sequence[Quantity],
    compared: bool,
    items: Sequence[Item],
    ticks: Sequence[str],
    colours: Mapping[str, str],
) -> Iterator[Plot]:
    """Yield a plot a check, or a plot a classifier where several metrics are compared."""
    aliases = list(dict.fromkeys(item.classifier for item in items))
    for check in dict.fromkeys(item.check for item in items):
        members = [item for item in items if item.check == check and _has(item, quantities)]
        drawn: dict[str, list[Curve]] = {}
        for item in members:
            alias = aliases.index(item.classifier)
            for one in quantities:
                curve = _curve(one, item, ticks, colours, one.shape if compared else alias)
                drawn.setdefault(item.classifier, []).append(curve)
        if compared:
            for name, curves in drawn.items():
                yield Plot(check, name, colours[name], tuple(curves))
        elif drawn:
            yield Plot(check, None, "", tuple(chain.from_iterable(drawn.values())))


def _has(item: Item, quantities: Sequence[Quantity]) -> bool:
    return bool({metric.name for metric in item.metrics} & {q.name for q in quantities})


def _shared(plots: Iterable[Plot]) -> Iterator[Plot]:
    """Yield plots, one for checks that measured the same."""
    same: dict[Plot, list[str]] = {}
    for plot in plots:
        same.setdefault(replace(plot, checks=""), []).append(plot.checks)
    for plot, checks in same.items():
        yield replace(plot, checks=listed(checks))


def _curve(
    quantity: Quantity, item: Item, ticks: Sequence[str], colours: Mapping[str, str], shape: int
) -> Curve:
    metrics = {metric.at: metric for metric in item.metrics if metric.name == quantity.name}
    return Curve(
        metric=quantity.name,
        classifier=item.classifier,
        colour=colours[item.classifier],
        dash=quantity.dash,
        shape=shape,
        whiskers=quantity.dash != DOTTED,
        points=tuple(_point(metrics.get(at), at) for at in ticks),
    )


def _point(metric: Metric | None, at: str) -> Point:
    if metric is None:
        return Point(at, None, None, None, "none", "", None, "0", "not measured here")
    return Point(
        at=at,
        value=metric.value,
        low=metric.low,
        high=metric.high,
        text=rounding.point(metric),
        unit=rounding.unit(metric),
        interval=rounding.interval(metric),
        n=rounding.count(metric.n),
        reason=words.reason(metric),
    )
