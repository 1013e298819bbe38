"""Each metric over the runs of a folder: a line for each alias under the same conditions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from vision_evals.log import Item, Metric, Plot, Run, Verdict
from vision_evals.report import lines, plots, words
from vision_evals.report.colours import coloured
from vision_evals.report.groups import grouped
from vision_evals.report.lines import At
from vision_evals.report.plots import Frame
from vision_evals.verdict.baseline.provenance import Side, differences

MAX_DRAWN_RUNS = 60
"""The newest runs of a check, which are drawn: more are not legible."""

DATE_FORMATS = ("%d %b", "%d %b %Y", "%d %b %H:%M", "%d %b %Y %H:%M")


@dataclass(frozen=True, slots=True)
class JudgedCheck:
    """A check as one run judged it."""

    run: Run
    items: Mapping[str, Item]
    """By alias; items without valid numbers are left out."""
    metrics: Mapping[str, Mapping[At, Metric]]
    """Of each of them."""

    @classmethod
    def of(cls, run: Run, items: Sequence[Item]) -> JudgedCheck:
        """Return a check of a run."""
        valid = {
            item.classifier: item
            for item in items
            if item.metrics and item.verdict is not Verdict.INVALID
        }
        metrics = {
            alias: {(metric.name, metric.at): metric for metric in item.metrics}
            for alias, item in valid.items()
        }
        return cls(run, valid, metrics)


@dataclass(frozen=True, slots=True)
class ConditionChange:
    """A run whose conditions differ from those of all runs before it."""

    name: str
    """Of its conditions, as in the legend."""
    than: str
    """Name of the conditions that are nearest."""
    run: str
    date: str
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Runs of the same conditions, by their place."""

    name: str
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trend:
    """One check of one suite, over the runs that judged it."""

    suite: str
    title: str
    check: str
    key: str
    """Digest of suite and check: its address."""
    runs: int
    drawn: int
    """Of them, the newest."""
    judged: tuple[Frame, ...]
    """Metrics that have an expectation."""
    further: tuple[Frame, ...]
    """The other metrics."""
    changes: tuple[ConditionChange, ...]


@dataclass(frozen=True, slots=True)
class _Chart:
    """What all charts of a check share."""

    checks: tuple[JudgedCheck, ...]
    conditions: tuple[Conditions, ...]
    ticks: tuple[str, ...]
    colours: Mapping[str, str]


def trends(runs: Sequence[Run]) -> tuple[Trend, ...]:
    """Return the checks that have numbers in two runs or more.

    Args:
        runs: oldest first.
    """
    by_check = grouped(
        (key, JudgedCheck.of(run, items))
        for run in runs
        if run.settings.shard is None  # a part judges nothing
        for key, items in grouped(((item.suite, item.check), item) for item in run.items).items()
    )
    titles = {suite.path: suite.title for run in runs for suite in run.suites}
    colours = coloured(alias for checks in by_check.values() for c in checks for alias in c.items)
    return tuple(
        _trend((path, titles.get(path, path), name), checks, colours)
        for (path, name), checks in by_check.items()
        if sum(bool(check.items) for check in checks) > 1
    )


def _trend(
    names: tuple[str, str, str], checks: Sequence[JudgedCheck], colours: Mapping[str, str]
) -> Trend:
    drawn = tuple(checks[-MAX_DRAWN_RUNS:])
    conditions, changes = runs_by_conditions(drawn)
    chart = _Chart(drawn, conditions, short_dates([c.run.started for c in drawn]), colours)
    newest: dict[At, Metric] = {}  # which describes the metric best
    for metrics in (metrics for check in reversed(drawn) for metrics in check.metrics.values()):
        newest |= {key: metric for key, metric in metrics.items() if key not in newest}
    judged = {
        (judgement.metric, judgement.at)
        for check in drawn
        for item in check.items.values()
        for judgement in item.judgements
    }
    frames = {key: frame for key, metric in newest.items() if (frame := _frame(key, metric, chart))}
    path, title, check_name = names
    return Trend(
        suite=path,
        title=title,
        check=check_name,
        key=hashlib.sha256(f"{path}\0{check_name}".encode("utf-8", "replace")).hexdigest()[:16],
        runs=len(checks),
        drawn=len(drawn),
        judged=tuple(frame for key, frame in frames.items() if key in judged),
        further=tuple(frame for key, frame in frames.items() if key not in judged),
        changes=changes,
    )


