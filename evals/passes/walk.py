"""A pass: one walk over an image set, feeding every classifier and measure that needs it."""

from __future__ import annotations

import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from evals.errors import InvalidError, NotApplicableError
from evals.images.reader import Batch, batches
from evals.passes import tables
from evals.portion import Portion, dealt
from evals.probe import Answers, Probe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evals.classifiers.classifier import Classifier
    from evals.images.geometry import Geometry
    from evals.images.image_set import ImageSet
    from evals.log import Depth
    from evals.measures.measure import Columns, Measure
    from evals.schema import Table

SHARD = 256
"""Images after which rows move to the host and to disk."""


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


@dataclass
class Walked:
    """What a pass leaves behind, filled as it walks, so that an interruption loses nothing."""

    n: int = 0
    finished: bool = False
    digests: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    oriented: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """Name of a classifier to what went wrong: that classifier alone stops."""
    not_applicable: dict[str, str] = field(default_factory=dict)
    """Table to the reason: that task alone stops."""
    invalid: dict[str, str] = field(default_factory=dict)
    """Table to why its rows would be wrong: that task alone stops."""
    drew: set[str] = field(default_factory=set)
    """Names of classifiers that drew from a global generator."""
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Table to its own time, the forward that it shares with others included."""
    spent: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """``total``, ``decode``, ``wait``, ``forward``, ``rows``: where the time went."""


@dataclass(frozen=True, slots=True)
class _Visit:
    """Who looks, and how; the same for every batch."""

    stations: Sequence[Station]
    device: torch.device
    seed: int
    total: int
    memories: Sequence[dict[str, Any]]
    """One a station, kept from batch to batch."""


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
) -> None:
    """Show every image to every station, and fill ``walked``.

    Args:
        image_set: what is shown.
        stations: who looks.
        device: where the classifiers are.
        batch_size: images in one forward; halved on its own where memory runs out.
        seed: of the run; every draw derives from it.
        directory: of the run; finished shards of rows are written below it.
        advance: told the number of images done.
        walked: filled.
        portion: which part of the images, where only one is looked at.
    """
    start = waiting = time.perf_counter()
    geometries = {station.classifier.geometry for station in stations}
    shard = _Shard(directory)
    visit = _Visit(stations, device, seed, len(image_set.images), [{} for _ in stations])
    spans = dealt(spans_of(len(image_set.images), batch_size), portion)
    for batch in batches(image_set.images, spans, geometries):
        walked.spent["wait"] += time.perf_counter() - waiting
        walked.spent["decode"] += batch.seconds
        walked.digests.update(batch.digests)
        walked.unreadable.update(batch.unreadable)
        walked.oriented += batch.oriented
        if batch.ids:
            _look(batch, visit, shard, walked)
        if batch.span.stop % SHARD == 0 or batch.span == spans[-1]:
            shard.write(walked)
        walked.n += len(batch.ids)
        advance(len(batch.span))
        waiting = time.perf_counter()
        walked.spent["total"] = waiting - start
    walked.finished = True


def observe(task: Task, probe: Probe) -> Columns:
    """Return the columns of a batch; where memory runs out, of its halves one after the other.

    Raises:
        torch.OutOfMemoryError: not even one image fits.
    """
    try:
        return task.measure.observe(probe, task.parameters)
    except torch.OutOfMemoryError:
        if len(probe.ids) == 1:
            raise
    first, second = (observe(task, half) for half in probe.halves())
    return {name: _cat(first[name], second[name]) for name in first}


def _cat(
    first: torch.Tensor | NDArray[Any], second: torch.Tensor | NDArray[Any]
) -> torch.Tensor | NDArray[Any]:
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return torch.cat([first, second])
    return np.concatenate([np.asarray(first), np.asarray(second)])


def spans_of(n: int, batch_size: int) -> list[range]:
    """Cut n images into batches, none across the border of a shard."""
    return [
        range(first, min(first + batch_size, shard + SHARD, n))
        for shard in range(0, n, SHARD)
        for first in range(shard, min(shard + SHARD, n), batch_size)
    ]


def to_unit(pixels: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return uint8 pixels as fp32 in [0, 1] on the device."""
    return pixels.to(device, non_blocking=True).to(torch.float32).div(255)


def _look(batch: Batch, visit: _Visit, shard: _Shard, walked: Walked) -> None:
    started = time.perf_counter()
    pixels = {geometry: to_unit(raw, visit.device) for geometry, raw in batch.pixels.items()}
    for station, memory in zip(visit.stations, visit.memories, strict=True):
        name = station.classifier.name
        before = _generators(visit.device)
        for probe, task in _asked(station, batch, pixels, visit, memory):
            stopped = task.table in {*walked.not_applicable, *walked.invalid}
            if name in walked.failures or stopped:
                continue
            began, shared = time.perf_counter(), probe.shared_seconds
            try:
                shard.add(task, probe, observe(task, probe))
            except NotApplicableError as error:
                walked.not_applicable[task.table] = str(error)
            except InvalidError as error:
                walked.invalid[task.table] = str(error)
            except Exception as error:  # noqa: BLE001 - one network's failure is not the others'
                walked.failures[name] = f"{type(error).__name__}: {error}{_place(error)}"
            walked.seconds[task.table] += time.perf_counter() - began + shared
        if not all(map(torch.equal, before, _generators(visit.device))):
            walked.drew.add(name)
    walked.spent["forward"] += time.perf_counter() - started


def _asked(
    station: Station,
    batch: Batch,
    pixels: Mapping[Geometry, torch.Tensor],
    visit: _Visit,
    memory: dict[str, Any],
) -> Iterator[tuple[Probe, Task]]:
    probe = Probe(
        station.classifier,
        batch.ids,
        pixels[station.classifier.geometry],
        station.answers.of(batch.positions, visit.device) if station.answers else None,
        visit.seed,
        differentiate=any(task.measure.gradient for task in station.tasks),
        total=visit.total,
        memory=memory,
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


class _Shard:
    """Columns on the device until the shard is full: no synchronisation inside a batch."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._parts: dict[str, list[tables.Part]] = {}
        self._joins: dict[str, tables.Join | None] = {}
        self._index = 0

    def add(self, task: Task, probe: Probe, columns: Columns) -> None:
        answers = probe.answers
        known = {} if answers is None else {"label": answers.label, "accepted": answers.accepted}
        part = tables.Part(probe.ids, known, columns, axis_of(task))
        self._parts.setdefault(task.table, []).append(part)
        self._joins[task.table] = join_of(task)

    def write(self, walked: Walked) -> None:
        started = time.perf_counter()
        for table, parts in self._parts.items():
            if table in {*walked.not_applicable, *walked.invalid}:
                continue
            tables.add_shard(self._directory, table, self._index, parts, self._joins[table])
        self._parts = {}
        self._index += 1
        walked.spent["rows"] += time.perf_counter() - started


def join_of(task: Task) -> tables.Join | None:
    """Return how a task's rows are joined, where they are not those of images."""
    measure = task.measure
    return tables.Join(measure.keys, measure.reduce) if measure.reduce else None


def axis_of(task: Task) -> tables.Axis | None:
    """Return the axis of a task's rows, its values as the suite wrote them."""
    if task.measure.axis is None:
        return None
    column, parameter = task.measure.axis
    return tables.Axis(column, tuple(map(str, getattr(task.parameters, parameter))))
