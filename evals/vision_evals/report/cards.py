"""The networks side by side: of each the few numbers that a reviewer asks for first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vision_evals.log import Headline, Item, Metric, Run, Verdict
from vision_evals.report import words
from vision_evals.report.checks import Check, Line, lines_of
from vision_evals.report.gauges import Gauge, gauge
from vision_evals.report.side_by_side import Shift, shift

FEW = 3
"""With fewer headlines a card goes on with what its expectations are about."""

MOST = 5
"""Lines of a card that does."""

USUAL = "1/255"
"""The point of an axis that is shown where none was judged: one step of 8 bits."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One number on a card, and the check that it is from."""

    label: str
    line: Line
    """Of what is worst said of it; its check may say another."""
    gauge: Gauge | None
    check: Check
    shift: Shift | None
    """Against the baseline."""


@dataclass(frozen=True, slots=True)
class Card:
    """One network."""

    alias: str
    colour: str
    network: str
    entries: tuple[Entry, ...]


def cards(run: Run, told: Sequence[Check], colours: Mapping[str, str]) -> tuple[Card, ...]:
    """Return a card for each network that was measured, in the order of the log."""
    mine: dict[str, list[Check]] = {}
    for check in told:
        mine.setdefault(check.item.classifier, []).append(check)
    found = (
        Card(one.alias, colours[one.alias], one.network, _entries(mine.get(one.alias, ())))
        for one in run.classifiers
    )
    return tuple(card for card in found if card.entries)


def _entries(own: Sequence[Check]) -> tuple[Entry, ...]:
    first = list(_headlines(own))
    if len(first) >= FEW:
        return tuple(first)
    shown = {_key(entry) for entry in first}
    return (*first, *(entry for entry in _judged(own) if _key(entry) not in shown))[:MOST]


def _key(entry: Entry) -> tuple[str, str, str | None]:
    return entry.check.anchor, entry.line.metric, entry.line.at


def _headlines(own: Sequence[Check]) -> Iterator[Entry]:
    """Yield each headline once: of several checks where it fell the deepest, or has changed."""
    found: dict[tuple[str, str], list[tuple[Metric, Check]]] = {}
    for check in own:
        named: dict[tuple[str, str], list[Metric]] = {}
        for metric in filter(_leads(check.item), check.item.metrics):
            named.setdefault((check.item.measure, metric.name), []).append(metric)
        for key, metrics in named.items():
            found.setdefault(key, []).append((_point(metrics, check.item), check))
    first = [
        min(one, key=lambda one: (_rank(one[0], one[1].item), one[1].item.comparison is None))
        for one in found.values()
    ]
    for metric, check in sorted(first, key=lambda one: _headline(one[0]).rank):
        headline, images = _headline(metric), check.item.images or "images"
        label = f"{headline.label} on {images}" if headline.unlike else headline.label
        yield _entry(label, metric, check, share=headline.share)


def _leads(item: Item) -> Callable[[Metric], bool]:
    """Return whether a metric of an item may lead a card."""
    unlike = item.images == "art" or item.against is not None
    return lambda m: m.headline is not None and (unlike or not m.headline.unlike) and _said(m)


def _headline(metric: Metric) -> Headline:
    assert metric.headline is not None, "only metrics that lead a card are asked"
    return metric.headline


def _judged(own: Sequence[Check]) -> Iterator[Entry]:
    """Yield what expectations are about, the deepest falls first."""
    found = {
        (check.anchor, metric.name, metric.at): (metric, check)
        for check in own
        for metric in check.item.metrics
        if _said(metric) and _rank(metric, check.item) < _RANKS[Verdict.RECORDED]
    }
    for metric, check in sorted(found.values(), key=lambda one: _rank(one[0], one[1].item)):
        share = metric.method == "wilson" or bool(metric.spread)
        yield _entry(words.plain(metric.name), metric, check, share=share)


def _entry(label: str, metric: Metric, check: Check, *, share: bool) -> Entry:
    told = check.item.comparison
    changes = [] if told is None else told.changes
    shifts = [
        shift(one, check.item)
        for one in changes
        if (one.metric, one.at) == (metric.name, metric.at)
    ]
    return Entry(
        label=label,
        line=_worst(metric, check.item),
        gauge=gauge(metric, check.colour) if share else None,
        check=check,
        shift=shifts[0] if shifts else None,
    )


def _said(metric: Metric) -> bool:
    """Whether there is a value, or should be one."""
    return metric.value is not None or metric.lost


def _point(metrics: Sequence[Metric], item: Item) -> Metric:
    """Return the point of an axis that was judged, else the usual one, else its middle."""
    worst = min(metrics, key=lambda metric: _rank(metric, item))
    if _rank(worst, item) < _RANKS[Verdict.RECORDED]:
        return worst
    usual = [metric for metric in metrics if metric.at == USUAL]
    return (usual or metrics[len(metrics) // 2 :])[0]


_RANKS = {verdict: rank for rank, verdict in enumerate(Verdict)}


def _rank(metric: Metric, item: Item) -> int:
    """Return how badly a metric was judged: 0 is invalid, and nothing expected is recorded."""
    return _RANKS[_worst(metric, item).verdict]


def _worst(metric: Metric, item: Item) -> Line:
    return min(lines_of(metric, item), key=lambda line: _RANKS[line.verdict])
