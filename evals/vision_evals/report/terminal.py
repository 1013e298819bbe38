"""The table that ends a run on the terminal: judged expectations, those that did not pass first."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals.core.errors import disarmed, printable
from vision_evals.log import Item, Judgement, Metric, Run, Verdict
from vision_evals.log.outcome import verdict_counts
from vision_evals.report import rounding, words
from vision_evals.report.checks import judgements_of, metric_of, verdict_of
from vision_evals.report.groups import grouped

if TYPE_CHECKING:
    from rich.table import Table as RichTable

STYLES = {
    Verdict.INVALID: "bold red",
    Verdict.FAILED: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.PASSED: "green",
}

MAX_WARNINGS = 5
"""Rows on one screen of expectations that failed and fail nothing."""

FILE_WIDTH = 120
"""Characters of a line where no terminal sets a limit."""

MAX_WIDTH = 1000
"""Characters of a line that no terminal has."""

MIN_WIDTH = 7
"""Characters of a column at least, where its header has as many."""

COLUMNS = ("network", "check", "metric", "value", "threshold", "verdict")


@dataclass(frozen=True, slots=True)
class Row:
    """One expectation of an item, or one of its numbers without any."""

    item: Item
    verdict: Verdict
    metric: str = ""
    value: str = ""
    interval: str = ""
    """And the number of images; only where there is room."""
    wanted: str = ""
    bound: str = ""
    """The same without where the threshold comes from."""
    excuse: str | None = None
    """Why it fails nothing although it did not pass."""
    gap: float = math.inf
    """Distance from the threshold as a share of the larger number; infinite at a bound of 0 or 1,
    which is an invariant."""
    more: int = 0
    """Other expectations that it stands for, all of them passed."""

    @property
    def word(self) -> str:
        """The verdict, in capitals where it fails the run."""
        if self.verdict in words.BAD:
            return f"{self.verdict}, {self.excuse}" if self.excuse else self.verdict.upper()
        return f"{self.verdict}, {self.more} more" if self.more else str(self.verdict)

    @property
    def rank(self) -> tuple[bool, int]:
        """Its place in the table: what fails the run, what only warns, all others."""
        bad = self.verdict in words.BAD
        return self.excuse is not None or not bad, words.BAD.index(self.verdict) if bad else 9


def table(
    items: Sequence[Item], *, color: bool, width: int, lines: int, verbose: bool = False
) -> str:
    """Return a line for each judged expectation, those that did not pass first.

    Where those that passed do not fit on a screen, the one nearest its threshold stands for all of
    a check on a network, of a check, or of a suite.

    Args:
        items: of a run.
        color: whether the terminal takes colours.
        width: characters of a line.
        lines: of the header, of what passed and of notes about it, at most.
        verbose: whether every expectation is shown, and numbers without one.
    """
    rows = [row for item in items for row in _rows(item, recorded=verbose)]
    rows.sort(key=lambda row: row.rank)
    drawn = partial(_drawn, repeated=_repeated(items), color=color, width=width)
    if verbose:
        return drawn(rows, details=True)
    bad = [row for row in rows if row.verdict in words.BAD]
    warned = [row for row in bad if row.excuse is not None]
    bad = bad[: len(bad) - max(len(warned) - MAX_WARNINGS, 0)]
    notes = [
        _note(len(warned) - MAX_WARNINGS, "more warning"),
        _note(sum(row.verdict is Verdict.NOT_APPLICABLE for row in rows), "inapplicable one"),
    ]
    room = lines + (drawn(bad).count("\n") - 1 if bad else 0)
    passed = [row for row in rows if row.verdict is Verdict.PASSED]
    texts: list[str] = []
    for chosen, below in _foldings(passed) if rows else ():
        drawing, below_it = drawn([*bad, *chosen]).splitlines(), [*filter(None, [below, *notes])]
        texts = [*drawing, *below_it]
        if len(drawing) + height(below_it, width) <= room:
            break
    return "".join(f"{text}\n" for text in texts)


def height(lines: Iterable[str], width: int) -> int:
    """Return how many lines of a terminal these lines take."""
    return sum(max(1, -(-len(line) // width)) for line in lines)


def counts(run: Run) -> str:
    """Return how many items got each verdict, worst first."""
    judged = any(item.verdict.judged for item in run.items)
    parts = [
        "interrupted" if run.status == "interrupted" else "",
        verdict_counts(run),
        "" if judged else "nothing was judged",
    ]
    return ": ".join(filter(None, parts))


_FOLDINGS: Sequence[tuple[str, Callable[[Item], tuple[str, ...]]]] = (
    ("check and network", lambda item: (item.suite, item.check, item.classifier)),
    ("check", lambda item: (item.suite, item.check)),
    ("suite", lambda item: (item.suite,)),
)
"""What passed expectations are put together by, the finest first."""


def _foldings(passed: Sequence[Row]) -> Iterator[tuple[Sequence[Row], str]]:
    """Yield the passed rows and a sentence about them, fewer and fewer rows."""
    yield passed, ""
    hint, folded = f"-v shows all {len(passed)}", list[Row]()
    for name, key in _FOLDINGS:
        groups = grouped((key(row.item), row) for row in passed)
        folded = [
            replace(min(rows, key=lambda row: row.gap), more=len(rows) - 1)
            for rows in groups.values()
        ]
        yield folded, f"Of each {name}, the passed expectation nearest its threshold; {hint}."
    folded.sort(key=lambda row: row.gap)
    for most in range(len(folded) - 1, -1, -1):
        left = sum(row.more + 1 for row in folded[most:])
        yield folded[:most], f"And {words.plural(left, 'more expectation')} passed; {hint}."


def _note(number: int, what: str) -> str:
    return f"And {words.plural(number, what)}; -v shows all." if number > 0 else ""


def _repeated(items: Iterable[Item]) -> frozenset[str]:
    """Return the names of checks that several suites have."""
    names = Counter(check for _, check in {(item.suite, item.check) for item in items})
    return frozenset(name for name, suites in names.items() if suites > 1)


def _drawn(
    rows: Sequence[Row],
    repeated: frozenset[str],
    *,
    color: bool,
    width: int,
    details: bool = False,
) -> str:
    """Return rows as text, with intervals where asked for or where there is room."""
    from rich.console import Console

    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=color)
    wide = console.options.update(max_width=MAX_WIDTH)
    grid = _grid(rows, repeated, details=True)
    for stacked in () if details else (False, True):
        if console.measure(grid, options=wide).maximum > width:
            grid = _grid(rows, repeated, details=False, stacked=stacked)
    console.print(grid)
    return "".join(f"{disarmed(line.rstrip())}\n" for line in text.getvalue().splitlines())


def _grid(
    rows: Sequence[Row], repeated: frozenset[str], *, details: bool, stacked: bool = False
) -> RichTable:
    """Return rows as a table; stacked, check and point of the axis stand on a second line."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in (", ".join(COLUMNS[:2]), *COLUMNS[2:]) if stacked else COLUMNS:
        grid.add_column(name, overflow="fold", min_width=min(len(name), MIN_WIDTH))
    above: Item | None = None
    for row in rows:
        item, brief = row.item, not details and row.verdict is Verdict.PASSED
        suite = f" ({Path(item.suite).stem})" if item.check in repeated else ""
        names = ("", "") if item is above else (item.classifier, item.check + suite)
        head, metric = [*map(printable, names)], printable(row.metric)
        cells = [
            *(["\n".join(head).rstrip()] if stacked else head),
            metric.replace(" at ", "\nat ") if stacked else metric,
            printable(row.value + (row.interval if details else "")),
            printable(row.bound if brief else row.wanted),
        ]
        style = STYLES.get(row.verdict, "dim") if row.excuse is None else "yellow"
        grid.add_row(*map(Text, cells), Text(printable(row.word), style))
        above = item
    return grid


