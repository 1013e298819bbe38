"""Metrics of a check as charts and as small tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from vision_evals.log import Classifier, Item, Reference
from vision_evals.report import rounding
from vision_evals.report.curves import swept
from vision_evals.report.rounding import Reading


@dataclass(frozen=True, slots=True)
class Bar:
    """One classifier in a chart; positions are shares of the axis."""

    classifier: str
    colour: str
    value: float | None
    low: float | None
    high: float | None
    seeds: tuple[float, ...]
    reading: Reading
    """In percent."""
    published: float | None
    published_text: str | None


@dataclass(frozen=True, slots=True)
class Band:
    """A number from elsewhere, behind the bars."""

    key: str
    label: str
    value: float
    low: float | None
    high: float | None
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A share of images for each classifier, with its interval."""

    metric: str
    about: str | None
    denominator: str
    bars: tuple[Bar, ...]
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric that is no share of images, or has one point on an axis: a line in a table."""

    metric: str
    at: str | None
    classifier: str
    colour: str
    reading: Reading
    better: str


def charts(
    items: Sequence[Item], classifiers: Mapping[str, Classifier], colours: Mapping[str, str]
) -> tuple[Chart, ...]:
    """Return a chart for each charted metric, in the order of the log."""
    return tuple(_chart(name, items, classifiers, colours) for name in _charted(items))


def figures(items: Sequence[Item], colours: Mapping[str, str]) -> tuple[Figure, ...]:
    """Return what no chart and no curve shows, metric by metric."""
    elsewhere = {*_charted(items), *swept(items)}
    lines = [
        Figure(
            metric=metric.name,
            at=metric.at,
            classifier=item.classifier,
            colour=colours[item.classifier],
            reading=rounding.reading(metric),
            better="higher is better" if metric.higher_is_better else "lower is better",
        )
        for item in items
        for metric in item.metrics
        if metric.name not in elsewhere
    ]
    order = list(dict.fromkeys((line.metric, line.at) for line in lines))
    return tuple(sorted(lines, key=lambda line: order.index((line.metric, line.at))))


def _charted(items: Sequence[Item]) -> tuple[str, ...]:
    # Shares of images are bars on an axis from 0 to 1, and those have Wilson's interval. A
    # calibration error has the same unit, but a full bar of it means nothing. Of a recipe the
    # bar is there to show where each seed came out.
    metrics = [metric for item in items for metric in item.metrics]
    fractions = [metric for metric in metrics if metric.unit == "fraction"]
    shares = [m.name for m in fractions if m.method == "wilson" or m.spread]
    axes = {m.name for m in metrics if m.at is not None}
    return tuple(name for name in dict.fromkeys(shares) if name not in axes)


def _chart(
    name: str,
    items: Sequence[Item],
    classifiers: Mapping[str, Classifier],
    colours: Mapping[str, str],
) -> Chart:
    pairs = [(item, m) for item in items for m in item.metrics if m.name == name]
    bars = []
    for item, metric in pairs:
        card = classifiers.get(item.classifier)
        published = card.published.get(name) if card else None
        bars.append(
            Bar(
                classifier=item.classifier,
                colour=colours[item.classifier],
                value=metric.value,
                low=metric.low,
                high=metric.high,
                seeds=metric.spread,
                reading=rounding.reading(metric, in_percent=True),
                published=published,
                published_text=None
                if published is None
                else f"{rounding.fixed(100 * published, 1)} %",
            )
        )
    references = dict.fromkeys(r for item, _ in pairs for r in item.references if r.metric == name)
    return Chart(
        metric=name,
        about=pairs[0][1].about or None,
        denominator=pairs[0][1].denominator,
        bars=tuple(bars),
        bands=tuple(_band(index, reference) for index, reference in enumerate(references)),
    )


def _band(index: int, reference: Reference) -> Band:
    text = rounding.written(reference.value, in_percent=True)
    if reference.low is not None and reference.high is not None:
        digits = max((rounding.decimals(reference.low, reference.high) or 2) - 2, 0)
        low, high = (rounding.fixed(100 * end, digits) for end in (reference.low, reference.high))
        text += f" ({low} to {high} %)"
    if reference.n is not None:
        text += f", n = {rounding.count(reference.n)}"
    return Band(
        key=ascii_lowercase[index % 26],
        label=reference.label,
        value=reference.value,
        low=reference.low,
        high=reference.high,
        text=text,
        source=reference.source,
    )
