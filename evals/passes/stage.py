"""A pass from preparation to pictures: who looks, the walk, the rows, what the report shows."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import torch

from evals import log
from evals.classifiers.classifier import Classifier
from evals.device import default_batch, numerics
from evals.errors import NotApplicableError, UserError
from evals.images.image_set import ImageSet, fingerprint
from evals.images.reader import batches
from evals.judging import Measured, finite
from evals.log import Validity
from evals.measures.measure import Drawing, Measure
from evals.options import Source
from evals.passes import guard, pictures, tables
from evals.passes.resources import Resources
from evals.passes.walk import Station, Task, Walked, join_of, to_unit, walk
from evals.probe import Probe
from evals.progress import Progress
from evals.selection import Catalog, Job
from evals.validity.check import Evidence
from evals.validity.examine import Examiner

BENCH = 16
"""Images that validity checks look at."""


@dataclass(frozen=True, slots=True)
class Manner:
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


@dataclass
class Pass:
    """One image set, the classifiers that look at it, and the rows they leave."""

    source: Source
    role: str
    """Name of the image set in the log, unique in the run."""
    image_set: ImageSet
    stations: dict[str, Station]
    """By name of the classifier."""
    walked: Walked = field(default_factory=Walked)
    measured: dict[str, Measured] = field(default_factory=dict)
    """By table; filled when the walk is through."""
    broken: str | None = None
    """Why the walk did not finish, for every item that waited for it."""
    picture_seconds: float = 0.0
    validity_seconds: float = 0.0

    def names(self, alias: str) -> tuple[str, ...]:
        """Return the names of the classifiers of an alias: several where a recipe has seeds."""
        return tuple(n for n, s in self.stations.items() if s.classifier.alias == alias)


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


def stations(
    jobs: Iterable[Job], source: Source, catalog: Catalog, resources: Resources
) -> dict[str, Station]:
    """Return every classifier that can be loaded, by name, with all that the jobs ask of it.

    A classifier that a threshold names is asked too, whether or not its own item was selected.
    """
    found: dict[str, Station] = {}
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
                station = found.setdefault(name, Station(classifier, answers, ()))
                found[name] = replace(station, tasks=_with(station.tasks, task))
    return found


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


def batch_of(this: Pass, manner: Manner) -> int:
    """Return how many images a forward of this pass takes."""
    if manner.batch_size is not None:
        return manner.batch_size
    areas = [station.classifier.geometry.area for station in this.stations.values()]
    return default_batch(manner.device, max(areas, default=224 * 224))


def run(this: Pass, manner: Manner, progress: Progress) -> None:
    """Walk, and join the rows of every finished shard, also when the walk was interrupted."""
    networks = {name: station.classifier.network for name, station in this.stations.items()}
    changes = guard.Changes()
    rows: dict[str, pd.DataFrame | None] = {}
    aliases = dict.fromkeys(station.classifier.alias for station in this.stations.values())
    try:
        with (
            guard.watch(networks, changes),
            numerics(manner.device, manner.precision),
            progress(f"{this.role}, {', '.join(aliases)}", len(this.image_set.images)) as advance,
        ):
            walk(
                this.image_set,
                tuple(this.stations.values()),
                device=manner.device,
                batch_size=batch_of(this, manner),
                seed=manner.seed,
                directory=manner.directory,
                advance=advance,
                walked=this.walked,
            )
    except BaseException as error:
        this.broken = f"the pass over {this.role} broke: {type(error).__name__}: {error}"
        raise
    finally:
        for task in (task for station in this.stations.values() for task in station.tasks):
            rows[task.table] = _joined(this, task, manner)
    asked = _examined(this, rows, changes, manner)
    for station in this.stations.values():
        for task in station.tasks:
            if task.table not in this.walked.not_applicable:
                found = _measured(this, station, task, rows[task.table], changes, manner)
                validity = (*found.validity, *asked.get(task.table, ()))
                this.measured[task.table] = replace(found, validity=validity)


def _examined(
    this: Pass,
    rows: Mapping[str, pd.DataFrame | None],
    changes: guard.Changes,
    manner: Manner,
) -> dict[str, tuple[Validity, ...]]:
    """Ask every classifier and task whether its numbers can be trusted, by table."""
    started = time.perf_counter()
    found: dict[str, tuple[Validity, ...]] = {}
    images = bench(this.image_set, this.walked.digests)
    networks = {name: station.classifier.network for name, station in this.stations.items()}
    with guard.watch(networks, changes), numerics(manner.device, manner.precision):
        for name, station in this.stations.items():
            if name in this.walked.failures or not images:
                continue
            probe = _probe(this, station, images, manner)
            for task in station.tasks:
                table = rows.get(task.table)
                if table is None or table.empty or task.table in this.walked.not_applicable:
                    continue
                evidence = Evidence(
                    station.classifier,
                    replace(probe, memory={}),
                    tuple(this.image_set.images[i] for i in images),
                    this.image_set,
                    task.measure,
                    task.parameters,
                    table,
                )
                depth: log.Depth = (
                    "thorough" if "thorough" in {manner.depth, task.depth} else "cheap"
                )
                found[task.table] = manner.examiner.examine(evidence, depth)
    this.validity_seconds += time.perf_counter() - started
    return found


def bench(image_set: ImageSet, readable: Collection[str]) -> tuple[int, ...]:
    """Return the positions of a few images that could be read, chosen by hash of id."""
    places = [i for i, image in enumerate(image_set.images) if image.id in readable]
    chosen = sorted(places, key=lambda i: hashlib.sha256(image_set.images[i].id.encode()).digest())
    return tuple(sorted(chosen[:BENCH]))


def _probe(this: Pass, station: Station, positions: Sequence[int], manner: Manner) -> Probe:
    """Return a probe on a few images, decoded once more."""
    chosen = [this.image_set.images[i] for i in positions]
    geometry = station.classifier.geometry
    (batch,) = batches(chosen, [range(len(chosen))], {geometry})
    seen = [positions[i] for i in batch.positions]
    return Probe(
        station.classifier,
        batch.ids,
        to_unit(batch.pixels[geometry], manner.device),
        station.answers and station.answers.of(seen, manner.device),
        manner.seed,
        differentiate=True,
        total=len(batch.ids),
    )


def _joined(this: Pass, task: Task, manner: Manner) -> pd.DataFrame | None:
    """Return a task's rows; where they cannot be joined, that task alone is invalid."""
    try:
        return tables.merge(manner.directory, task.table, join_of(task))
    except Exception as error:  # noqa: BLE001 - a measure may be a user's own
        said = f"its rows cannot be joined: {type(error).__name__}: {error}"
        this.walked.invalid.setdefault(task.table, said)
        return None


