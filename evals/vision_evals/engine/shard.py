"""Up to 256 images of a pass: rows are written, cached and resumed by the shard."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vision_evals.engine import tables
from vision_evals.engine.tasks import PassResult, Task
from vision_evals.images.reader import Batch
from vision_evals.measures.measure import Columns
from vision_evals.measures.probe import Probe

SHARD = 256
"""Images after which rows move to the host and to disk."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """The batches of a shard."""

    index: int
    spans: tuple[range, ...]
    """Its batches: positions in the image set."""
    first: bool = True
    """Whether a pass begins with it."""

    @property
    def positions(self) -> Iterator[int]:
        """Positions of all its images."""
        return (position for span in self.spans for position in span)


def spans_of(n: int, batch_size: int) -> list[range]:
    """Cut n images into batches; none crosses the border of a shard."""
    return [
        range(first, min(first + batch_size, shard + SHARD, n))
        for shard in range(0, n, SHARD)
        for first in range(shard, min(shard + SHARD, n), batch_size)
    ]


def plan_shards(spans: Sequence[range]) -> list[ShardPlan]:
    """Gather batches into shards."""
    spans_by_shard: dict[int, list[range]] = {}
    for span in spans:
        spans_by_shard.setdefault(span.start // SHARD, []).append(span)
    return [
        ShardPlan(index, tuple(shard_spans), first=number == 0)
        for number, (index, shard_spans) in enumerate(spans_by_shard.items())
    ]


@dataclass
class Shard:
    """The results of a shard; its columns stay on the device until it is full.

    Nothing synchronises inside a batch.
    """

    plan: ShardPlan
    directory: Path
    hashes: list[str] = field(default_factory=list)
    """sha256 of each file, in order; empty without one."""
    unreadable: dict[str, str] = field(default_factory=dict)
    oriented: int = 0
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Table to its own time."""
    drew: set[str] = field(default_factory=set)
    """Tables whose network or measure drew from a global generator."""
    calibrated: set[str] = field(default_factory=set)
    """Names of classifiers with answers from a calibration."""
    stopped: dict[str, str] = field(default_factory=dict)
    """Table to why this shard stopped its task: ``invalid``, ``not_applicable``."""
    changed: set[str] = field(default_factory=set)
    """Names of classifiers whose network changed in another process."""
    _parts: dict[str, list[tables.BatchRows]] = field(default_factory=dict)
    _arrived: torch.cuda.Event | None = None
    """Occurs when the columns are on the host."""
    _joins: dict[str, tables.Join | None] = field(default_factory=dict)

    def count_images(self, batch: Batch) -> None:
        """Count the images of a batch."""
        self.hashes += batch.hashes
        self.unreadable.update(batch.unreadable)
        self.oriented += batch.oriented

    def add(self, task: Task, probe: Probe, columns: Columns) -> None:
        """Add the columns of a batch."""
        answers = probe.answers
        labels = {} if answers is None else {"label": answers.label, "accepted": answers.accepted}
        part = tables.BatchRows(probe.ids, labels, columns, task.axis)
        self._parts.setdefault(task.table, []).append(part)
        self._joins[task.table] = task.join

    def join(self, other: Shard, skipped: Collection[str]) -> None:
        """Add what another process computed of this shard.

        Args:
            other: later batches of it, or other classifiers.
            skipped: tables of tasks that stopped before.
        """
        self.hashes += other.hashes
        self.unreadable |= other.unreadable
        self.oriented += other.oriented
        self.drew |= other.drew
        self.calibrated |= other.calibrated
        for table, parts in other._parts.items():
            if table not in skipped:
                self._parts.setdefault(table, []).extend(parts)
                self._joins[table] = other._joins[table]
        for table, seconds in other.seconds.items():
            self.seconds[table] += seconds
        self.stopped |= {t: why for t, why in other.stopped.items() if t not in skipped}

    def fetch(self) -> None:
        """Start moving the columns to the host, without waiting for the device."""
        on_cuda = any(part.on_cuda for parts in self._parts.values() for part in parts)
        for parts in self._parts.values():
            parts[:] = [part.fetched() for part in parts]
        if on_cuda:
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
