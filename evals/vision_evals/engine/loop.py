"""The loop of a pass: reads every image once, and runs every task on it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from vision_evals.core.progress import Advance
from vision_evals.core.worker import Partition, dealt
from vision_evals.engine.batch_step import ShardWork, count_batch, run_batch
from vision_evals.engine.shard import SHARD, Shard, ShardPlan, plan_shards, spans_of
from vision_evals.engine.shard_cache import CachedShard, ShardCache
from vision_evals.engine.shared_steps import Step, shared_steps
from vision_evals.engine.state_guard import Changes
from vision_evals.engine.tasks import PassResult, TaskGroup
from vision_evals.images.image_set import ImageSet
from vision_evals.images.prefetch import prefetch
from vision_evals.images.reader import Batch
from vision_evals.log.profiling import stages
from vision_evals.log.profiling.stages import timed

MAX_KEPT_BYTES = 2**29
"""Memory for the points that pictures show, of all attacks of a pass together. The shipped suites
need 120 MB: 20 photographs, two networks, five attacks. A pass that needs more keeps none."""


def run_loop(
    image_set: ImageSet,
    groups: Sequence[TaskGroup],
    *,
    device: torch.device,
    batch_size: int,
    seed: int,
    directory: Path,
    advance: Advance,
    result: PassResult,
    announce: Callable[[str], None] = lambda _: None,
    partition: Partition | None = None,
    shard_cache: ShardCache | None = None,
    processes: int = 1,
    changes: Changes | None = None,
    timeout: float = math.inf,
) -> None:
    """Run every task on every image, and fill ``result``.

    Args:
        image_set: the images.
        groups: the classifiers and their tasks.
        device: where the classifiers are.
        batch_size: images in a batch; halved where memory runs out.
        seed: of every random generator.
        directory: of the run; finished shards are written below it.
        advance: called with the number of images that are done.
        result: filled.
        announce: called before each task of a batch with what it is.
        partition: which part of the images; None: all.
        shard_cache: of finished shards; None: nothing is cached.
        processes: that share the batches, one thread each; no row depends on how many.
        changes: of the networks' state in them; filled.
        timeout: seconds that a task may take.

    Raises:
        UserError: image files changed during the run, or a process was killed.
    """
    start = time.perf_counter()
    plans = plan_shards(dealt(spans_of(len(image_set.images), batch_size), partition))
    cached = {} if shard_cache is None else shard_cache.restore(plans, directory, result)
    work_by_shard = _work_by_shard(plans, groups, cached, result, device, seed, timeout)
    for index in cached.keys() - work_by_shard.keys():
        _count_cached(image_set, cached[index], result)
        advance(len(cached[index].hashes))
    own = _own_steps(image_set, work_by_shard, device, result, announce)
    steps = _steps(own, image_set, groups, work_by_shard, processes, announce, result, changes)
    keep = partial(_finish, work_by_shard, shard_cache, result)
    _run_steps(steps, work_by_shard, directory, result, advance, keep, start)
    result.spent["total"], result.finished = time.perf_counter() - start, True


def _finish(
    work_by_shard: Mapping[int, ShardWork],
    shard_cache: ShardCache | None,
    result: PassResult,
    shard: Shard,
) -> None:
    with timed("rows"):
        shard.write(result)
    if shard_cache is not None:
        with timed("cache"):
            shard_cache.keep(shard, work_by_shard[shard.plan.index].groups, result)


def _steps(
    own: Generator[Step],
    image_set: ImageSet,
    groups: Sequence[TaskGroup],
    work_by_shard: Mapping[int, ShardWork],
    processes: int,
    announce: Callable[[str], None],
    result: PassResult,
    changes: Changes | None,
) -> Generator[Step]:
    """Yield the steps of this process, then of the others: a calibration is not shared."""
    batches = [(work, span) for work in work_by_shard.values() for span in work.plan.spans]
    if processes == 1 or _calibrating(groups):
        with closing(own):
            for step in own:
                batches.pop(0)
                yield step
                if processes > 1 and not _calibrating(groups):
                    break
    if batches:
        yield from shared_steps(
            image_set, batches, processes, announce, result, changes or Changes()
        )


def _calibrating(groups: Sequence[TaskGroup]) -> bool:
    """Whether a fast path is still compared with the plain one."""
    paths = (group.fast_path for group in groups)
    return any(path is not None and path.fast and path.calibrating for path in paths)


def _own_steps(
    image_set: ImageSet,
    work_by_shard: Mapping[int, ShardWork],
    device: torch.device,
    result: PassResult,
    announce: Callable[[str], None],
) -> Generator[Step]:
    """Yield a step a batch that this process computes; batches are read ahead."""
    works = work_by_shard.values()
    spans = [span for work in works for span in work.plan.spans]
    geometries = {group.classifier.geometry for work in works for group in work.groups}
    since = time.perf_counter()
    for batch in prefetch(image_set.images, spans, geometries, device):
        _count_wait(batch, since, result)
        yield Step(batch.span, partial(_observe, batch, work_by_shard, result, announce))
        since = time.perf_counter()


def _observe(
    batch: Batch,
    work_by_shard: Mapping[int, ShardWork],
    result: PassResult,
    announce: Callable[[str], None],
    shard: Shard,
) -> None:
    count_batch(batch, shard, result)
    if batch.ids:
        run_batch(batch, work_by_shard[batch.span.start // SHARD], shard, result, announce)


def _run_steps(
    steps: Generator[Step],
    work_by_shard: Mapping[int, ShardWork],
    directory: Path,
    result: PassResult,
    advance: Advance,
    finish: Callable[[Shard], None],
    start: float,
) -> None:
    """Run every step, and finish each shard while the device computes the next batch."""
    shard: Shard | None = None
    waiting_shard: Shard | None = None
    try:
        with closing(steps):
            for step in steps:
                work = work_by_shard[step.span.start // SHARD]
                shard = shard or Shard(work.plan, directory)
                step.fill(shard)
                previous, waiting_shard = waiting_shard, None
                if previous is not None:
                    finish(previous)
                if step.last and step.span == work.plan.spans[-1]:
                    shard.fetch()
                    waiting_shard, shard = shard, None
                advance(len(step.span) if step.last else 0)
                result.spent["total"] = time.perf_counter() - start
    finally:
        if waiting_shard is not None:
            finish(waiting_shard)


def _count_wait(batch: Batch, since: float, result: PassResult) -> None:
    """Add the time that reading a batch took."""
    waited = time.perf_counter() - since
    result.spent["wait"] += waited
    stages.add("wait", waited)
    for kind, seconds in batch.spent._asdict().items():
        result.spent[kind] += seconds
        stages.add(kind, seconds)


def _work_by_shard(
    plans: Sequence[ShardPlan],
    groups: Sequence[TaskGroup],
    cached: Mapping[int, CachedShard],
    result: PassResult,
    device: torch.device,
    seed: int,
    timeout: float,
) -> dict[int, ShardWork]:
    """Return the tasks of each shard that is not wholly cached."""
    differentiated = (g for g in groups if any(task.measure.gradient for task in g.tasks))
    gradients = frozenset(group.classifier.name for group in differentiated)
    keeps, earlier = _bytes_of_points(plans, groups) <= MAX_KEPT_BYTES, dict(result.seconds)
    work_by_shard = {}
    for plan in plans:
        tables = cached[plan.index].abouts if plan.index in cached else {}
        remaining = tuple(_remaining(groups, tables, result))
        if remaining or plan.index not in cached:
            more = (gradients, keeps, timeout, earlier)
            work = ShardWork(plan, remaining, device, seed, *more)
            work_by_shard[plan.index] = work
    return work_by_shard


def _bytes_of_points(plans: Sequence[ShardPlan], groups: Sequence[TaskGroup]) -> int:
    """Return the memory of one point of every image for every attack: three fp32 values a pixel."""
    images = sum(len(span) for plan in plans for span in plan.spans)
    areas = (g.classifier.geometry.area for g in groups for t in g.tasks if t.measure.attack)
    return images * 3 * 4 * sum(areas)


def _remaining(
    groups: Sequence[TaskGroup], cached_tables: Iterable[str], result: PassResult
) -> Iterator[TaskGroup]:
    """Yield the task groups of a shard, without tasks that are cached or stopped."""
    settled = {*cached_tables, *result.not_applicable, *result.invalid}
    for group in groups:
        tasks = tuple(task for task in group.tasks if task.table not in settled)
        if tasks:
            yield replace(group, tasks=tasks)


def _count_cached(image_set: ImageSet, cached: CachedShard, result: PassResult) -> None:
    """Count the images of a cached shard."""
    about = next(iter(cached.abouts.values()))
    result.unreadable.update(about["unreadable"])
    result.oriented += about["oriented"]
    for position, sha256 in zip(cached.plan.positions, cached.hashes, strict=True):
        name = image_set.images[position].id
        result.hashes[position] = sha256
        if name not in about["unreadable"]:
            result.digests[name] = sha256
            result.n += 1
