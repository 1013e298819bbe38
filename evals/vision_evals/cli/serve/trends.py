"""Each metric over the runs of a folder: a line for each alias where runs asked the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vision_evals.cli.serve.dates import short
from vision_evals.cli.serve.questions import Change, Question, Seen, questions
from vision_evals.log import Item, Metric, Plot, Run
from vision_evals.report import lines, plots
from vision_evals.report.colours import coloured
from vision_evals.report.lines import At
from vision_evals.report.plots import Frame

MOST = 60
"""Runs of a check that are drawn, the newest: no eye tells more of them apart."""


@dataclass(frozen=True, slots=True)
class Trend:
    """One check of one suite, over the runs that judged it."""

    suite: str
    title: str
    check: str
    key: str
    """Short for suite and check: its address."""
    runs: int
    drawn: int
    """Of them, the newest."""
    judged: tuple[Frame, ...]
    """Metrics that an expectation was about."""
    further: tuple[Frame, ...]
    """The other metrics."""
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """What all charts of a check share."""

    many: tuple[Seen, ...]
    asked: tuple[Question, ...]
    ticks: tuple[str, ...]
    colours: Mapping[str, str]


def trends(runs: Sequence[Run]) -> tuple[Trend, ...]:
    """Return the checks that two runs or more have numbers of.

    Args:
        runs: oldest first.
    """
    checks: dict[tuple[str, str], list[Seen]] = {}
    for run in runs:
        if run.settings.shard is not None:
            continue  # a part judges nothing
        found: dict[tuple[str, str], list[Item]] = {}
        for item in run.items:
            found.setdefault((item.suite, item.check), []).append(item)
        for key, items in found.items():
            checks.setdefault(key, []).append(Seen.of(run, items))
    titles = {suite.path: suite.title for run in runs for suite in run.suites}
    colours = coloured(a for many in checks.values() for one in many for a in one.items)
    return tuple(
        _trend((path, titles.get(path, path), check), many, colours)
        for (path, check), many in checks.items()
        if sum(bool(one.items) for one in many) > 1
    )


def _trend(names: tuple[str, str, str], seen: Sequence[Seen], colours: Mapping[str, str]) -> Trend:
    many = tuple(seen[-MOST:])
    asked, changes = questions(many)
    place = _Place(many, asked, short([one.run.started for one in many]), colours)
    newest: dict[At, Metric] = {}  # which knows best what a metric is
    for found in (found for one in reversed(many) for found in one.metrics.values()):
        for key, metric in found.items():
            newest.setdefault(key, metric)
    held = {
        (judgement.metric, judgement.at)
        for one in many
        for item in one.items.values()
        for judgement in item.judgements
    }
    drawn = {key: _frame(key, metric, place) for key, metric in newest.items()}
    frames = {key: frame for key, frame in drawn.items() if frame is not None}
    path, title, check = names
    return Trend(
        suite=path,
        title=title,
        check=check,
        key=hashlib.sha256(f"{path}\0{check}".encode("utf-8", "replace")).hexdigest()[:16],
        runs=len(seen),
        drawn=len(many),
        judged=tuple(frame for key, frame in frames.items() if key in held),
        further=tuple(frame for key, frame in frames.items() if key not in held),
        changes=changes,
    )


def _frame(key: At, metric: Metric, place: _Place) -> Frame | None:
    """Return a metric at a point of its axis; None where no alias has two numbers of it."""
    said = list(
        lines.grounds(of[key] for one in place.many for of in one.metrics.values() if key in of)
    )
    drawn = [
        (alias, plot)
        for alias in dict.fromkeys(alias for one in place.many for alias in one.items)
        if (plot := _plot(key, metric, alias, place, said)).lines
    ]
    if not any(sum(map(lines.count_values, plot.lines)) > 1 for _, plot in drawn):
        return None
    return plots.frame(drawn, place.colours, plots.scale([plot for _, plot in drawn]))


def _plot(key: At, metric: Metric, alias: str, place: _Place, said: Sequence[str]) -> Plot:
    drawn = [
        lines.line(
            metric.name if len(place.asked) == 1 else question.name,
            [(float(at), place.many[at].metrics.get(alias, {}).get(key)) for at in question.places],
        )
        for question in place.asked
    ]
    return lines.plot(metric, metric.at, drawn, "run", said, place.ticks)
