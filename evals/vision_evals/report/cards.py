"""The networks side by side: the few numbers of each that a reviewer reads first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vision_evals.log import Headline, Item, Metric, Run, Verdict
from vision_evals.report import words
from vision_evals.report.checks import CheckLine, CheckView, Gauge, gauge, lines_of
from vision_evals.report.groups import grouped
from vision_evals.report.side_by_side import Shift, shift

MIN_HEADLINES = 3
"""With fewer headlines a card goes on with what its expectations are about."""

MAX_CARD_NUMBERS = 5
"""Lines of a card that does."""

USUAL_POINT = "1/255"
"""The point of an axis that is shown where none was judged: one step of 8 bits."""


@dataclass(frozen=True, slots=True)
class CardNumber:
    """One number on a card, and the check that it is from."""

    label: str
    line: CheckLine
    """With the worst of its verdicts; the verdict of its check may differ."""
    gauge: Gauge | None
    check: CheckView
    shift: Shift | None
    """Against the baseline."""


@dataclass(frozen=True, slots=True)
class NetworkCard:
    """One network."""

    alias: str
    colour: str
    network: str
    entries: tuple[CardNumber, ...]


def cards(
    run: Run, checks: Sequence[CheckView], colours: Mapping[str, str]
) -> tuple[NetworkCard, ...]:
    """Return a card for each network that was measured, in the order of the log."""
    checks_of = grouped((check.item.classifier, check) for check in checks)
    return tuple(
        NetworkCard(network.alias, colours[network.alias], network.network, entries)
        for network in run.classifiers
        if (entries := _entries(checks_of.get(network.alias, ())))
    )


def _entries(checks: Sequence[CheckView]) -> tuple[CardNumber, ...]:
    headlines = list(_headlines(checks))
    if len(headlines) >= MIN_HEADLINES:
        return tuple(headlines)
    shown = {_key(entry) for entry in headlines}
    judged = [entry for entry in _judged(checks) if _key(entry) not in shown]
    return (*headlines, *judged)[:MAX_CARD_NUMBERS]


def _key(entry: CardNumber) -> tuple[str, str, str | None]:
    return entry.check.anchor, entry.line.metric, entry.line.at


def _headlines(checks: Sequence[CheckView]) -> Iterator[CardNumber]:
    """Yield each headline once: of several checks the worst verdict, or a change."""
    candidates: dict[tuple[str, str], list[tuple[Metric, CheckView]]] = {}
    for check in checks:
        leading = [metric for metric in check.item.metrics if _leads(metric, check.item)]
        for name, metrics in grouped((metric.name, metric) for metric in leading).items():
            pairs = candidates.setdefault((check.item.measure, name), [])
            pairs.append((_chosen_point(metrics, check.item), check))
    chosen = [
        min(pairs, key=lambda pair: (_rank(pair[0], pair[1].item), pair[1].item.comparison is None))
        for pairs in candidates.values()
    ]
    for metric, check in sorted(chosen, key=lambda pair: _headline(pair[0]).rank):
        headline, images = _headline(metric), check.item.images or "images"
        label = f"{headline.label} on {images}" if headline.unlike else headline.label
        yield _entry(label, metric, check, share=headline.share)


def _leads(metric: Metric, item: Item) -> bool:
    """Return whether a metric of an item may lead a card."""
    if metric.headline is None or not _has_value(metric):
        return False
    return item.images == "art" or item.against is not None or not metric.headline.unlike


def _headline(metric: Metric) -> Headline:
    assert metric.headline is not None, "only metrics that lead a card are asked"
    return metric.headline


def _judged(checks: Sequence[CheckView]) -> Iterator[CardNumber]:
    """Yield what expectations are about, the worst verdicts first."""
    judged = {
        (check.anchor, metric.name, metric.at): (metric, check)
        for check in checks
        for metric in check.item.metrics
        if _has_value(metric) and _rank(metric, check.item) < _RANKS[Verdict.RECORDED]
    }
    for metric, check in sorted(judged.values(), key=lambda pair: _rank(pair[0], pair[1].item)):
        share = metric.method == "wilson" or bool(metric.spread)
        yield _entry(words.plain(metric.name), metric, check, share=share)


def _entry(label: str, metric: Metric, check: CheckView, *, share: bool) -> CardNumber:
    comparison = check.item.comparison
    changes = [] if comparison is None else comparison.changes
    point = (metric.name, metric.at)
    shifts = [shift(c, check.item) for c in changes if (c.metric, c.at) == point]
    return CardNumber(
        label=label,
        line=_worst(metric, check.item),
        gauge=gauge(metric, check.colour) if share else None,
        check=check,
        shift=shifts[0] if shifts else None,
    )


def _has_value(metric: Metric) -> bool:
    """Whether there is a value, or should be one."""
    return metric.value is not None or metric.lost


def _chosen_point(metrics: Sequence[Metric], item: Item) -> Metric:
    """Return the point of an axis that was judged, else the usual one, else its middle."""
    worst = min(metrics, key=lambda metric: _rank(metric, item))
    if _rank(worst, item) < _RANKS[Verdict.RECORDED]:
        return worst
    usual = [metric for metric in metrics if metric.at == USUAL_POINT]
    return (usual or metrics[len(metrics) // 2 :])[0]


_RANKS = {verdict: rank for rank, verdict in enumerate(Verdict)}


def _rank(metric: Metric, item: Item) -> int:
    """Return how badly a metric was judged: 0 is invalid, and nothing expected is recorded."""
    return _RANKS[_worst(metric, item).verdict]


def _worst(metric: Metric, item: Item) -> CheckLine:
    return min(lines_of(metric, item), key=lambda line: _RANKS[line.verdict])
