"""What a pass is: who looks at which images, what is asked of them, and how it computes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from vision_evals import log
from vision_evals.core.cache.store import Cache
from vision_evals.core.errors import NotApplicableError, UserError
from vision_evals.core.partition import Partition
from vision_evals.engine import tables
from vision_evals.engine.jobs import Catalog, Job
from vision_evals.engine.resources import Resources
from vision_evals.engine.tasks import PassResult, Task, TaskGroup
from vision_evals.images.geometry import to_unit
from vision_evals.images.image_set import ImageSet
from vision_evals.images.reader import batches
from vision_evals.measures.measure import Measure
from vision_evals.measures.probe import Probe
from vision_evals.models.build import preprocessing, source_of
from vision_evals.models.device import default_batch
from vision_evals.models.recipe import BUILT_IN_DATA
from vision_evals.models.registry import Request
from vision_evals.suite.options import Source
from vision_evals.validity.examine import Examiner
from vision_evals.verdict.check_input import Measured

if TYPE_CHECKING:
    from vision_evals.engine.shard_cache import ShardCache


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


@dataclass
class Pass:
    """One image set, the classifiers that look at it, and the rows they leave."""

    source: Source
    role: str
    """Name of the image set in the log, unique in the run."""
    image_set: ImageSet
    groups: dict[str, TaskGroup]
    """By name of the classifier."""
    result: PassResult = field(default_factory=PassResult)
    measured: dict[str, Measured] = field(default_factory=dict)
    """By table; filled when the walk is through."""
    broken: str | None = None
    """Why the walk did not finish, for every item that waited for it."""
    area: int | None = None
    """Pixels of the largest pictures that its batches are to suit; None: its own stations'."""
    gradients: bool = True
    """Whether anybody who was selected wants gradients of its images."""
    shard_cache: ShardCache | None = None
    """The cache as this pass sees it."""
    picture_seconds: float = 0.0
    validity_seconds: float = 0.0

    @property
    def whole(self) -> str | None:
        """Key of all its images in the cache; None before the walk is through, or without one."""
        return None if self.shard_cache is None else self.shard_cache.whole(self.result)

    def names(self, alias: str) -> tuple[str, ...]:
        """Return the names of the classifiers of an alias: several where a recipe has seeds."""
        return tuple(n for n, s in self.groups.items() if s.classifier.alias == alias)


def task_of(job: Job, name: str, source: Source) -> Task:
    """Return what a job asks of a classifier about images; equal questions share a table.

    Args:
        job: what was selected.
        name: of the classifier, its seed included where a recipe made several.
        source: which images.
    """
    measure = job.check.spec
    assert isinstance(measure, Measure)
    parameters = job.check.parameters
    asked = [job.check.table.measure, parameters.model_dump(mode="json"), source.place, name]
    digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    readable = tables.slug(f"{measure.name}-{Path(source.text).name}-{name}")
    return Task(measure, parameters, f"{readable}-{digest[:8]}", job.check.table.validity)


def prepare(job: Job, resources: Resources) -> None:
    """Load what a job about images needs.

    Raises:
        UnavailableError, NotApplicableError, UserError: as their classes say.
    """
    measure, classifier = _measure(job), resources.classifier(job.request)
    if job.source is None:
        return
    for source in filter(None, (job.source, job.against)):
        if measure.labels and not resources.image_set(source).labelled:
            raise NotApplicableError(
                f"{source} has no labels, and {measure.name} means nothing without"
            )
        resources.answers(classifier, source)
    image_set = resources.image_set(job.source)
    measure.prepare(image_set, classifier.classes, job.alias, job.check.parameters)


