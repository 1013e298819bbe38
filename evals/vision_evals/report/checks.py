"""One item of the log: its numbers, what fell and by how much, and how to see it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vision_evals.log import Item, Judgement, Metric, Validity, Verdict
from vision_evals.report import rounding, words
from vision_evals.report.gauges import Gauge, gauge

FEW = 2
"""Points of an axis that all stand in the table; of more only those do that are judged."""


@dataclass(frozen=True, slots=True)
class Fall:
    """An expectation that does not hold."""

    judgement: Judgement
    short: str | None
    gauge: Gauge | None


@dataclass(frozen=True, slots=True)
class Line:
    """One metric in the table of all checks, with one of its expectations if it has any."""

    metric: str
    at: str | None
    value: str
    unit: str
    interval: str | None
    n: str
    denominator: str
    reason: str | None
    wanted: str | None
    verdict: Verdict
    excuse: str | None


@dataclass(frozen=True, slots=True)
class Family:
    """All lines of one metric: of a long axis only the judged points stand in the open."""

    metric: str
    lines: tuple[Line, ...]
    folded: tuple[Line, ...]
    said: str


@dataclass(frozen=True, slots=True)
class Check:
    """One item: a check on a classifier."""

    anchor: str
    item: Item
    colour: str
    families: tuple[Family, ...]
    falls: tuple[Fall, ...]
    excused: tuple[Fall, ...]
    broken: tuple[Validity, ...]
    warned: tuple[Validity, ...]
    unsure: tuple[Validity, ...]
    holding: tuple[Validity, ...]
    trust: str
    """How many validity checks hold, fall, warn or cannot tell."""
    command: str


def check(anchor: str, item: Item, colour: str, command: str) -> Check:
    """Return the view of an item.

    Args:
        anchor: its place on the page.
        item: of the log.
        colour: its classifier's.
        command: what was typed to start the run.
    """
    falls = [
        (judgement, _fall(judgement, item, colour))
        for judgement in item.judgements
        if judgement.verdict in words.BAD
    ]
    return Check(
        anchor=anchor,
        item=item,
        colour=colour,
        families=tuple(_families(item)),
        falls=tuple(fall for judgement, fall in falls if not words.excuse(judgement)),
        excused=tuple(fall for judgement, fall in falls if words.excuse(judgement)),
        broken=tuple(v for v in item.validity if v.invalidates),
        warned=tuple(v for v in item.validity if v.outcome == "failed" and not v.invalidates),
        unsure=tuple(v for v in item.validity if v.outcome == "undecided"),
        holding=tuple(v for v in item.validity if v.outcome == "passed"),
        trust=trust(item),
        command=words.reproduce(item.id, command),
    )


def trust(item: Item) -> str:
    """Return ``12 validity checks hold, 1 falls, 1 warns, 2 cannot tell``."""
    holding = sum(v.outcome == "passed" for v in item.validity)
    fallen = sum(v.invalidates for v in item.validity)
    warned = sum(v.outcome == "failed" for v in item.validity) - fallen
    unsure = len(item.validity) - holding - fallen - warned
    said = [f"{words.plural(holding, 'validity check')} {'holds' if holding == 1 else 'hold'}"]
    said += [f"{fallen} {'falls' if fallen == 1 else 'fall'}"] if fallen else []
    said += [f"{warned} {'warns' if warned == 1 else 'warn'}"] if warned else []
    said += [f"{unsure} cannot tell"] if unsure else []
    return ", ".join(said)


def _families(item: Item) -> Iterator[Family]:
    for name in dict.fromkeys(metric.name for metric in item.metrics):
        lines = [line for m in item.metrics if m.name == name for line in lines_of(m, item)]
        quiet = [line for line in lines if line.at is not None and line.wanted is None]
        folded = quiet if len(lines) > FEW else []
        shown = tuple(line for line in lines if line not in folded)
        yield Family(name, shown, tuple(folded), _said_of(folded, more=bool(shown)))


def _said_of(folded: Sequence[Line], *, more: bool) -> str:
    """Return ``7 more points recorded``, or what else is said of points that nobody judged."""
    counts = Counter(line.verdict for line in folded)
    points = words.plural(len(folded), "more point" if more else "point")
    if set(counts) == {Verdict.RECORDED}:
        return f"{points} recorded"
    return f"{points}: {words.listed([f'{n} {verdict}' for verdict, n in counts.items()])}"


def lines_of(metric: Metric, item: Item) -> list[Line]:
    """Return a line for each expectation that an item holds of a metric, or one without any."""
    held = [j for j in item.judgements if (j.metric, j.at) == (metric.name, metric.at)]
    return [_line(metric, judgement, item) for judgement in held] or [_line(metric, None, item)]


def _line(metric: Metric, judgement: Judgement | None, item: Item) -> Line:
    value = rounding.point(metric)
    if judgement and metric.value is not None and judgement.threshold is not None:
        value = rounding.apart(metric.value, judgement.threshold, rounding.places(metric))
    return Line(
        metric=metric.name,
        at=metric.at,
        value=value,
        unit=rounding.unit(metric),
        interval=rounding.interval(metric),
        n=rounding.count(metric.n),
        denominator=metric.denominator,
        reason=words.reason(metric),
        wanted=judgement.wanted if judgement else None,
        verdict=_said(metric, judgement, item),
        excuse=words.excuse(judgement) if judgement else None,
    )


def _said(metric: Metric, judgement: Judgement | None, item: Item) -> Verdict:
    refused = any(one.verdict is Verdict.INVALID for one in item.judgements)
    if item.verdict is Verdict.INVALID and not refused:
        # A number that cannot be trusted passes nothing, whatever was said of it alone.
        return Verdict.INVALID
    if judgement is not None:
        return judgement.verdict
    return Verdict.NOT_APPLICABLE if metric.value is None else Verdict.RECORDED


def _fall(judgement: Judgement, item: Item, colour: str) -> Fall:
    metric = next(
        (m for m in item.metrics if (m.name, m.at) == (judgement.metric, judgement.at)), None
    )
    return Fall(
        judgement=judgement,
        short=_short(judgement, metric),
        gauge=None if metric is None else gauge(metric, colour, judgement.threshold),
    )


def _short(judgement: Judgement, metric: Metric | None) -> str | None:
    """Say by how much a number fell, or why it is not known whether it did."""
    if metric is None or judgement.value is None or judgement.threshold is None:
        return None
    if judgement.verdict is Verdict.INCONCLUSIVE:
        return f"the interval holds the threshold of {rounding.written(judgement.threshold)}"
    gap = judgement.value - judgement.threshold
    size = rounding.apart(abs(gap), 0.0, rounding.places(metric))
    side = "below" if gap < 0 else "above"
    return f"{size} {side} the threshold of {rounding.written(judgement.threshold)}"
