"""Tasks of a pass, how it computes, and its result."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals.engine import tables

if TYPE_CHECKING:
    import torch

    from vision_evals import log
    from vision_evals.core.cache.store import Cache
    from vision_evals.core.tables import Table
    from vision_evals.core.worker import Partition
    from vision_evals.engine.process_state import Touched
    from vision_evals.log.rows import RowPlan
    from vision_evals.measures.measure import Measure
    from vision_evals.measures.probe import Answers
    from vision_evals.models.classifier import Classifier
    from vision_evals.models.fast_path.fast_path import FastPath
    from vision_evals.suite.options import Source
    from vision_evals.validity.examine import Examiner
    from vision_evals.verdict.job import Job


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How a run computes; the same for all of its passes."""

    device: torch.device
    precision: log.Precision
    batch_size: int | None
    """Images in one forward; None: chosen from the size of the input."""
    seed: int
    directory: Path
    """Of the run."""
    examiner: Examiner
    """Runs the validity checks."""
    depth: log.Depth = "cheap"
    """Which validity checks run, whatever a check says."""
    cache: Cache | None = None
    """Of finished shards, validity and pictures; None: nothing is cached."""
    kernels: Path | None = None
    """Folder of compiled kernels."""
    trace: Path | None = None
    """Folder of torch profiler traces; None: no traces."""
    partition: Partition | None = None
    """Which part of every image set is read; None: all of it."""
    processes: int = 1
    """How many share the work, one thread each; on a CPU."""
    timeout: float = math.inf
    """Seconds that a check of a classifier may take."""


@dataclass(frozen=True, slots=True)
class Task:
    """A measure with its parameters, for one classifier."""

    measure: Measure
    parameters: Table
    table: str
    """Unique in the run: the name of its rows."""
    depth: log.Depth = "cheap"
    """Which validity checks it has."""
    title: str = field(default="", compare=False)
    """Measure and check, for the progress; equal tasks may have several."""

    @property
    def join(self) -> tables.Join | None:
        """How its rows are joined, if they are not one per image."""
        measure = self.measure
        return tables.Join(measure.keys, measure.reduce) if measure.reduce else None

    def plan(self, group: TaskGroup, images: Collection[str]) -> RowPlan:
        """Return what its table must hold after these images."""
        return self.measure.plan(self.parameters, images, len(group.classifier.classes))

    @property
    def axis(self) -> tables.Axis | None:
        """The axis of its rows, its values as the suite wrote them."""
        values = self.measure.values(self.parameters)
        return None if values is None else tables.Axis(self.measure.row_keys[-1], values)


def task_of(job: Job, name: str, source: Source) -> Task:
    """Return the task of a job for a classifier on an image set; equal tasks share a table.

    Args:
        job: the selected job.
        name: of the classifier, its seed included where a recipe made several.
        source: of the images.
    """
    measure, parameters = job.measure, job.check.parameters
    identity = [job.check.table.measure, parameters.model_dump(mode="json"), source.place, name]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    readable = tables.slug(f"{measure.name}-{Path(source.text).name}-{name}")
    table, title = f"{readable}-{digest[:8]}", f"{measure.name} {job.check.name}"
    return Task(measure, parameters, table, job.check.table.validity, title)


@dataclass(frozen=True, slots=True)
class TaskGroup:
    """A classifier of a pass, and its tasks."""

    classifier: Classifier
    answers: Answers | None
    tasks: tuple[Task, ...]
    fast_path: FastPath | None = None
    """How it computes forwards without gradients."""
    room: int | None = None
    """Images in one such forward; the points of a sweep share it. None: as many as a batch has."""

    def answers_at(self, positions: Sequence[int], device: torch.device) -> Answers | None:
        """Return the right answers of some images, on a device; None for unlabelled images."""
        return None if self.answers is None else self.answers.of(positions, device)


def tasks_of(groups: Iterable[TaskGroup]) -> Iterator[tuple[TaskGroup, Task]]:
    """Yield every task, with its group."""
    return ((group, task) for group in groups for task in group.tasks)


@dataclass
class PassResult:
    """The result of a pass, filled while it runs, so that an interruption loses nothing."""

    n: int = 0
    finished: bool = False
    digests: dict[str, str] = field(default_factory=dict)
    """Id to sha256, of the images that could be read."""
    hashes: dict[int, str] = field(default_factory=dict)
    """Position to sha256, of all images."""
    unreadable: dict[str, str] = field(default_factory=dict)
    oriented: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """Name of a classifier to its error: only that classifier stops."""
    not_applicable: dict[str, str] = field(default_factory=dict)
    """Table to the reason: only that task stops."""
    invalid: dict[str, str] = field(default_factory=dict)
    """Table to why its rows would be wrong: only that task stops."""
    fast_paths: dict[str, log.FastPath] = field(default_factory=dict)
    """Name of a classifier to the fast path that computed its cached rows."""
    fitting: dict[str, int] = field(default_factory=dict)
    """Name of a classifier to how many images fit into memory, where a batch did not."""
    moved: defaultdict[str, dict[str, torch.Tensor]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """Table to id to the point that a picture of the image shows, of a small pass."""
    pixel_error: list[torch.Tensor] = field(default_factory=list)
    """Mean difference of a device's pixels from PIL's, of 255, per batch of the calibration."""
    on_device: int = 0
    """Images that a device decoded."""
    drew: set[str] = field(default_factory=set)
    """Names of classifiers that drew from a global generator."""
    touched: dict[str, set[Touched]] = field(default_factory=dict)
    """Name of a classifier to the settings of the process that it changed."""
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Table to its own time, the forward that it shares with others included."""
    cached: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Table to the number of images whose rows came from the cache."""
    spent: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """``total``, ``read``, ``decode``, ``preprocess``, ``wait``, ``look``, ``rows``, ``validity``,
    ``pictures``: times in seconds."""

    def touch(self, name: str, touched: Collection[Touched]) -> None:
        """Note what a classifier changed, if it did."""
        if touched:
            self.touched[name] = self.touched.get(name, set()).union(touched)

    def join(self, other: PassResult, skipped: Collection[str]) -> None:
        """Add what another process computed.

        Args:
            other: of later batches, or of other classifiers.
            skipped: tables of tasks that stopped before.
        """
        self.n += other.n
        self.oriented += other.oriented
        self.digests |= other.digests
        self.hashes |= other.hashes
        self.unreadable |= other.unreadable
        self.drew |= other.drew
        for name, touched in other.touched.items():
            self.touch(name, touched)
        self.fitting |= other.fitting
        self.failures = other.failures | self.failures
        self.not_applicable = other.not_applicable | self.not_applicable
        self.invalid = other.invalid | self.invalid
        for table, points in other.moved.items():
            if table not in skipped:
                self.moved[table].update(points)
        for totals, more in ((self.seconds, other.seconds), (self.spent, other.spent)):
            for name, seconds in more.items():
                totals[name] += seconds
