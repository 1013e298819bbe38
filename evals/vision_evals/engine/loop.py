"""A pass: one walk over an image set, feeding every classifier and measure that needs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vision_evals.core.partition import Portion, dealt
from vision_evals.engine.batch_step import Visit, look
from vision_evals.engine.shard import SHARD, Planned, Shard, planned, spans_of
from vision_evals.engine.tasks import Station, Walked
from vision_evals.images.prefetch import ahead
from vision_evals.images.reader import Batch
from vision_evals.log.profiling import stages
from vision_evals.log.profiling.stages import timed

if TYPE_CHECKING:
    from vision_evals.engine.shard_cache import Found, Shelf
    from vision_evals.images.image_set import ImageSet


def walk(
    image_set: ImageSet,
    stations: Sequence[Station],
    *,
    device: torch.device,
    batch_size: int,
    seed: int,
    directory: Path,
    advance: Callable[[int], None],
    walked: Walked,
    portion: Portion | None = None,
    shelf: Shelf | None = None,
) -> None:
    """Show every image to every station, and fill ``walked``.

    Args:
        image_set: what is shown.
        stations: who looks.
        device: where the classifiers are.
        batch_size: images looked at together; halved on its own where memory runs out.
        seed: of the run; every draw derives from it.
        directory: of the run; finished shards of rows are written below it.
        advance: told the number of images done.
        walked: filled.
        portion: which part of the images, where only one is looked at.
        shelf: where finished shards are kept and found again; nothing is kept without.

    Raises:
        UserError: files changed while the walk was looking at them.
    """
    start = time.perf_counter()
    plans = planned(dealt(spans_of(len(image_set.images), batch_size), portion))
    found = {} if shelf is None else shelf.take(plans, directory, walked)
    visits = _visits(plans, stations, found, walked, device=device, seed=seed)
    for index in found.keys() - visits.keys():
        _remember(image_set, found[index], walked)
        advance(len(found[index].hashes))
    geometries = {s.classifier.geometry for visit in visits.values() for s in visit.stations}
    spans = [span for visit in visits.values() for span in visit.plan.spans]
    shard: Shard | None = None
    full: Shard | None = None
    waiting = time.perf_counter()
    try:
        for batch in ahead(image_set.images, spans, geometries, device):
            _waited(batch, waiting, walked)
            visit = visits[batch.span.start // SHARD]
            shard = shard or Shard(visit.plan, directory)
            _see(batch, shard, walked)
            if batch.ids:
                look(batch, visit, shard, walked)
            done, full = full, None
            if done is not None:  # a device is at work by now on what comes after it
                _finish(done, visits, walked, shelf)
            if batch.span == visit.plan.spans[-1]:
                shard.fetch()
                full, shard = shard, None
            walked.n += len(batch.ids)
            advance(len(batch.span))
            waiting = time.perf_counter()
            walked.spent["total"] = waiting - start
    finally:
        if full is not None:
            _finish(full, visits, walked, shelf)
    walked.spent["total"] = time.perf_counter() - start
    walked.finished = True


def _waited(batch: Batch, since: float, walked: Walked) -> None:
    """Count what a batch cost before anybody looked at it."""
    waited = time.perf_counter() - since
    walked.spent["wait"] += waited
    stages.add("wait", waited)
    for kind, seconds in batch.spent._asdict().items():
        walked.spent[kind] += seconds
        stages.add(kind, seconds)


def _finish(shard: Shard, visits: Mapping[int, Visit], walked: Walked, shelf: Shelf | None) -> None:
    """Move the rows of a full shard to disk, and keep them."""
    with timed("rows"):
        shard.write(walked)
    if shelf is not None:
        with timed("cache"):
            shelf.keep(shard, visits[shard.plan.index].stations, walked)


def _visits(
    plans: Sequence[Planned],
    stations: Sequence[Station],
    found: Mapping[int, Found],
    walked: Walked,
    *,
    device: torch.device,
    seed: int,
) -> dict[int, Visit]:
    """Return who must look at which shard; those of which everything is kept are left out."""
    gradients = frozenset(
        station.classifier.name
        for station in stations
        if any(task.measure.gradient for task in station.tasks)
    )
    visits = {}
    for plan in plans:
        kept = found[plan.index].abouts if plan.index in found else {}
        left = tuple(_left(stations, kept, walked))
        if left or plan.index not in found:
            visits[plan.index] = Visit(plan, left, device, seed, gradients)
    return visits


def _left(
    stations: Sequence[Station], kept: Mapping[str, Mapping[str, Any]], walked: Walked
) -> Iterator[Station]:
    """Yield who must look at a shard, with what is neither kept of it nor known to stop."""
    done = {*kept, *walked.not_applicable, *walked.invalid}
    for station in stations:
        tasks = tuple(task for task in station.tasks if task.table not in done)
        if tasks:
            yield replace(station, tasks=tasks)


def _remember(image_set: ImageSet, found: Found, walked: Walked) -> None:
    """Count the images of a shard that nobody has to look at again."""
    about = next(iter(found.abouts.values()))
    walked.unreadable.update(about["unreadable"])
    walked.oriented += about["oriented"]
    for position, sha256 in zip(found.plan.positions, found.hashes, strict=True):
        name = image_set.images[position].id
        walked.hashes[position] = sha256
        if name not in about["unreadable"]:
            walked.digests[name] = sha256
            walked.n += 1


def _see(batch: Batch, shard: Shard, walked: Walked) -> None:
    """Count the images of a batch."""
    shard.saw(batch)
    walked.digests.update(batch.digests)
    walked.unreadable.update(batch.unreadable)
    walked.oriented += batch.oriented
    walked.on_device += len(batch.by_device)
    walked.hashes.update(zip(batch.span, batch.hashes, strict=True))
