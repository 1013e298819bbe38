"""``evals compare A B``: what changed between two runs, on the terminal and as a page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.images import sources
from vision_evals.measures import MEASURES, lookup
from vision_evals.suite.spec import Spec
from vision_evals.verdict.baseline import stored
from vision_evals.verdict.baseline.comparison import comparison
from vision_evals.verdict.baseline.numeric_gap import gaps
from vision_evals.verdict.baseline.provenance import differences, side_of
from vision_evals.verdict.baseline.stored import StoredRun
from vision_evals.verdict.baseline.thumbnails import with_thumbnails


def compare(before: StoredRun, now: StoredRun, out: Path, templates: Path | None = None) -> log.Run:
    """Hold every entry of a run against the same one of another, and write the page.

    Args:
        before: compared with.
        now: compared.
        out: where the page goes.
        templates: folder of a user's own, which go before ours.

    Returns:
        The second run, each of its entries with what changed.

    Raises:
        UserError: they have no check in common, or the page cannot be filled or written.
    """
    from vision_evals import report

    items = tuple(_compared(before, now))
    if not items:
        raise UserError(
            f"{before.source} and {now.source} have no check and classifier in common; "
            "RUN:ALIAS compares classifiers of other names"
        )
    run = now.run.model_copy(update={"items": items, "baseline": before.record})
    with tempfile.TemporaryDirectory(prefix="evals-compare-") as folder:
        drawn = _illustrated(run, Path(folder))
        try:
            report.write_comparison(drawn, Path(folder), out, templates)
        except OSError as error:
            raise UserError(f"{out}: the page cannot be written: {error.strerror}") from None
    return run


def _compared(before: StoredRun, now: StoredRun) -> Iterator[log.Item]:
    wanted = now.alias
    for item in now.run.items:
        if wanted is not None and item.classifier != wanted:
            continue
        try:
            other = stored.find_entry(before, item.suite, item.check, item.classifier)
        except UserError:
            continue
        yield item.model_copy(update={"comparison": _beside(before, other, now, item)})


def _beside(before: StoredRun, other: log.Item, now: StoredRun, item: log.Item) -> log.Comparison:
    sides = side_of(before.run, other), side_of(now.run, item)
    refused = list(dict.fromkeys(one.sentence for one in (other, item) if one.table is None))
    if item.measure not in MEASURES:  # a log names no module that would be imported
        refused.append(f"{item.measure} is no measure that comes with this package")
    try:
        if refused:
            return _refused(before, other, refused)
        spec: Spec = lookup(item.measure, Path())
        tables = stored.read_rows(before, other), stored.read_rows(now, item)
        apart = gaps(*(one.paths for one in sides))
        return comparison(before.run.id, spec, sides, tables, differences(*sides), apart)
    except UserError as error:
        return _refused(before, other, [str(error)])


def _refused(before: StoredRun, other: log.Item, reasons: list[str]) -> log.Comparison:
    return log.Comparison(run=before.run.id, alias=other.classifier, refused="; ".join(reasons))


def _illustrated(run: log.Run, folder: Path) -> log.Run:
    """Draw the images that flipped where their files are still where the run found them."""
    places = {images.role: images.source for images in run.image_sets}
    paths: dict[str, dict[str, Path]] = {}
    for role, source in places.items():
        try:
            found = sources.load(source, Path())
        except UserError:
            continue
        paths[role] = {image.id: image.path for image in found.images}
    items = tuple(
        with_thumbnails(item, paths.get(item.images or "", {}), folder) for item in run.items
    )
    return run.model_copy(update={"items": items})