def _rows(item: Item, *, recorded: bool) -> Iterator[Row]:
    """Yield a row for each judgement, and for each number without one where they are asked for."""
    for judgement in item.judgements:
        yield _judged(judgement, item)
    if not item.judgements and item.verdict in words.BAD:
        yield Row(item, item.verdict)
    for metric in item.metrics if recorded else ():
        # points of a curve belong into the report
        if metric.value is not None and metric.at is None and not judgements_of(metric, item):
            value, verdict = _number(metric.value), verdict_of(metric, None, item)
            yield Row(item, verdict, metric.name, value, _interval(metric))


def _judged(judgement: Judgement, item: Item) -> Row:
    metric, value, threshold = metric_of(judgement, item), judgement.value, judgement.threshold
    text, gap = "none" if value is None else _number(value), math.inf
    if value is not None and threshold is not None:
        if threshold not in {0.0, 1.0}:
            gap = abs(value - threshold) / max(abs(value), abs(threshold))
        if value != threshold and text == _number(threshold):
            text = rounding.apart(value, threshold, 3)
    return Row(
        item,
        verdict_of(metric, judgement, item),
        words.with_point(judgement.metric, judgement.at),
        text,
        "" if metric is None else _interval(metric),
        judgement.wanted,
        judgement.wanted
        if judgement.side is None or threshold is None
        else f"{judgement.side.replace('_', ' ')} {threshold:.4g}",
        words.excuse(judgement),
        gap,
    )


def _interval(metric: Metric) -> str:
    """Return the interval, or the ends over seeds, and the number of observations."""
    if metric.value is None:
        return ""
    n = f", n = {metric.n:,}"
    if metric.low is not None and metric.high is not None:
        return f" ({_number(metric.low)} to {_number(metric.high)}{n})"
    if len(metric.spread) > 1:
        low, high = _number(min(metric.spread)), _number(max(metric.spread))
        return f" ({low} to {high}, {len(metric.spread)} seeds)"
    return f" (one seed{n})" if metric.spread else f" ({n.removeprefix(', ')})"


def _number(value: float) -> str:
    """Three decimals, and never a small number that looks like none."""
    if value == round(value) and abs(value) >= 10:
        return f"{value:,.0f}"
    tiny = 1e-15 < abs(value) < 0.001  # below that it is what rounding left of 0
    return f"{value:.2g}" if tiny else f"{value:.3f}"
