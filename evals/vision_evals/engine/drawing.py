"""Draws a few images of a check, by showing them to the classifier again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from vision_evals import log
from vision_evals.core.errors import contained, words
from vision_evals.core.time_limit import time_limit
from vision_evals.engine import pictures, tables
from vision_evals.engine.batch_step import probe_of
from vision_evals.engine.process_state import put_back
from vision_evals.engine.run_pass import Pass
from vision_evals.engine.shard_cache import CachedTable
from vision_evals.engine.tasks import Task
from vision_evals.log import Verdict
from vision_evals.log.profiling.stages import timed
from vision_evals.measures.measure import Drawing
from vision_evals.models.device import numerics
from vision_evals.models.processes import EndedError, forked
from vision_evals.suite.options import Options
from vision_evals.verdict.job import Job


def illustrated(
    item: log.Item, image_pass: Pass, job: Job, options: Options, warn: Callable[[str], None]
) -> log.Item:
    """Add table, time and pictures to an entry; the verdict does not depend on the pictures.

    Of a recipe's seeds, the first is drawn.

    Args:
        item: the judged entry.
        image_pass: over the images of the check.
        job: of the entry.
        options: how many pictures, and whether adversarials are kept.
        warn: called with the reason why pictures cannot be drawn.
    """
    result, tasks = image_pass.result, image_pass.tasks_of(job)
    (name, task), count = next(iter(tasks.items())), options.pictures
    saved: tuple[log.Picture, ...] = ()
    recorded = image_pass.config.partition and item.verdict is Verdict.RECORDED
    empty = image_pass.measured[task.table].rows.empty
    if not empty and (item.metrics or recorded):
        try:
            with timed("pictures"):
                if count and image_pass.drawn is None:
                    image_pass.drawn = {}
                    image_pass.drawn |= _draw_ahead(image_pass, count, warn)
                with _guarded(image_pass, name, warn):
                    if count:
                        drawn = (image_pass.drawn or {}).get(task.table)
                        saved = draw(image_pass, name, task, count) if drawn is None else drawn
                    if options.table.keep_adversarials:
                        keep_adversarials(image_pass, name, task)
        except Exception as error:  # noqa: BLE001 - see above
            warn(f"no pictures for {item.id}: {words(error)}")
    return item.model_copy(
        update={
            "table": None if empty else tables.file(task.table),
            "pictures": saved,
            "seconds": sum(result.seconds[task.table] for task in tasks.values()),
            "cached": result.cached[task.table],
        }
    )


@contextlib.contextmanager
def _guarded(image_pass: Pass, name: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Show images to a classifier; what it sets for the whole process is put back and said."""
    timeout = image_pass.config.timeout
    with put_back() as touched, time_limit(timeout, timeout), contained():
        yield
    for setting in touched:
        warn(f"{name}: changed {setting.text} while its pictures were drawn; put back")


def _draw_ahead(
    image_pass: Pass, count: int, warn: Callable[[str], None]
) -> Iterator[tuple[str, tuple[log.Picture, ...]]]:
    """Yield table and pictures of what the checks of a pass show, drawn by several processes.

    What fails is left out: it fails again, and says why, where it is asked for. What ends its
    process has no pictures.
    """
    config, units, aliases = image_pass.config, list[tuple[str, Task]](), set[str]()
    for name, group in image_pass.groups.items():
        if group.classifier.alias in aliases or name in image_pass.result.failures:
            continue
        aliases.add(group.classifier.alias)
        for task in group.tasks:
            measured = image_pass.measured.get(task.table)
            if measured is None or measured.rows.empty or task.measure.badness is None:
                continue
            if (kept := _kept(image_pass, task, count)) is None:
                units.append((name, task))
            else:
                yield task.table, kept
    if min(config.processes, len(units)) > 1:
        started = time.perf_counter()
        yield from _draw_elsewhere(image_pass, count, units, warn)
        image_pass.result.spent["pictures"] += time.perf_counter() - started


def _draw_elsewhere(
    image_pass: Pass,
    count: int,
    units: Sequence[tuple[str, Task]],
    warn: Callable[[str], None],
) -> Iterator[tuple[str, tuple[log.Picture, ...]]]:
    done, config = set[str](), image_pass.config
    work = partial(_draw_each, image_pass, count)
    while units:
        try:
            for drawn in forked(units, config.processes, work, config.timeout):
                if not isinstance(drawn, str):
                    done.add(drawn[0])
                    yield drawn
        except EndedError as error:
            if error.unit is None:
                raise
            name, task = units[error.unit]
            warn(f"no pictures of {task.title}, {name}: {error.reason}")
            done.add(task.table)
            yield task.table, ()
            units = [unit for unit in units if unit[1].table not in done]
        else:
            return


def _draw_each(
    image_pass: Pass,
    count: int,
    units: Iterator[tuple[str, Task]],
    send: Callable[[tuple[str, tuple[log.Picture, ...]] | str], None],
) -> None:
    """Draw in a process of its own."""
    for name, task in units:
        send(f"pictures of {task.title}, {name}")
        with contextlib.suppress(Exception), _guarded(image_pass, name, lambda _: None):
            send((task.table, draw(image_pass, name, task, count)))


def draw(image_pass: Pass, name: str, task: Task, count: int) -> tuple[log.Picture, ...]:
    """Show a few images to a classifier again, and write the pictures that its measure draws."""
    started, directory = time.perf_counter(), image_pass.config.directory
    if task.measure.badness is None:
        return ()
    if (kept := _kept(image_pass, task, count)) is not None:
        return kept
    badness = task.measure.badness(image_pass.measured[task.table].rows)
    samples = pictures.pick(badness, count, gallery=task.measure.gallery)
    if not samples:
        return ()
    images = image_pass.image_set.images
    positions = [i for i, image in enumerate(images) if image.id in samples]
    drawings = _explained(image_pass, name, task, positions)
    saved = pictures.save(drawings, samples, directory, task.table)
    if entry := _entry(image_pass, task):
        entry.keep_pictures(count, saved, directory)
    image_pass.result.spent["pictures"] += time.perf_counter() - started
    return saved


def _entry(image_pass: Pass, task: Task) -> CachedTable | None:
    cache = image_pass.shard_cache
    return None if cache is None else cache.table_entry(task.table, image_pass.images_key)


def _kept(image_pass: Pass, task: Task, count: int) -> tuple[log.Picture, ...] | None:
    """Return the pictures of an earlier run, put into the directory of this one."""
    entry = _entry(image_pass, task)
    return None if entry is None else entry.pictures(count, image_pass.config.directory)


def keep_adversarials(image_pass: Pass, name: str, task: Task) -> None:
    """Write every adversarial of a task as an 8-bit PNG; they are computed again, in batches."""
    if task.measure.badness is None:  # its rows name no images
        return
    folder = image_pass.config.directory / pictures.ADVERSARIALS / task.table
    for span in image_pass.spans:
        drawings = _explained(image_pass, name, task, span)
        pictures.save_adversarials(drawings, folder)


def _explained(
    image_pass: Pass, name: str, task: Task, positions: Sequence[int]
) -> tuple[Drawing, ...]:
    group, config = image_pass.groups[name], image_pass.config
    result = image_pass.result
    probe = probe_of(group, image_pass.image_set, positions, result, config)
    probe = replace(probe, moved=result.moved[task.table])
    if not probe.ids:
        return ()
    rows = image_pass.measured[task.table].rows
    chosen = rows[rows["image"].isin(probe.ids)]
    with numerics(config.device, config.precision):
        return task.measure.explain(probe, chosen, task.parameters)
