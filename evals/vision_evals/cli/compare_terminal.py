"""What changed between two runs, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from vision_evals import log
from vision_evals.cli.terminal import add_row, plain_table
from vision_evals.core.errors import printable
from vision_evals.report.side_by_side import answer_text
from vision_evals.report.words import with_point

MAX_FLIPS = 5
"""Flips listed for each direction; the page shows more of them, and their pictures."""


def show(run: log.Run, console: Console) -> None:
    """Print every change, then the images that flipped.

    Args:
        run: its items hold comparisons.
        console: to print on.
    """
    table = plain_table(
        ("classifier", "check", "metric"), ("before", "now", "difference", "n"), fold=False
    )
    for item in run.items:
        for row in _rows(item):
            add_row(table, *row)
    console.print(table)
    for item in run.items:
        for line in lines(item):
            console.print(printable(line), markup=False, highlight=False)


def lines(item: log.Item) -> Iterator[str]:
    """Yield the lines about an item that follow the table: flips, differences, refusals."""
    comparison = item.comparison
    if comparison is None:
        return
    where = f"{item.classifier}, {item.check}"
    if comparison.refused is not None:
        yield f"{where}: not compared: {comparison.refused}"
    if comparison.differs:
        yield f"{where}: differs in more than the network: {'; '.join(comparison.differs)}"
    if comparison.different_paths is not None:
        yield f"{where}: {comparison.different_paths}"
    if comparison.flips is None:
        return
    flips = comparison.flips
    metric = with_point(flips.metric, flips.at)
    yield (
        f"{where}: by {metric} {flips.worse:,} of {flips.n:,} images turned wrong "
        f"(negative flip rate {flips.worse / max(flips.n, 1):.4f}), {flips.better:,} right"
    )
    for word, flipped in (("wrong", flips.lost), ("right", flips.won)):
        for flip in flipped[:MAX_FLIPS]:
            label = f" ({flip.label})" if flip.label else ""
            answers = f"{answer_text(flip.before)} -> {answer_text(flip.now)}"
            yield f"  {word}: {flip.image}{label}: {answers}"


def _rows(item: log.Item) -> Iterator[tuple[str, ...]]:
    head = item.classifier, item.check
    for change in item.comparison.changes if item.comparison is not None else ():
        yield (*head, with_point(change.metric, change.at), *_numbers(change))
        head = "", ""


def _numbers(change: log.Change) -> tuple[str, str, str, str]:
    before, now = (
        "none" if value is None else f"{value:.4g}" for value in (change.before, change.now)
    )
    paired = change.paired
    if paired is not None:
        interval = f"({paired.low:+.4f} to {paired.high:+.4f}, {paired.confidence * 100:g} %)"
        return before, now, f"{paired.difference:+.4f} {interval}", f"{paired.n:,}"
    if change.before is None or change.now is None:
        return before, now, "", ""
    return before, now, f"{change.now - change.before:+.4g}", ""
