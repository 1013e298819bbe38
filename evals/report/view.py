"""From the log to what the page shows: every decision of the report, and no HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.log import Classifier, Item, Judgement, Metric, Run, Suite, Validity, Verdict
from evals.report import rounding, words
from evals.report.charts import Bar, Chart, Figure, bar, charts, figures
from evals.report.gallery import Gallery, gallery
from evals.report.timing import Timing, timing

COLOURS = 8
"""Classes ``c0`` to ``c7`` of ``style.css``; a ninth classifier shares a colour, never a name."""


@dataclass(frozen=True, slots=True)
class Count:
    """How often a verdict was given."""

    verdict: Verdict
    n: int


@dataclass(frozen=True, slots=True)
class Fall:
    """An expectation that does not hold."""

    judgement: Judgement
    short: str | None
    bar: Bar | None
    threshold: float | None


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
class Check:
    """One item: a check on a classifier."""

    anchor: str
    item: Item
    colour: str
    lines: tuple[Line, ...]
    falls: tuple[Fall, ...]
    excused: tuple[Fall, ...]
    broken: tuple[Validity, ...]
    unsure: tuple[Validity, ...]
    holding: tuple[Validity, ...]
    command: str


@dataclass(frozen=True, slots=True)
class Group:
    """All items of one check of a suite."""

    name: str
    charts: tuple[Chart, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """One suite."""

    anchor: str
    suite: Suite
    paragraphs: tuple[str, ...]
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the templates show that is not in the log word for word."""

    headline: str
    alert: str | None
    tone: str
    date: str
    counts: tuple[Count, ...]
    bad: tuple[Check, ...]
    excused: tuple[Check, ...]
    unsure: tuple[Check, ...]
    unjudged: tuple[Check, ...]
    checks: tuple[Check, ...]
    unavailable: tuple[Classifier, ...]
    colours: Mapping[str, str]
    chapters: tuple[Chapter, ...]
    gallery: Gallery
    timings: tuple[Timing, ...]
    metrics: tuple[str, ...]
    methods: tuple[str, ...]


def page(run: Run, directory: Path) -> Page:
    """Return the view of a run whose tables and pictures lie in ``directory``."""
    aliases = [c.alias for c in run.classifiers] + [item.classifier for item in run.items]
    colours = {alias: f"c{i % COLOURS}" for i, alias in enumerate(dict.fromkeys(aliases))}
    cards = {card.alias: card for card in run.classifiers}
    checks = tuple(
        _check(f"check-{number}", item, colours[item.classifier], run.command)
        for number, item in enumerate(run.items, 1)
    )
    counts = Counter(item.verdict for item in run.items)
    used = [metric for item in run.items for metric in item.metrics]
    return Page(
        headline=words.headline(run, counts),
        alert=words.alert(run),
        tone=_tone(run, counts),
        date=words.date(run.started),
        counts=tuple(Count(verdict, counts[verdict]) for verdict in Verdict),
        bad=tuple(
            check for verdict in words.BAD for check in checks if check.item.verdict is verdict
        ),
        excused=tuple(check for check in checks if check.excused),
        unsure=tuple(check for check in checks if check.unsure),
        unjudged=tuple(
            check
            for check in checks
            if check.item.verdict in {Verdict.NOT_APPLICABLE, Verdict.UNAVAILABLE}
        ),
        checks=checks,
        unavailable=tuple(card for card in run.classifiers if card.unavailable is not None),
        colours=colours,
        chapters=_chapters(run, cards, colours),
        gallery=gallery(run.items, cards, colours, directory),
        timings=tuple(timing(walk) for walk in run.walks),
        metrics=tuple(dict.fromkeys(metric.name for metric in used)),
        methods=tuple(dict.fromkeys(metric.method for metric in used if metric.method)),
    )


def _tone(run: Run, counts: Mapping[Verdict, int]) -> str:
    if counts[Verdict.INVALID] or counts[Verdict.FAILED]:
        return "bad"
    if counts[Verdict.INCONCLUSIVE] or run.status != "finished":
        return "unsure"
    return "good" if counts[Verdict.PASSED] else "unsure"


def _check(anchor: str, item: Item, colour: str, command: str) -> Check:
    falls = [
        (judgement, _fall(judgement, item, colour))
        for judgement in item.judgements
        if judgement.verdict in words.BAD
    ]
    return Check(
        anchor=anchor,
        item=item,
        colour=colour,
        lines=tuple(line for metric in item.metrics for line in _lines(metric, item)),
        falls=tuple(fall for judgement, fall in falls if not _excuse(judgement)),
        excused=tuple(fall for judgement, fall in falls if _excuse(judgement)),
        broken=tuple(v for v in item.validity if v.outcome == "falls"),
        unsure=tuple(v for v in item.validity if v.outcome == "cannot tell"),
        holding=tuple(v for v in item.validity if v.outcome == "holds"),
        command=words.reproduce(item.id, command),
    )


def _lines(metric: Metric, item: Item) -> list[Line]:
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
        reason=metric.reason,
        wanted=judgement.wanted if judgement else None,
        verdict=_said(judgement, item),
        excuse=_excuse(judgement) if judgement else None,
    )


def _said(judgement: Judgement | None, item: Item) -> Verdict:
    # A number that cannot be trusted passes nothing, whatever was said of it alone.
    if item.verdict is Verdict.INVALID or not item.verdict.judged:
        return item.verdict
    return judgement.verdict if judgement else Verdict.RECORDED


def _excuse(judgement: Judgement) -> str | None:
    if judgement.verdict not in words.BAD:
        return None
    if judgement.known is not None:
        return f"known: {judgement.known}"
    return "only a warning" if judgement.severity == "warn" else None


def _fall(judgement: Judgement, item: Item, colour: str) -> Fall:
    metric = next(
        (m for m in item.metrics if (m.name, m.at) == (judgement.metric, judgement.at)), None
    )
    share = metric is not None and metric.unit == "fraction" and metric.value is not None
    return Fall(
        judgement=judgement,
        short=_short(judgement, metric),
        bar=bar(metric, item, colour) if metric is not None and share else None,
        threshold=judgement.threshold,
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


def _chapters(
    run: Run, cards: Mapping[str, Classifier], colours: Mapping[str, str]
) -> tuple[Chapter, ...]:
    told = {suite.path: suite for suite in run.suites}
    paths = dict.fromkeys([*told, *(item.suite for item in run.items)])
    return tuple(
        _chapter(
            f"suite-{number}",
            told.get(path) or Suite(path=path, title=path),
            [item for item in run.items if item.suite == path],
            cards,
            colours,
        )
        for number, path in enumerate(paths, 1)
    )


def _chapter(
    anchor: str,
    suite: Suite,
    items: Sequence[Item],
    cards: Mapping[str, Classifier],
    colours: Mapping[str, str],
) -> Chapter:
    groups = []
    for name in dict.fromkeys(item.check for item in items):
        members = [item for item in items if item.check == name]
        groups.append(Group(name, charts(members, cards, colours), figures(members, colours)))
    paragraphs = (" ".join(part.split()) for part in suite.about.split("\n\n"))
    return Chapter(anchor, suite, tuple(filter(None, paragraphs)), tuple(groups))
