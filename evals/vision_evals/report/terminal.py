"""The table that ends a run on the terminal."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from vision_evals.core.errors import printable
from vision_evals.log import Item, Metric, Run, Verdict
from vision_evals.log.outcome import verdict_counts
from vision_evals.report.checks import judgements_of
from vision_evals.report.words import with_point

STYLES = {
    Verdict.INVALID: "bold red",
    Verdict.FAILED: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.PASSED: "green",
}


def table(items: Iterable[Item], *, color: bool) -> str:
    """Return a line for each metric of each item: value, interval, n, threshold, verdict."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("classifier", "check", "metric", "value"):
        grid.add_column(name, no_wrap=True)
    grid.add_column("n", justify="right", no_wrap=True)
    grid.add_column("threshold", overflow="fold")
    grid.add_column("verdict", no_wrap=True)
    items = list(items)
    names = Counter(check for _, check in {(item.suite, item.check) for item in items})
    for item in items:
        repeated = names[item.check] > 1
        check = f"{item.check} ({Path(item.suite).stem})" if repeated else item.check
        head = (item.classifier, check)
        for *cells, verdict, mark in _rows(item):
            words = Text(f"{verdict}{mark}", style="yellow" if mark else STYLES.get(verdict, "dim"))
            grid.add_row(*map(Text, (*head, *cells)), words)
            head = ("", "")
    text = io.StringIO()
    width = max(shutil.get_terminal_size().columns, MIN_WIDTH)
    Console(file=text, width=width, force_terminal=color).print(grid)
    return text.getvalue()


def remarks(run: Run) -> list[str]:
    """Return what the table leaves out, one line each: no numbers, pictures left out, warnings."""
    lines = [f"{i.classifier}, {i.check}: {i.sentence}" for i in run.items if not i.metrics]
    lines += [
        f"{images.role}: {len(images.unreadable)} of {images.n} pictures could not be read"
        for images in run.image_sets
        if images.unreadable
    ]
    cached = [item for item in run.items if item.cached]
    if cached:
        images = sum(item.cached for item in cached)
        lines.append(
            f"from the cache: rows of {images:,} images in {len(cached)} of {len(run.items)} checks"
        )
    lines += _flipped(run)
    lines += [f"warning: {warning}" for warning in run.warnings]
    lines += [f"{len(run.not_run)} selected checks did not run"] if run.not_run else []
    return [printable(line) for line in lines]


def _flipped(run: Run) -> Iterator[str]:
    """Yield what changed on the images of each item since the baseline."""
    for item in run.items:
        name, comparison = f"{item.classifier}, {item.check}", item.comparison
        if comparison is not None and comparison.refused is not None:
            yield f"{name}: not compared with the baseline: {comparison.refused}"
        if comparison is not None and comparison.flips is not None:
            flips = comparison.flips
            metric = with_point(flips.metric, flips.at)
            yield (
                f"{name}: {flips.worse:,} of {flips.n:,} images turned "
                f"wrong, {flips.better:,} right since the baseline ({metric})"
            )
    if run.gates:
        yield (
            f"paired gates: {len(run.gates)}; {run.false_alarms:.3g} would fail by chance if every "
            "network were exactly at its margin"
        )


def profile(run: Run) -> list[str]:
    """Return where the time went, a line each; nothing without a profile."""
    record = run.profile
    if record is None:
        return []
    lines = [f"where {record.seconds:.1f} s went:"]
    stages = [stage for stage in record.stages if not stage.beside]
    for stage in stages:
        share = stage.seconds / record.seconds
        lines.append(
            f"  {stage.name:<10} {stage.seconds:8.2f} s {share:6.1%}  {stage.calls:,} times"
        )
    lines.append(f"  {'the rest':<10} {record.rest:8.2f} s {record.rest / record.seconds:6.1%}")
    in_threads = [f"{s.name} {s.seconds:.2f} s" for s in record.stages if s.beside]
    lines += [f"in threads, added up: {', '.join(in_threads)}"] if in_threads else []
    lines += [f"trace: {printable(file)}" for file in record.trace]
    if record.synchronised:
        lines.append("the device was synchronised at the end of every stage")
    return lines


def counts(run: Run) -> str:
    """Return how many items got each verdict, worst first."""
    judged = any(item.verdict.judged for item in run.items)
    parts = [
        "interrupted" if run.status == "interrupted" else "",
        verdict_counts(run),
        "" if judged else "nothing was judged",
    ]
    return ": ".join(filter(None, parts))


MIN_WIDTH = 150
"""Characters of a line at least: a narrower table would cut its thresholds."""

MAX_RECORDED_METRICS = 4
"""Metrics without an expectation that the table shows of an item; the report has all."""

_WORST_FIRST = list(Verdict).index

_Row: TypeAlias = tuple[str, str, str, str, Verdict, str]


def _rows(item: Item) -> Iterator[_Row]:
    quiet = 0
    for row in _all_rows(item):
        quiet += row[4] is Verdict.RECORDED
        if row[4] is not Verdict.RECORDED or quiet <= MAX_RECORDED_METRICS:
            yield row
    if quiet > MAX_RECORDED_METRICS:
        yield f"and {quiet - MAX_RECORDED_METRICS} more", "", "", "", Verdict.RECORDED, ""


def _all_rows(item: Item) -> Iterator[_Row]:
    if not item.metrics:
        yield "", "", "", "", item.verdict, ""
    for metric in item.metrics:
        held = judgements_of(metric, item)
        if not held and (metric.value is None or metric.at is not None):
            continue  # a curve belongs into the report
        verdict = min((j.verdict for j in held), key=_WORST_FIRST, default=Verdict.RECORDED)
        threshold = "; ".join(judgement.wanted for judgement in held)
        excuses = [j.excuse for j in held if j.excused and j.verdict is verdict]
        mark = f", {excuses[0]}" if excuses else ""
        name = with_point(metric.name, metric.at)
        yield name, _value(metric), f"{metric.n:,}", threshold, verdict, mark
    for judgement in item.judgements:
        if judgement.metric not in {metric.name for metric in item.metrics}:
            value = "" if judgement.value is None else f"{judgement.value:g}"
            yield judgement.metric, value, "", judgement.wanted, judgement.verdict, ""


def _value(metric: Metric) -> str:
    if metric.value is None:
        return "none"
    if metric.low is None or metric.high is None:
        return _number(metric.value) + _over_seeds(metric)
    return f"{_number(metric.value)} ({_number(metric.low)} to {_number(metric.high)})"


def _over_seeds(metric: Metric) -> str:
    if not metric.spread:
        return ""
    low, high = _number(min(metric.spread)), _number(max(metric.spread))
    seeds = len(metric.spread)
    return f" ({low} to {high}, {seeds} seeds)" if seeds > 1 else " (one seed)"


def _number(value: float) -> str:
    """Three decimals, and never a small number that looks like none."""
    if value == round(value) and abs(value) >= 10:
        return f"{value:,.0f}"
    tiny = 1e-15 < abs(value) < 0.001  # below that it is what rounding left of 0
    return f"{value:.2g}" if tiny else f"{value:.3f}"
