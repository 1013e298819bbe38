"""A pass: one walk over an image set, feeding every classifier and measure that needs it."""

from __future__ import annotations

import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from evals.errors import InvalidError, NotApplicableError
from evals.images.ahead import ahead
from evals.images.reader import Batch
from evals.passes.shard import SHARD, Planned, Shard, planned, spans_of
from evals.portion import Portion, dealt
from evals.probe import Answers, Probe
from evals.profiling import stages
from evals.profiling.stages import timed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evals import log
    from evals.classifiers.classifier import Classifier
    from evals.images.geometry import Geometry
    from evals.images.image_set import ImageSet
    from evals.lanes.lane import Lane
    from evals.log import Depth
    from evals.measures.measure import Columns, Measure
    from evals.passes.shelf import Found, Shelf
    from evals.schema import Table


@dataclass(frozen=True, slots=True)
class Task:
    """A measure with its parameters, asked of a classifier."""

    measure: Measure
    parameters: Table
    table: str
    """Unique in the run: the name of its rows."""
    depth: Depth = "cheap"
    """Which validity checks are asked of it."""


@dataclass(frozen=True, slots=True)
class Station:
    """A classifier that the images pass by, and what is asked of it."""

    classifier: Classifier
    answers: Answers | None
    tasks: tuple[Task, ...]
    lane: Lane | None = None
    """How it answers where no gradient is wanted."""
    room: int | None = None
    """Images in one such forward: places of a sweep share it; None: as many as a batch has."""


@dataclass
class Walked:
    """What a pass leaves behind, filled as it walks, so that an interruption loses nothing."""

    n: int = 0
    finished: bool = False
    digests: dict[str, str] = field(default_factory=dict)
    """Id to sha256, of the images that could be read."""
    hashes: dict[int, str] = field(default_factory=dict)
    """Position to sha256, of all images."""
    unreadable: dict[str, str] = field(default_factory=dict)
    oriented: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """Name of a classifier to what went wrong: that classifier alone stops."""
    not_applicable: dict[str, str] = field(default_factory=dict)
    """Table to the reason: that task alone stops."""
    invalid: dict[str, str] = field(default_factory=dict)
    """Table to why its rows would be wrong: that task alone stops."""
    lanes: dict[str, log.Lane] = field(default_factory=dict)
    """Name of a classifier to the path by which rows from the cache were made."""
    rooms: dict[str, int] = field(default_factory=dict)
    """Name of a classifier to how many images fit into memory, where a batch did not."""
    pixel_error: list[torch.Tensor] = field(default_factory=list)
    """Mean difference of a device's pixels from PIL's, of 255, a batch of the calibration each."""
    on_device: int = 0
    """Pictures that a device decoded."""
    drew: set[str] = field(default_factory=set)
    """Names of classifiers that drew from a global generator."""
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Table to its own time, the forward that it shares with others included."""
    cached: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Table to the number of images whose rows came from the cache."""
    spent: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """``total``, ``read``, ``decode``, ``preprocess``, ``wait``, ``look``, ``rows``: where the time
    went."""


@dataclass(frozen=True, slots=True)
class _Visit:
    """Who looks at a shard, and how."""

    plan: Planned
    stations: Sequence[Station]
    device: torch.device
    seed: int
    gradients: frozenset[str]
    """Names of classifiers of which some task wants the gradient, also one that is kept."""


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
                _look(batch, visit, shard, walked)
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


def _finish(
    shard: Shard, visits: Mapping[int, _Visit], walked: Walked, shelf: Shelf | None
) -> None:
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
) -> dict[int, _Visit]:
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
            visits[plan.index] = _Visit(plan, left, device, seed, gradients)
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
    walked.on_device += batch.on_device
    walked.hashes.update(zip(batch.span, batch.hashes, strict=True))