def _measured(
    this: Pass,
    station: Station,
    task: Task,
    rows: pd.DataFrame | None,
    changes: guard.Changes,
    manner: Manner,
) -> Measured:
    name = station.classifier.name
    table = pd.DataFrame({key: [] for key in task.measure.keys}) if rows is None else rows
    seen = _seen(task, this.walked)
    return Measured(
        classifier=station.classifier,
        rows=table,
        images=this.walked.n,
        limited=len(this.image_set.images) < this.image_set.total,
        sample_of=this.image_set.sample_of,
        unreadable=this.walked.unreadable,
        validity=(
            *_trained(station.classifier),
            _ran(name, this.walked),
            changes.validity(name),
            _drew(name, this.walked),
            *seen,
            *(() if seen or table.empty else _vouched(task, station, table)),
            finite(table),
        ),
        seed=manner.seed,
    )


def _vouched(task: Task, station: Station, rows: pd.DataFrame) -> tuple[Validity, ...]:
    return task.measure.vouch(station.classifier.network, rows)


def _seen(task: Task, walked: Walked) -> tuple[Validity, ...]:
    """Return why a measure refused to answer for this network, if it did."""
    if task.table not in walked.invalid:
        return ()
    return (
        Validity(
            name=f"{task.measure.name} can be measured",
            outcome="falls",
            evidence=walked.invalid[task.table],
            meaning="A measure that does not see what it counts would give a number all the same.",
        ),
    )


