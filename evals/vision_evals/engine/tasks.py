"""Who looks at images, what is asked of them, and what a pass leaves behind."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from vision_evals import log
    from vision_evals.core.tables import Table
    from vision_evals.measures.measure import Measure
    from vision_evals.measures.probe import Answers
    from vision_evals.models.classifier import Classifier
    from vision_evals.models.fast_path.fast_path import FastPath


@dataclass(frozen=True, slots=True)
class Task:
    """A measure with its parameters, asked of a classifier."""

    measure: Measure
    parameters: Table
    table: str
    """Unique in the run: the name of its rows."""
    depth: log.Depth = "cheap"
    """Which validity checks are asked of it."""


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