def observe(task: Task, probe: Probe, rooms: dict[str, int]) -> Columns:
    """Return the columns of a batch; where memory runs out, of its halves one after the other.

    Args:
        task: what is asked.
        probe: of whom.
        rooms: classifier to how many images fit, where memory ran out before; filled.

    Raises:
        torch.OutOfMemoryError: not even one image fits.
    """
    name, n = probe.classifier.name, len(probe.ids)
    if n <= rooms.get(name, n):
        try:
            return task.measure.observe(probe, task.parameters)
        except torch.OutOfMemoryError:
            if n == 1:
                raise
            rooms[name] = n // 2
        if probe.pixels.is_cuda:
            torch.cuda.empty_cache()
    first, second = (observe(task, half, rooms) for half in probe.halves())
    return {name: _cat(first[name], second[name]) for name in first}


def _cat(
    first: torch.Tensor | NDArray[Any], second: torch.Tensor | NDArray[Any]
) -> torch.Tensor | NDArray[Any]:
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return torch.cat([first, second])
    return np.concatenate([np.asarray(first), np.asarray(second)])


def to_unit(pixels: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return uint8 pixels as fp32 in [0, 1] on the device."""
    return pixels.to(device, non_blocking=True).to(torch.float32).div(255)


def _look(batch: Batch, visit: _Visit, shard: Shard, walked: Walked) -> None:
    started = time.perf_counter()
    pixels = {geometry: to_unit(raw, visit.device) for geometry, raw in batch.pixels.items()}
    _compare(batch, pixels, visit, walked)
    for station in visit.stations:
        name = station.classifier.name
        for probe, task in _asked(station, batch, pixels, visit):
            stopped = task.table in {*walked.not_applicable, *walked.invalid}
            if name in walked.failures or stopped:
                continue
            before = _generators(visit.device)
            began, shared = time.perf_counter(), probe.shared_seconds
            try:
                with timed("attack" if task.measure.attack else "measure"):
                    shard.add(task, probe, observe(task, probe, walked.rooms))
            except NotApplicableError as error:
                walked.not_applicable[task.table] = str(error)
                shard.stopped[task.table] = "not_applicable"
            except InvalidError as error:
                walked.invalid[task.table] = str(error)
                shard.stopped[task.table] = "invalid"
            except Exception as error:  # noqa: BLE001 - one network's failure is not the others'
                walked.failures[name] = f"{type(error).__name__}: {error}{_place(error)}"
            spent = time.perf_counter() - began + shared
            walked.seconds[task.table] += spent
            shard.seconds[task.table] += spent
            if not all(map(torch.equal, before, _generators(visit.device))):
                walked.drew.add(name)
                shard.drew.add(task.table)
    for lane in (station.lane for station in visit.stations if station.lane):
        lane.shown(len(batch.ids))
    walked.spent["look"] += time.perf_counter() - started


def _compare(
    batch: Batch, pixels: Mapping[Geometry, torch.Tensor], visit: _Visit, walked: Walked
) -> None:
    """Measure how far pixels that a device made are from PIL's, and what that does."""
    if batch.plain is None:
        return
    errors = [
        (batch.pixels[geometry].float() - plain.float()).abs().mean()
        for geometry, plain in batch.plain.items()
    ]
    walked.pixel_error.append(torch.stack(errors).amax())
    for station in visit.stations:
        if station.lane is not None and station.classifier.name not in walked.failures:
            geometry = station.classifier.geometry
            known = station.answers
            right = None if known is None else known.of(batch.positions, visit.device).accepted
            plain = to_unit(batch.plain[geometry], visit.device)
            station.lane.parity.compare(station.classifier, pixels[geometry], plain, right)


def _asked(
    station: Station,
    batch: Batch,
    pixels: Mapping[Geometry, torch.Tensor],
    visit: _Visit,
) -> Iterator[tuple[Probe, Task]]:
    probe = Probe(
        station.classifier,
        batch.ids,
        pixels[station.classifier.geometry],
        station.answers.of(batch.positions, visit.device) if station.answers else None,
        visit.seed,
        differentiate=station.classifier.name in visit.gradients,
        lane=station.lane,
        room=station.room,
    )
    return ((probe, task) for task in station.tasks)


def _generators(device: torch.device) -> list[torch.Tensor]:
    """Return the state of the global generators that a network in eval mode must not draw from."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _place(error: Exception) -> str:
    """Say where in whose file an exception comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
