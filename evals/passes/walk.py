"""A pass: one walk over an image set, feeding every classifier and measure that needs it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from evals.errors import NotApplicableError
from evals.images.reader import Batch, batches
from evals.passes import tables
from evals.probe import Answers, Probe

if TYPE_CHECKING:
    from evals.classifiers.classifier import Classifier
    from evals.images.image_set import ImageSet
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
    """Alias to what went wrong: that classifier alone stops."""
    not_applicable: dict[str, str] = field(default_factory=dict)
    """Table to the reason: that task alone stops."""
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Table to the time of its own forward passes and rows."""
    spent: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """``total``, ``decode``, ``wait``, ``forward``, ``rows``: where the time went."""


def walk(
    image_set: ImageSet,
    stations: Sequence[Station],
    *,
    device: torch.device,
    batch_size: int,
    directory: Path,
    advance: Callable[[int], None],
    walked: Walked,
) -> None:
    """Show every image to every station, and fill ``walked``.

    Args:
        image_set: what is shown.
        stations: who looks.
        device: where the classifiers are.
        batch_size: images in one forward; halved on its own where memory runs out.
        directory: of the run; finished shards of rows are written below it.
        advance: told the number of images done.
        walked: filled.
    """
    start = waiting = time.perf_counter()
    geometries = {station.classifier.geometry for station in stations}
    shard = _Shard(directory)
    for batch in batches(image_set.images, _spans(len(image_set.images), batch_size), geometries):
        walked.spent["wait"] += time.perf_counter() - waiting
        walked.spent["decode"] += batch.seconds
        walked.digests.update(batch.digests)
        walked.unreadable.update(batch.unreadable)
        walked.oriented += batch.oriented
        if batch.ids:
            _look(batch, stations, device, shard, walked)
        if batch.span.stop % SHARD == 0 or batch.span.stop == len(image_set.images):
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
    return {name: torch.cat([first[name], second[name]]) for name in first}


def _spans(n: int, batch_size: int) -> list[range]:
    """Cut n images into batches, none across the border of a shard."""
    return [
        range(first, min(first + batch_size, shard + SHARD, n))
        for shard in range(0, n, SHARD)
        for first in range(shard, min(shard + SHARD, n), batch_size)
    ]


def to_unit(pixels: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return uint8 pixels as fp32 in [0, 1] on the device."""
    return pixels.to(device, non_blocking=True).to(torch.float32).div(255)


def _look(
    batch: Batch,
    stations: Sequence[Station],
    device: torch.device,
    shard: _Shard,
    walked: Walked,
) -> None:
    started = time.perf_counter()
    pixels = {geometry: to_unit(raw, device) for geometry, raw in batch.pixels.items()}
    for station in stations:
        classifier = station.classifier
        answers = station.answers.of(batch.positions, device) if station.answers else None
        probe = Probe(classifier, batch.ids, pixels[classifier.geometry], answers)
        for task in station.tasks:
            if classifier.alias in walked.failures or task.table in walked.not_applicable:
                continue
            began = time.perf_counter()
            try:
                shard.add(task.table, batch.ids, answers, observe(task, probe))
            except NotApplicableError as error:
                walked.not_applicable[task.table] = str(error)
            except Exception as error:  # noqa: BLE001 - one network's failure is not the others'
                walked.failures[classifier.alias] = f"{type(error).__name__}: {error}"
            walked.seconds[task.table] += time.perf_counter() - began
    walked.spent["forward"] += time.perf_counter() - started


class _Shard:
    """Columns on the device until the shard is full: no synchronisation inside a batch."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._parts: dict[str, list[tables.Part]] = {}
        self._index = 0

    def add(
        self, table: str, ids: tuple[str, ...], answers: Answers | None, columns: Columns
    ) -> None:
        known = {} if answers is None else {"label": answers.label, "accepted": answers.accepted}
        self._parts.setdefault(table, []).append(tables.Part(ids, {**known, **columns}))

    def write(self, walked: Walked) -> None:
        started = time.perf_counter()
        for table, parts in self._parts.items():
            if table in walked.not_applicable:
                continue
            tables.add_shard(self._directory, table, self._index, parts)
        self._parts = {}
        self._index += 1
        walked.spent["rows"] += time.perf_counter() - started
