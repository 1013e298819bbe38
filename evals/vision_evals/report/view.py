"""From the log to what the page shows: every decision of the report, and no HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from vision_evals.log import Classifier, Item, Run, Suite, Verdict
from vision_evals.report import first, words
from vision_evals.report.addresses import Addresses
from vision_evals.report.cards import NetworkCard, cards
from vision_evals.report.charts import Chart, Figure, charts, figures
from vision_evals.report.checks import CheckView, check
from vision_evals.report.colours import coloured
from vision_evals.report.curves import Sweep, sweeps
from vision_evals.report.first import Count, Failure, Folded, Note, Unjudged
from vision_evals.report.gallery import Gallery, gallery
from vision_evals.report.glossary import Kind, Term, glossary
from vision_evals.report.groups import grouped
from vision_evals.report.mutants import Matrix, matrix
from vision_evals.report.plots import Frame, frames
from vision_evals.report.series import SeriesTrend, trends
from vision_evals.report.side_by_side import Compared, compared
from vision_evals.report.timing import Timing, timing
from vision_evals.report.trainings import Lesson, lessons

Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True)
class Group:
    """All items of one check of a suite, with the numbers that no check before it showed."""

    name: str
    charts: tuple[Chart, ...]
    sweeps: tuple[Sweep, ...]
    figures: tuple[Figure, ...]
    frames: tuple[Frame, ...]
    repeated: bool


@dataclass(frozen=True, slots=True)
class Chapter:
    """One suite."""

    anchor: str
    suite: Suite
    paragraphs: tuple[str, ...]
    sweeps: tuple[Sweep, ...]
    groups: tuple[Group, ...]
    trained: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the templates show that is not in the log word for word."""

    headline: str
    alert: str | None
    tone: str
    date: str
    failures: Folded[Failure]
    notes: tuple[Note, ...]
    counts: tuple[Count, ...]
    cards: Folded[NetworkCard]
    bad: tuple[CheckView, ...]
    excused: tuple[CheckView, ...]
    warned: tuple[CheckView, ...]
    unjudged: Folded[Unjudged]
    checks: tuple[CheckView, ...]
    colours: Mapping[str, str]
    trends: tuple[SeriesTrend, ...]
    chapters: tuple[Chapter, ...]
    lessons: tuple[Lesson, ...]
    trained: Mapping[str, str]
    gallery: Gallery
    mutants: Matrix | None
    compared: Compared | None
    timings: tuple[Timing, ...]
    glossary: Mapping[tuple[Kind, str], Term]


def page(run: Run, directory: Path, addresses: Addresses) -> Page:
    """Return the view of a run whose tables and pictures lie in ``directory``."""
    colours = coloured([*(c.alias for c in run.classifiers), *(i.classifier for i in run.items)])
    cards_by_alias = {card.alias: card for card in run.classifiers}
    checks = tuple(
        check(f"check-{number}", item, colours[item.classifier], run.command)
        for number, item in enumerate(run.items, 1)
    )
    bad = [check_view for check_view in checks if check_view.item.verdict in words.BAD]
    bad.sort(key=lambda check_view: words.BAD.index(check_view.item.verdict))
    counts = Counter(item.verdict for item in run.items)
    taught = lessons(run, colours)

    return Page(
        headline=words.headline(run, counts),
        alert=words.alert(run),
        tone=tone(run, counts),
        date=words.date(run.started),
        failures=first.failures(bad),
        notes=first.notes(checks),
        counts=first.counts(run),
        cards=first.folded(cards(run, checks, colours)),
        bad=tuple(bad),
        excused=tuple(check_view for check_view in checks if check_view.excused),
        warned=tuple(check_view for check_view in checks if check_view.warned),
        unjudged=first.unjudged(run, colours),
        checks=checks,
        colours=colours,
        trends=trends(run, colours),
        chapters=_chapters(run, cards_by_alias, colours),
        lessons=taught,
        trained={course.classifier: course.anchor for part in taught for course in part.courses},
        gallery=gallery(run, colours, directory, addresses),
        compared=compared(run, colours, directory, addresses),
        mutants=matrix(run.mutants, finished=run.status == "finished"),
        timings=tuple(timing(pass_record) for pass_record in run.passes),
        glossary=glossary(run.items),
    )


def tone(run: Run, counts: Mapping[Verdict, int]) -> str:
    """Return whether a run is ``good``, ``bad`` or ``unsure``: the colour of its headline."""
    if counts[Verdict.INVALID] or counts[Verdict.FAILED]:
        return "bad"
    if counts[Verdict.INCONCLUSIVE] or run.status != "finished" or run.not_run:
        return "unsure"
    return "good" if counts[Verdict.PASSED] else "unsure"


def _chapters(
    run: Run, cards: Mapping[str, Classifier], colours: Mapping[str, str]
) -> tuple[Chapter, ...]:
    suites = {suite.path: suite for suite in run.suites}
    paths = dict.fromkeys([*suites, *(item.suite for item in run.items)])
    return tuple(
        _chapter(
            f"suite-{number}",
            suites.get(path) or Suite(path=path, title=path),
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
    groups: list[Group] = []
    seen: list[object] = []
    curves = sweeps(items, colours)
    for name, members in grouped((item.check, item) for item in items).items():
        all_charts, all_figures = charts(members, cards, colours), figures(members, colours)
        all_frames = frames(members, colours)
        new_charts, new_figures = _unseen(all_charts, seen), _unseen(all_figures, seen)
        new_frames = _unseen(all_frames, seen)
        new = (*new_charts, *new_figures, *new_frames)
        seen += new
        own_sweeps = tuple(sweep for sweep in curves if sweep.checks == (name,))
        above = any(name in sweep.checks for sweep in curves if len(sweep.checks) > 1)
        if above and not (own_sweeps or new):
            continue  # its plot bears its name
        repeated = above or new != (*all_charts, *all_figures, *all_frames)
        groups.append(Group(name, new_charts, own_sweeps, new_figures, new_frames, repeated))
    paragraphs = (" ".join(part.split()) for part in suite.about.split("\n\n"))
    compared = tuple(sweep for sweep in curves if len(sweep.checks) > 1)
    judged = dict.fromkeys(item.classifier for item in items)
    return Chapter(
        anchor=anchor,
        suite=suite,
        paragraphs=tuple(filter(None, paragraphs)),
        sweeps=compared,
        groups=tuple(groups),
        trained=tuple(alias for alias in judged if alias in cards and cards[alias].trainings),
    )


def _unseen(parts: Iterable[Shown], before: Container[object]) -> tuple[Shown, ...]:
    return tuple(part for part in parts if part not in before)
