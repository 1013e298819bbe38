"""Who looks at images, what is asked of them and how, and what a pass leaves behind."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals.engine import tables

if TYPE_CHECKING:
    import torch

    from vision_evals import log
    from vision_evals.core.cache.store import Cache
    from vision_evals.core.partition import Partition
    from vision_evals.core.tables import Table
    from vision_evals.measures.measure import Measure
    from vision_evals.measures.probe import Answers
    from vision_evals.models.classifier import Classifier
    from vision_evals.models.fast_path.fast_path import FastPath
    from vision_evals.suite.options import Source
    from vision_evals.validity.examine import Examiner
    from vision_evals.verdict.job import Job


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How a run computes, the same for all of its passes."""

    device: torch.device
    precision: log.Precision
    batch_size: int | None
    """Images in one forward; None: as many as suit the pictures."""
    seed: int
    directory: Path
    """Of the run."""
    examiner: Examiner
    """Asks whether numbers can be trusted."""
    depth: log.Depth = "cheap"
    """Which validity checks run, whatever a check says."""
    cache: Cache | None = None
    """Where finished shards, evidence and pictures are kept; None: nothing is kept or found."""
    kernels: Path | None = None
    """Folder in which compiled kernels are kept."""
    trace: Path | None = None
    """Folder of torch profiler traces; None: nothing is traced."""
    partition: Partition | None = None
    """Which part of every image set is looked at; None: all of it."""


@dataclass(frozen=True, slots=True)
class Task:
    """A measure with its parameters, asked of a classifier."""

    measure: Measure
    parameters: Table
    table: str
    """Unique in the run: the name of its rows."""
    depth: log.Depth = "cheap"
    """Which validity checks are asked of it."""

    @property
    def join(self) -> tables.Join | None:
        """How its rows are joined, where they are not those of images."""
        measure = self.measure
        return tables.Join(measure.keys, measure.reduce) if measure.reduce else None

    @property
    def axis(self) -> tables.Axis | None:
        """The axis of its rows, its values as the suite wrote them."""
        if self.measure.axis is None:
            return None
        column, parameter = self.measure.axis
        return tables.Axis(column, tuple(map(str, getattr(self.parameters, parameter))))


def task_of(job: Job, name: str, source: Source) -> Task:
    """Return what a job asks of a classifier about images; equal questions share a table.

    Args:
        job: what was selected.
        name: of the classifier, its seed included where a recipe made several.
        source: which images.
    """
    measure, parameters = job.measure, job.check.parameters
    asked = [job.check.table.measure, parameters.model_dump(mode="json"), source.place, name]
    digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    readable = tables.slug(f"{measure.name}-{Path(source.text).name}-{name}")
    return Task(measure, parameters, f"{readable}-{digest[:8]}", job.check.table.validity)


@dataclass(frozen=True, slots=True)
class TaskGroup:
    """A classifier that the images pass by, and what is asked of it."""

    classifier: Classifier
    answers: Answers | None
    tasks: tuple[Task, ...]
    fast_path: FastPath | None = None
    """How it answers where no gradient is wanted."""
    room: int | None = None
    """Images in one such forward: places of a sweep share it; None: as many as a batch has."""


def tasks_of(groups: Iterable[TaskGroup]) -> Iterator[tuple[TaskGroup, Task]]:
    """Yield everything that is asked, and of whom."""
    return ((group, task) for group in groups for task in group.tasks)


@dataclass
class PassResult:
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
    fast_paths: dict[str, log.FastPath] = field(default_factory=dict)
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