def _trained(classifier: Classifier) -> tuple[Validity, ...]:
    training = classifier.training
    if training is None:
        return ()
    return (
        Validity(
            name="the training converged",
            outcome="falls" if training.diverged else "holds",
            evidence=training.diverged or f"weights of epoch {training.returned_epoch}",
            meaning="A network whose training diverged is not what its recipe describes.",
        ),
    )


def _ran(name: str, walked: Walked) -> Validity:
    failure = walked.failures.get(name)
    return Validity(
        name="the network ran",
        outcome="holds" if failure is None else "falls",
        evidence=failure or f"on all of {walked.n} images",
        meaning="Numbers from the images before a crash are not numbers of the whole set.",
    )


def _drew(name: str, walked: Walked) -> Validity:
    drew = name in walked.drew
    return Validity(
        id="S4",
        name="deterministic",
        outcome="falls" if drew else "holds",
        evidence="drew from a global generator in eval mode"
        if drew
        else "no draw from a global generator",
        meaning="A network that throws dice in eval mode answers otherwise the next time.",
        source="Croce & Hein 2020, AutoAttack's flag for randomised defences",
    )


def draw(this: Pass, task: Task, name: str, count: int, manner: Manner) -> tuple[log.Picture, ...]:
    """Show a few images to a classifier again, and write what its measure makes of them."""
    started = time.perf_counter()
    if task.measure.badness is None:
        return ()
    badness = task.measure.badness(this.measured[task.table].rows)
    samples = pictures.pick(badness, count, gallery=task.measure.gallery)
    if not samples:
        return ()
    positions = [i for i, image in enumerate(this.image_set.images) if image.id in samples]
    drawings = _explained(this, task, name, positions, manner)
    saved = pictures.save(drawings, samples, manner.directory, task.table)
    this.picture_seconds += time.perf_counter() - started
    return saved


def keep(this: Pass, task: Task, name: str, manner: Manner) -> None:
    """Write every adversarial of a task as an 8-bit PNG; they are made again, batch by batch."""
    n = len(this.image_set.images)
    size = batch_of(this, manner)
    for first in range(0, n, size):
        span = range(first, min(first + size, n))
        drawings = _explained(this, task, name, span, manner)
        pictures.save_adversarials(drawings, manner.directory / "adversarials" / task.table)


def _explained(
    this: Pass, task: Task, name: str, positions: Sequence[int], manner: Manner
) -> tuple[Drawing, ...]:
    station, rows = this.stations[name], this.measured[task.table].rows
    probe = _probe(this, station, positions, manner)
    if not probe.ids:
        return ()
    shown = rows[rows["image"].isin(probe.ids)]
    with numerics(manner.device, manner.precision):
        return task.measure.explain(probe, shown, task.parameters)


def image_set_record(this: Pass) -> log.ImageSet:
    """Return the entry of the pass's images in the log."""
    walked, image_set = this.walked, this.image_set
    return log.ImageSet(
        role=this.role,
        source=this.source.text,
        n=len(image_set.images),
        total=image_set.total,
        limit=image_set.limit,
        sample_of=image_set.sample_of,
        fingerprint=fingerprint(image_set, walked.digests) if walked.finished else None,
        unreadable=tuple(
            log.Unreadable(image=image, reason=reason)
            for image, reason in walked.unreadable.items()
        ),
        about={image.id: dict(image.about) for image in image_set.images if image.about},
        oriented=walked.oriented,
    )


def walk_record(this: Pass, manner: Manner) -> log.Walk:
    """Return the entry that says where the pass's time went."""
    spent = this.walked.spent
    return log.Walk(
        images=this.role,
        batch_size=batch_of(this, manner),
        n=this.walked.n,
        seconds=spent["total"],
        decode_seconds=spent["decode"],
        wait_seconds=spent["wait"],
        forward_seconds=spent["forward"],
        rows_seconds=spent["rows"],
        picture_seconds=this.picture_seconds,
        validity_seconds=this.validity_seconds,
    )
