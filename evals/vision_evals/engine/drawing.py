"""Pictures of what a measure found: a few images are shown to a classifier again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from vision_evals import log
from vision_evals.engine import pictures, tables
from vision_evals.engine.batch_step import probe_of
from vision_evals.engine.run_pass import Pass
from vision_evals.engine.tasks import Task
from vision_evals.log import Verdict
from vision_evals.log.profiling.stages import timed
from vision_evals.measures.measure import Drawing
from vision_evals.models.device import numerics
from vision_evals.suite.options import Options
from vision_evals.verdict.job import Job


def illustrated(
    item: log.Item, image_pass: Pass, job: Job, options: Options, warn: Callable[[str], None]
) -> log.Item:
    """Add table, time and pictures to an entry; one that cannot be drawn costs no verdict.

    Of a recipe's seeds the first is shown.

    Args:
        item: judged.
        image_pass: over the images of the check.
        job: that was judged.
        options: how many pictures, and whether adversarials are kept.
        warn: told of what cannot be drawn.
    """
    result, asked = image_pass.result, image_pass.asked(job)
    (name, first), count = next(iter(asked.items())), options.pictures
    drawn: tuple[log.Picture, ...] = ()
    recorded = image_pass.config.partition and item.verdict is Verdict.RECORDED
    empty = image_pass.measured[first.table].rows.empty
    if count and not empty and (item.metrics or recorded):
        try:
            with timed("pictures"):
                drawn = draw(image_pass, name, first, count)
            if options.table.keep_adversarials:
                keep_adversarials(image_pass, name, first)
        except Exception as error:  # noqa: BLE001 - see above
            warn(f"no pictures for {item.id}: {type(error).__name__}: {error}")
    return item.model_copy(
        update={
            "table": None if empty else tables.file(first.table),
            "pictures": drawn,
            "seconds": sum(result.seconds[task.table] for task in asked.values()),
            "cached": result.cached[first.table],
        }
    )


def draw(image_pass: Pass, name: str, task: Task, count: int) -> tuple[log.Picture, ...]:
    """Show a few images to a classifier again, and write what its measure makes of them."""
    started, directory = time.perf_counter(), image_pass.config.directory
    if task.measure.badness is None:
        return ()
    kept = image_pass.shard_cache and image_pass.shard_cache.kept(task.table, image_pass.whole)
    if kept and (before := kept.pictures(count, directory)) is not None:
        return before
    badness = task.measure.badness(image_pass.measured[task.table].rows)
    samples = pictures.pick(badness, count, gallery=task.measure.gallery)
    if not samples:
        return ()
    images = image_pass.image_set.images
    positions = [i for i, image in enumerate(images) if image.id in samples]
    drawings = _explained(image_pass, name, task, positions)
    saved = pictures.save(drawings, samples, directory, task.table)
    if kept:
        kept.keep_pictures(count, saved, directory)
    image_pass.picture_seconds += time.perf_counter() - started
    return saved


def keep_adversarials(image_pass: Pass, name: str, task: Task) -> None:
    """Write every adversarial of a task as an 8-bit PNG; they are made again, batch by batch."""
    folder = image_pass.config.directory / "adversarials" / task.table
    for span in image_pass.spans:
        drawings = _explained(image_pass, name, task, span)
        pictures.save_adversarials(drawings, folder)


def _explained(
    image_pass: Pass, name: str, task: Task, positions: Sequence[int]
) -> tuple[Drawing, ...]:
    group, config = image_pass.groups[name], image_pass.config
    probe = probe_of(group, image_pass.image_set, positions, image_pass.result, config)
    if not probe.ids:
        return ()
    rows = image_pass.measured[task.table].rows
    shown = rows[rows["image"].isin(probe.ids)]
    with numerics(config.device, config.precision):
        return task.measure.explain(probe, shown, task.parameters)