def groups(
    jobs: Iterable[Job], source: Source, catalog: Catalog, resources: Resources
) -> dict[str, TaskGroup]:
    """Return every classifier that can be loaded, by name, with all that the jobs ask of it.

    A classifier that a threshold names is asked too, whether or not its own item was selected.
    """
    found: dict[str, TaskGroup] = {}
    image_set = resources.image_set(source)
    for job in jobs:
        if _measure(job).labels and not image_set.labelled:
            continue
        others = map(catalog.request, sorted(job.check.references(job.alias)))
        for request in (job.request, *others):
            try:
                classifiers = resources.classifiers(request)
                answers = resources.answers(classifiers[0], source)
            except UserError:
                continue  # said where its own item is prepared, or where a threshold names it
            for classifier in classifiers:
                name = classifier.name
                task = task_of(job, name, source)
                group = found.setdefault(name, TaskGroup(classifier, answers, ()))
                found[name] = replace(group, tasks=_with(group.tasks, task))
    return found


def area(jobs: Iterable[Job], source: Source, catalog: Catalog) -> int | None:
    """Return the pixels of the largest pictures that anybody asked on a source takes.

    It says how many make a batch, so it follows from what was selected, and not from what could be
    loaded or which process looks: else the last bits of a row would.
    """
    requests = {
        request
        for job in jobs
        if source in {job.source, job.against}
        for request in (job.request, *map(catalog.request, job.check.references(job.alias)))
    }
    return max((_area(request, catalog) for request in requests), default=0) or None


def gradients(jobs: Iterable[Job], source: Source) -> bool:
    """Return whether anybody asks for gradients on a source: from what was selected, too."""
    asked = (_measure(job) for job in jobs if source in {job.source, job.against})
    return any(measure.gradient or measure.attack is not None for measure in asked)


def _area(request: Request, catalog: Catalog) -> int:
    try:
        card, _ = catalog.registry.card(request.name)
        if card.recipe is not None:
            side = 32 if card.recipe.data in BUILT_IN_DATA else 224
            return (card.recipe.size or side) ** 2
        return preprocessing(request.alias, card, source_of(card).facts(card)).geometry.area
    except UserError:
        return 0  # said where it is loaded


def _with(tasks: tuple[Task, ...], task: Task) -> tuple[Task, ...]:
    """Add a task; of two that ask the same, the deeper validity checks remain."""
    same = [other for other in tasks if other.table == task.table]
    if not same:
        return (*tasks, task)
    if task.depth == "thorough":
        return tuple(task if other.table == task.table else other for other in tasks)
    return tasks


def _measure(job: Job) -> Measure:
    assert isinstance(job.check.spec, Measure)
    return job.check.spec


def batch_of(this: Pass, config: RunConfig) -> int:
    """Return how many images a forward of this pass takes."""
    if config.batch_size is not None:
        return config.batch_size
    return default_batch(config.device, _area_of(this), gradients=this.gradients)


def room_of(this: Pass, config: RunConfig, network: nn.Module) -> int | None:
    """Return how many images a forward without gradients takes; None: a batch of this pass.

    A GPU is to be filled. On a CPU larger batches only pay where a network is mostly dense layers,
    whose weights are read anew for each: alexnet gains 1.8 times, efficientnet_lite0 loses a tenth.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    dense = sum(layer.weight.numel() for layer in layers if not is_lazy(layer.weight))
    whole = sum(weight.numel() for weight in network.parameters() if not is_lazy(weight))
    if config.batch_size is not None or (config.device.type == "cpu" and 2 * dense < whole):
        return None
    return default_batch(config.device, _area_of(this), gradients=False)


def _area_of(this: Pass) -> int:
    areas = [group.classifier.geometry.area for group in this.groups.values()]
    return this.area or max(areas, default=224 * 224)


def probe_of(this: Pass, group: TaskGroup, positions: Sequence[int], config: RunConfig) -> Probe:
    """Return a probe on a few images, decoded once more."""
    chosen = [this.image_set.images[i] for i in positions]
    geometry = group.classifier.geometry
    (batch,) = batches(chosen, [range(len(chosen))], {geometry})
    if any(this.result.digests.get(name) != sha256 for name, sha256 in batch.digests.items()):
        raise UserError("pictures changed while the run was looking at them; run it again")
    seen = [positions[i] for i in batch.positions]
    return Probe(
        group.classifier,
        batch.ids,
        to_unit(batch.pixels[geometry], config.device),
        group.answers and group.answers.of(seen, config.device),
        config.seed,
        differentiate=True,
    )
