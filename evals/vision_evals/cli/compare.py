"""``evals compare A B``: what changed between two runs, on the terminal and as a page."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from vision_evals import log
from vision_evals.cli.terminal import add_row, plain_table
from vision_evals.core.errors import UserError, printable
from vision_evals.images import sources
from vision_evals.measures import MEASURES, lookup
from vision_evals.report.side_by_side import answer_text
from vision_evals.report.words import with_point
from vision_evals.suite.spec import Spec
from vision_evals.verdict.baseline import stored
from vision_evals.verdict.baseline.comparison import comparison
from vision_evals.verdict.baseline.numeric_gap import gaps
from vision_evals.verdict.baseline.provenance import differences, side_of
from vision_evals.verdict.baseline.stored import StoredRun
from vision_evals.verdict.baseline.thumbnails import with_thumbnails

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


def compare(before: StoredRun, now: StoredRun) -> log.Run:
    """Compare every item of a run with the same item of another run.

    Args:
        before: the run compared with.
        now: the run compared.

    Returns:
        The second run; each of its items has its comparison.

    Raises:
        UserError: they have no check in common.
    """
    items = tuple(_compared(before, now))
    if not items:
        raise UserError(
            f"{before.source} and {now.source} have no check and classifier in common; "
            "RUN:ALIAS compares classifiers of other names"
        )
    return now.run.model_copy(update={"items": items, "baseline": before.record})


def write_page(run: log.Run, out: Path, templates: Path | None = None) -> None:
    """Write the page of a comparison.

    Args:
        run: its items hold comparisons.
        out: file of the page.
        templates: folder of the user's templates, which replace ours of the same names.

    Raises:
        UserError: the page cannot be filled or written.
    """
    from vision_evals import report

    with tempfile.TemporaryDirectory(prefix="evals-compare-") as folder:
        drawn = _illustrated(run, Path(folder))
        try:
            report.write_comparison(drawn, Path(folder), out, templates)
        except OSError as error:
            raise UserError(
                f"{out}: the page cannot be written ({error.strerror}); "
                "name another file with --out"
            ) from None


def _compared(before: StoredRun, now: StoredRun) -> Iterator[log.Item]:
    for item in now.run.items:
        if now.alias is not None and item.classifier != now.alias:
            continue
        try:
            other = stored.find_entry(before, item.suite, item.check, item.classifier)
        except UserError:
            continue
        yield item.model_copy(update={"comparison": _comparison(before, other, now, item)})


def _comparison(
    before: StoredRun, other: log.Item, now: StoredRun, item: log.Item
) -> log.Comparison:
    sides = side_of(before.run, other), side_of(now.run, item)
    try:
        _refuse_without_rows(other, item)
        spec: Spec = lookup(item.measure, Path())
        tables = stored.read_rows(before, other), stored.read_rows(now, item)
        path_gaps = gaps(*(side.paths for side in sides))
        return comparison(before.run.id, spec, sides, tables, differences(*sides), path_gaps)
    except UserError as error:
        return log.Comparison(run=before.run.id, alias=other.classifier, refused=str(error))


def _refuse_without_rows(other: log.Item, item: log.Item) -> None:
    reasons = list(dict.fromkeys(i.sentence for i in (other, item) if i.table is None))
    if item.measure not in MEASURES:  # no module is imported because a log names it
        reasons.append(f"{item.measure} is not a measure of this package")
    if reasons:
        raise UserError("; ".join(reasons))


def _illustrated(run: log.Run, folder: Path) -> log.Run:
    """Draw the images that flipped, where their files are still at the place of the run."""
    paths: dict[str, dict[str, Path]] = {}
    for image_set in run.image_sets:
        with contextlib.suppress(UserError):
            images = sources.load(image_set.source, Path()).images
            paths[image_set.role] = {image.id: image.path for image in images}
    items = tuple(
        with_thumbnails(item, paths.get(item.images or "", {}), folder) for item in run.items
    )
    return run.model_copy(update={"items": items})
