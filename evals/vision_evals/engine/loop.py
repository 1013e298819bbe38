"""A pass: one walk over an image set, feeding every classifier and measure that needs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vision_evals.core.partition import Partition, dealt
from vision_evals.engine.batch_step import Visit, run_batch
from vision_evals.engine.shard import SHARD, Planned, Shard, planned, spans_of
from vision_evals.engine.tasks import PassResult, TaskGroup
from vision_evals.images.prefetch import prefetch
from vision_evals.images.reader import Batch
from vision_evals.log.profiling import stages
from vision_evals.log.profiling.stages import timed

if TYPE_CHECKING:
    from vision_evals.engine.shard_cache import Found, ShardCache
    from vision_evals.images.image_set import ImageSet


def run_loop(
    image_set: ImageSet,
    groups: Sequence[TaskGroup],
    *,
    device: torch.device,
    batch_size: int,
    seed: int,
    directory: Path,
    advance: Callable[[int], None],
    result: PassResult,
    partition: Partition | None = None,
    shard_cache: ShardCache | None = None,
) -> None:
    """Show every image to every station, and fill ``result``.

    Args:
        image_set: what is shown.
        groups: who looks.
        device: where the classifiers are.
        batch_size: images looked at together; halved on its own where memory runs out.
        seed: of the run; every draw derives from it.
        directory: of the run; finished shards of rows are written below it.
        advance: told the number of images done.
        result: filled.
        partition: which part of the images, where only one is looked at.
        shard_cache: where finished shards are kept and found again; nothing is kept without.

    Raises:
        UserError: files changed while the walk was looking at them.
    """
    start = time.perf_counter()
    plans = planned(dealt(spans_of(len(image_set.images), batch_size), partition))
    found = {} if shard_cache is None else shard_cache.take(plans, directory, result)
    visits = _visits(plans, groups, found, result, device=device, seed=seed)
    for index in found.keys() - visits.keys():
        _remember(image_set, found[index], result)
        advance(len(found[index].hashes))
    geometries = {s.classifier.geometry for visit in visits.values() for s in visit.groups}
    spans = [span for visit in visits.values() for span in visit.plan.spans]
    batches = prefetch(image_set.images, spans, geometries, device)
    finish = partial(_finish, visits=visits, result=result, shard_cache=shard_cache)
    _show(batches, visits, directory, result, advance, finish, start)
    result.spent["total"] = time.perf_counter() - start
    result.finished = True


def _show(
    batches: Iterable[Batch],
    visits: Mapping[int, Visit],
    directory: Path,
    result: PassResult,
    advance: Callable[[int], None],
    finish: Callable[[Shard], None],
    start: float,
) -> None:
    """Look at every batch, and finish each shard while a device is at work on what comes after."""
    shard: Shard | None = None
    full: Shard | None = None
    waiting = time.perf_counter()
    try:
        for batch in batches:
            _waited(batch, waiting, result)
            visit = visits[batch.span.start // SHARD]
            shard = shard or Shard(visit.plan, directory)
            _see(batch, shard, result)
            if batch.ids:
                run_batch(batch, visit, shard, result)
            done, full = full, None
            if done is not None:
                finish(done)
            if batch.span == visit.plan.spans[-1]:
                shard.fetch()
                full, shard = shard, None
            result.n += len(batch.ids)
            advance(len(batch.span))
            waiting = time.perf_counter()
            result.spent["total"] = waiting - start
    finally:
        if full is not None:
            finish(full)


def _waited(batch: Batch, since: float, result: PassResult) -> None:
    """Count what a batch cost before anybody looked at it."""
    waited = time.perf_counter() - since
    result.spent["wait"] += waited
    stages.add("wait", waited)
    for kind, seconds in batch.spent._asdict().items():
        result.spent[kind] += seconds
        stages.add(kind, seconds)


def _finish(
    shard: Shard, visits: Mapping[int, Visit], result: PassResult, shard_cache: ShardCache | None
) -> None:
    """Move the rows of a full shard to disk, and keep them."""
    with timed("rows"):
        shard.write(result)
    if shard_cache is not None:
        with timed("cache"):
            shard_cache.keep(shard, visits[shard.plan.index].groups, result)


def _visits(
    plans: Sequence[Planned],
    groups: Sequence[TaskGroup],
    found: Mapping[int, Found],
    result: PassResult,
    *,
    device: torch.device,
    seed: int,
) -> dict[int, Visit]:
    """Return who must look at which shard; those of which everything is kept are left out."""
    gradients = frozenset(
        group.classifier.name
        for group in groups
        if any(task.measure.gradient for task in group.tasks)
    )
    visits = {}
    for plan in plans:
        kept = found[plan.index].abouts if plan.index in found else {}
        left = tuple(_left(groups, kept, result))
        if left or plan.index not in found:
            visits[plan.index] = Visit(plan, left, device, seed, gradients)
    return visits


def _left(
    groups: Sequence[TaskGroup], kept: Mapping[str, Mapping[str, Any]], result: PassResult
) -> Iterator[TaskGroup]:
    """Yield who must look at a shard, with what is neither kept of it nor known to stop."""
    done = {*kept, *result.not_applicable, *result.invalid}
    for group in groups:
        tasks = tuple(task for task in group.tasks if task.table not in done)
        if tasks:
            yield replace(group, tasks=tasks)


def _remember(image_set: ImageSet, found: Found, result: PassResult) -> None:
    """Count the images of a shard that nobody has to look at again."""
    about = next(iter(found.abouts.values()))
    result.unreadable.update(about["unreadable"])
    result.oriented += about["oriented"]
    for position, sha256 in zip(found.plan.positions, found.hashes, strict=True):
        name = image_set.images[position].id
        result.hashes[position] = sha256
        if name not in about["unreadable"]:
            result.digests[name] = sha256
            result.n += 1


def _see(batch: Batch, shard: Shard, result: PassResult) -> None:
    """Count the images of a batch."""
    shard.saw(batch)
    result.digests.update(batch.digests)
    result.unreadable.update(batch.unreadable)
    result.oriented += batch.oriented
    result.on_device += len(batch.by_device)
    result.hashes.update(zip(batch.span, batch.hashes, strict=True))