def _frame(key: At, metric: Metric, chart: _Chart) -> Frame | None:
    """Return a metric at a point of its axis; None where no alias has two numbers of it."""
    grounds = list(
        lines.grounds(
            metrics[key]
            for check in chart.checks
            for metrics in check.metrics.values()
            if key in metrics
        )
    )
    drawn = [
        (alias, plot)
        for alias in dict.fromkeys(alias for check in chart.checks for alias in check.items)
        if (plot := _plot(key, metric, alias, chart, grounds)).lines
    ]
    if not any(sum(map(lines.count_values, plot.lines)) > 1 for _, plot in drawn):
        return None
    return plots.frame(drawn, chart.colours)


def _plot(key: At, metric: Metric, alias: str, chart: _Chart, grounds: Sequence[str]) -> Plot:
    drawn = [
        lines.line(
            metric.name if len(chart.conditions) == 1 else conditions.name,
            [
                (float(place), chart.checks[place].metrics.get(alias, {}).get(key))
                for place in conditions.places
            ],
        )
        for conditions in chart.conditions
    ]
    return lines.plot(metric, metric.at, drawn, "run", grounds, chart.ticks)


def short_dates(dates: Sequence[str]) -> tuple[str, ...]:
    """Return short names of moments, by the first format that gives each its own, or the last.

    Args:
        dates: ISO 8601; any other text stays as it is.
    """
    moments = [_moment(text) for text in dates]
    years = len({moment.year for moment in moments if isinstance(moment, datetime)})
    names: tuple[str, ...] = ()
    for form in DATE_FORMATS:
        if years > 1 and "%Y" not in form:
            continue
        names = tuple(m if isinstance(m, str) else m.strftime(form).lstrip("0") for m in moments)
        if len(set(names)) == len(set(dates)):
            break
    return names


def _moment(text: str) -> datetime | str:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def runs_by_conditions(
    checks: Sequence[JudgedCheck],
) -> tuple[tuple[Conditions, ...], tuple[ConditionChange, ...]]:
    """Return which runs of a check have the same conditions, and what the others changed.

    The same means what a gate demands of two runs, and the precision. A run without numbers has a
    place under all conditions, where their line breaks.

    Args:
        checks: one for each run, oldest first.
    """
    groups: list[list[int]] = []
    changes = []
    sides = {place: _side(check) for place, check in enumerate(checks) if check.items}
    for place, side in sides.items():
        by_group = [differences(sides[group[-1]], side) for group in groups]
        if () in by_group:
            groups[by_group.index(())].append(place)
            continue
        groups.append([place])
        if by_group:
            nearest = min(range(len(by_group)), key=lambda rank: len(by_group[rank]))
            run, names = (
                checks[place].run,
                (_conditions_name(len(groups)), _conditions_name(nearest + 1)),
            )
            date = words.date(run.started)
            changes.append(ConditionChange(*names, run.id, date, by_group[nearest]))
    empty = [place for place in range(len(checks)) if place not in sides]
    conditions = (
        Conditions(_conditions_name(number), tuple(sorted([*group, *empty])))
        for number, group in enumerate(groups, 1)
    )
    return tuple(conditions), tuple(changes)


def _side(check: JudgedCheck) -> Side:
    """Return what must be equal in two runs of the same conditions; networks may differ."""
    item = next(iter(check.items.values()))
    roles = {item.images, item.against}
    images = tuple(images for images in check.run.image_sets if images.role in roles)
    return Side(item, None, check.run.settings, images)


def _conditions_name(number: int) -> str:
    return f"conditions {number}"
