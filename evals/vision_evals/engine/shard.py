"""Up to 256 images of a pass: the unit in which rows are written, kept and resumed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from vision_evals.engine import tables

if TYPE_CHECKING:
    from vision_evals.engine.tasks import PassResult, Task
    from vision_evals.images.reader import Batch
    from vision_evals.measures.measure import Columns
    from vision_evals.measures.probe import Probe

SHARD = 256
"""Images after which rows move to the host and to disk."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A shard before anybody looked at it."""

    index: int
    spans: tuple[range, ...]
    """Its batches: positions in the image set."""
    first: bool = True
    """Whether a walk from the beginning comes here first."""

    @property
    def positions(self) -> Iterator[int]:
        """Of all its images."""
        return (position for span in self.spans for position in span)


def spans_of(n: int, batch_size: int) -> list[range]:
    """Cut n images into batches, none across the border of a shard."""
    return [
        range(first, min(first + batch_size, shard + SHARD, n))
        for shard in range(0, n, SHARD)
        for first in range(shard, min(shard + SHARD, n), batch_size)
    ]


def planned(spans: Sequence[range]) -> list[Planned]:
    """Gather batches into shards."""
    found: dict[int, list[range]] = {}
    for span in spans:
        found.setdefault(span.start // SHARD, []).append(span)
    return [
        Planned(index, tuple(of), first=number == 0)
        for number, (index, of) in enumerate(found.items())
    ]


@dataclass
class Shard:
    """What a shard leaves, its columns on the device until it is full.

    There is no synchronisation inside a batch.
    """

    plan: Planned
    directory: Path
    hashes: list[str] = field(default_factory=list)
    """sha256 of each file, in order; empty without one."""
    unreadable: dict[str, str] = field(default_factory=dict)
    oriented: int = 0
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Table to its own time."""
    drew: set[str] = field(default_factory=set)
    """Tables during whose work somebody drew from a global generator."""
    calibrated: set[str] = field(default_factory=set)
    """Names of classifiers some of whose answers are those of a calibration."""
    stopped: dict[str, str] = field(default_factory=dict)
    """Table to how this very shard stopped it: ``invalid``, ``not_applicable``."""
    _parts: dict[str, list[tables.Part]] = field(default_factory=dict)
    _arrived: torch.cuda.Event | None = None
    """Told when the columns are on the host."""
    _joins: dict[str, tables.Join | None] = field(default_factory=dict)

    def saw(self, batch: Batch) -> None:
        """Count the images of a batch."""
        self.hashes += batch.hashes
        self.unreadable.update(batch.unreadable)
        self.oriented += batch.oriented

    def add(self, task: Task, probe: Probe, columns: Columns) -> None:
        """Hold the columns of a batch."""
        answers = probe.answers
        known = {} if answers is None else {"label": answers.label, "accepted": answers.accepted}
        part = tables.Part(probe.ids, known, columns, task.axis)
        self._parts.setdefault(task.table, []).append(part)
        self._joins[task.table] = task.join

    def fetch(self) -> None:
        """Start moving the columns to the host, without waiting for the device."""
        away = any(part.on_cuda for parts in self._parts.values() for part in parts)
        for parts in self._parts.values():
            parts[:] = [part.fetched() for part in parts]
        if away:
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()

    def write(self, result: PassResult) -> None:
        """Move the rows to the host and to disk."""
        started = time.perf_counter()
        if self._arrived is not None:
            self._arrived.synchronize()
        for table, parts in self._parts.items():
            if table in {*result.not_applicable, *result.invalid}:
                continue
            tables.add_shard(self.directory, table, self.plan.index, parts, self._joins[table])
        self._parts = {}
        result.spent["rows"] += time.perf_counter() - started
