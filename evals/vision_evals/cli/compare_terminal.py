"""What changed between two runs, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vision_evals import log
from vision_evals.core.errors import printable
from vision_evals.report.rounding import share

FEW = 5
"""Flips of each direction that the terminal lists; the page shows more, and their pictures."""


def show(run: log.Run, console: Console) -> None:
    """Print every change, then the images that flipped.

    Args:
        run: its items hold comparisons.
        console: where to.
    """
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("classifier", "check", "metric"):
        shown.add_column(name, no_wrap=True)
    for name in ("before", "now", "difference", "n"):
        shown.add_column(name, justify="right", no_wrap=True)
    for item in run.items:
        for row in _rows(item):
            shown.add_row(*(Text(printable(cell)) for cell in row))
    console.print(shown)
    for item in run.items:
        for line in lines(item):
            console.print(printable(line), markup=False, highlight=False)


def lines(item: log.Item) -> Iterator[str]:
    """Yield what must be said of an entry beside its numbers: flips, differences, refusals."""
    told = item.comparison
    if told is None:
        return
    where = f"{item.classifier}, {item.check}"
    if told.refused is not None:
        yield f"{where}: not compared: {told.refused}"
    if told.differs:
        yield f"{where}: differs in more than the network: {'; '.join(told.differs)}"
    if told.different_paths is not None:
        yield f"{where}: {told.different_paths}"
    if told.flips is None:
        return
    found = told.flips
    at = f" at {found.at}" if found.at is not None else ""
    yield (
        f"{where}: by {found.metric}{at} {found.worse:,} of {found.n:,} images turned wrong "
        f"(negative flip rate {found.worse / max(found.n, 1):.4f}), {found.better:,} right"
    )
    for word, flips in (("wrong", found.lost), ("right", found.won)):
        for flip in flips[:FEW]:
            label = f" ({flip.label})" if flip.label else ""
            yield f"  {word}: {flip.image}{label}: {_seen(flip.before)} -> {_seen(flip.now)}"


def _rows(item: log.Item) -> Iterator[tuple[str, ...]]:
    head = item.classifier, item.check
    for change in item.comparison.changes if item.comparison is not None else ():
        at = f" at {change.at}" if change.at is not None else ""
        yield (*head, change.metric + at, *_numbers(change))
        head = "", ""


def _numbers(change: log.Change) -> tuple[str, str, str, str]:
    before, now = (
        "none" if value is None else f"{value:.4g}" for value in (change.before, change.now)
    )
    found = change.paired
    if found is not None:
        ends = f"({found.low:+.4f} to {found.high:+.4f}, {found.confidence * 100:g} %)"
        return before, now, f"{found.difference:+.4f} {ends}", f"{found.n:,}"
    if change.before is None or change.now is None:
        return before, now, "", ""
    return before, now, f"{change.now - change.before:+.4g}", ""


def _seen(seen: log.Seen) -> str:
    return seen.name if seen.confidence is None else f"{seen.name} {share(seen.confidence)}"
