"""One item of the log: its numbers, what failed and by how much, and how to see it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vision_evals.log import Change, Item, Judgement, Metric, Validity, Verdict
from vision_evals.report import rounding, words
from vision_evals.report.rounding import Reading


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


MAX_OPEN_POINTS = 2
"""Points of an axis that all stand in the table; of more only those do that are judged."""


@dataclass(frozen=True, slots=True)
class FailedExpectation:
    """An expectation that does not hold."""

    judgement: Judgement
    short: str | None
    excuse: str | None
    """Why it fails nothing."""
    gauge: Gauge | None


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One metric in the table of all checks, with one of its expectations if it has any."""

    metric: str
    at: str | None
    reading: Reading
    denominator: str
    wanted: str | None
    verdict: Verdict
    excuse: str | None


@dataclass(frozen=True, slots=True)
class MetricLines:
    """All lines of one metric: of a long axis only the judged points stand in the open."""

    metric: str
    lines: tuple[CheckLine, ...]
    folded: tuple[CheckLine, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class CheckView:
    """One item: a check on a classifier."""

    anchor: str
    item: Item
    colour: str
    metric_lines: tuple[MetricLines, ...]
    failed_expectations: tuple[FailedExpectation, ...]
    excused: tuple[FailedExpectation, ...]
    failed_validity: tuple[Validity, ...]
    warned: tuple[Validity, ...]
    undecided: tuple[Validity, ...]
    passed: tuple[Validity, ...]
    validity_counts: str
    """How many validity checks passed, failed, warn or are undecided."""
    command: str


def check(anchor: str, item: Item, colour: str, command: str) -> CheckView:
    """Return the view of an item.

    Args:
        anchor: its place on the page.
        item: of the log.
        colour: its classifier's.
        command: what was typed to start the run.
    """
    failed = [
        _failed(judgement, item, colour)
        for judgement in item.judgements
        if judgement.verdict in words.BAD
    ]
    return CheckView(
        anchor=anchor,
        item=item,
        colour=colour,
        metric_lines=tuple(_metric_lines(item)),
        failed_expectations=tuple(entry for entry in failed if entry.excuse is None),
        excused=tuple(entry for entry in failed if entry.excuse is not None),
        failed_validity=tuple(v for v in item.validity if v.invalidates),
        warned=tuple(v for v in item.validity if v.outcome == "failed" and not v.invalidates),
        undecided=tuple(v for v in item.validity if v.outcome == "undecided"),
        passed=tuple(v for v in item.validity if v.outcome == "passed"),
        validity_counts=validity_counts(item),
        command=words.reproduce(item.id, command),
    )


def validity_counts(item: Item) -> str:
    """Return ``12 validity checks passed, 1 failed, 1 warns, 2 undecided``."""
    failed = sum(v.invalidates for v in item.validity)
    outcomes = Counter(v.outcome for v in item.validity)
    warned = outcomes["failed"] - failed
    counts = [f"{words.plural(outcomes['passed'], 'validity check')} passed"]
    counts += [f"{failed} failed"] if failed else []
    counts += [f"{warned} {'warns' if warned == 1 else 'warn'}"] if warned else []
    counts += [f"{outcomes['undecided']} undecided"] if outcomes["undecided"] else []
    return ", ".join(counts)


def _metric_lines(item: Item) -> Iterator[MetricLines]:
    for name in dict.fromkeys(metric.name for metric in item.metrics):
        lines = [line for m in item.metrics if m.name == name for line in lines_of(m, item)]
        quiet = [line for line in lines if line.at is not None and line.wanted is None]
        folded = quiet if len(lines) > MAX_OPEN_POINTS else []
        shown_lines = tuple(line for line in lines if line not in folded)
        yield MetricLines(
            name, shown_lines, tuple(folded), _summary(folded, more=bool(shown_lines))
        )


def _summary(folded: Sequence[CheckLine], *, more: bool) -> str:
    """Return ``7 more points recorded``, or the verdicts of points without an expectation."""
    counts = Counter(line.verdict for line in folded)
    points = words.plural(len(folded), "more point" if more else "point")
    if set(counts) == {Verdict.RECORDED}:
        return f"{points} recorded"
    return f"{points}: {words.listed([f'{n} {verdict}' for verdict, n in counts.items()])}"


def metric_of(judgement: Judgement | Change, item: Item) -> Metric | None:
    """Return the metric of an item that a judgement or a change is about; None if it has none."""
    wanted = (judgement.metric, judgement.at)
    return next((metric for metric in item.metrics if (metric.name, metric.at) == wanted), None)


def judgements_of(metric: Metric, item: Item) -> list[Judgement]:
    """Return what an item expects of a metric."""
    return [j for j in item.judgements if (j.metric, j.at) == (metric.name, metric.at)]


def lines_of(metric: Metric, item: Item) -> list[CheckLine]:
    """Return a line for each expectation that an item holds of a metric, or one without any."""
    judgements: Sequence[Judgement | None] = judgements_of(metric, item) or [None]
    return [_line(metric, judgement, item) for judgement in judgements]


def _line(metric: Metric, judgement: Judgement | None, item: Item) -> CheckLine:
    value = None
    if judgement and metric.value is not None and judgement.threshold is not None:
        value = rounding.apart(metric.value, judgement.threshold, rounding.places(metric))
    return CheckLine(
        metric=metric.name,
        at=metric.at,
        reading=rounding.reading(metric, value),
        denominator=metric.denominator,
        wanted=judgement.wanted if judgement else None,
        verdict=verdict_of(metric, judgement, item),
        excuse=words.excuse(judgement) if judgement else None,
    )


def verdict_of(metric: Metric | None, judgement: Judgement | None, item: Item) -> Verdict:
    """Return the verdict on one number of an item."""
    refused = any(other.verdict is Verdict.INVALID for other in item.judgements)
    if item.verdict is Verdict.INVALID and not refused:
        # A number that cannot be trusted passes nothing, whatever its own verdict.
        return Verdict.INVALID
    if judgement is not None:
        return judgement.verdict
    absent = metric is None or metric.value is None
    return Verdict.NOT_APPLICABLE if absent else Verdict.RECORDED


def _failed(judgement: Judgement, item: Item, colour: str) -> FailedExpectation:
    metric = metric_of(judgement, item)
    return FailedExpectation(
        judgement=judgement,
        short=_short(judgement, metric),
        excuse=words.excuse(judgement),
        gauge=None if metric is None else gauge(metric, colour, judgement.threshold),
    )


def _short(judgement: Judgement, metric: Metric | None) -> str | None:
    """Say by how much a number missed its threshold, or why that is not known."""
    if metric is None or judgement.value is None or judgement.threshold is None:
        return None
    if judgement.verdict is Verdict.INCONCLUSIVE:
        return f"the interval contains the threshold of {rounding.written(judgement.threshold)}"
    gap = judgement.value - judgement.threshold
    size = rounding.apart(abs(gap), 0.0, rounding.places(metric))
    side = "below" if gap < 0 else "above"
    return f"{size} {side} the threshold of {rounding.written(judgement.threshold)}"
