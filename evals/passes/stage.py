"""A pass from preparation to pictures: who looks, the walk, the rows, what the report shows."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import torch

from evals import log
from evals.device import numerics
from evals.errors import UserError
from evals.images.image_set import ImageSet, fingerprint
from evals.images.reader import batches
from evals.judging import Measured, finite
from evals.log import Validity
from evals.measures.measure import Drawing, Measure
from evals.options import Source
from evals.passes import guard, pictures, tables
from evals.passes.resources import Resources
from evals.passes.walk import Station, Task, Walked, to_unit, walk
from evals.probe import Probe
from evals.progress import Progress
from evals.selection import Catalog, Job


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run computes, the same for all of its passes."""

    device: torch.device
    precision: log.Precision
    batch_size: int
    seed: int
    directory: Path
    """Of the run."""


@dataclass
class Pass:
    """One image set, the classifiers that look at it, and the rows they leave."""

    source: Source
    role: str
    """Name of the image set in the log, unique in the run."""
    image_set: ImageSet
    stations: dict[str, Station]
    """By alias."""
    walked: Walked = field(default_factory=Walked)
    measured: dict[str, Measured] = field(default_factory=dict)
    """By table; filled when the walk is through."""
    broken: str | None = None
    """Why the walk did not finish, for every item that waited for it."""
    picture_seconds: float = 0.0


def task_of(job: Job, alias: str, source: Source) -> Task:
    """Return what a job asks of a classifier about images; equal questions share a table."""
    measure = job.check.spec
    assert isinstance(measure, Measure)
    parameters = job.check.parameters
    asked = [job.check.table.measure, parameters.model_dump(mode="json"), source.place, alias]
    digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    name = tables.slug(f"{measure.name}-{Path(source.text).name}-{alias}")
    return Task(measure, parameters, f"{name}-{digest[:8]}")


def stations(
    jobs: Iterable[Job], source: Source, catalog: Catalog, resources: Resources
) -> dict[str, Station]:
    """Return every classifier that can be loaded, with all that the jobs ask of it.

    A classifier that a threshold names is asked too, whether or not its own item was selected.
    """
    found: dict[str, Station] = {}
    image_set = resources.image_set(source)
    for job in jobs:
        others = map(catalog.request, sorted(job.check.references(job.alias)))
        for request in (job.request, *others):
            task = task_of(job, request.alias, source)
            if task.measure.labels and not image_set.labelled:
                continue
            try:
                classifier = resources.classifier(request)
                answers = resources.answers(classifier, source)
            except UserError:
                continue  # said where its own item is prepared, or where a threshold names it
            station = found.setdefault(request.alias, Station(classifier, answers, ()))
            if task.table not in {other.table for other in station.tasks}:
                found[request.alias] = replace(station, tasks=(*station.tasks, task))
    return found


def run(this: Pass, manner: Manner, progress: Progress) -> None:
    """Walk, and join the rows of every finished shard, also when the walk was interrupted."""
    networks = {alias: station.classifier.network for alias, station in this.stations.items()}
    changes = guard.Changes()
    rows: dict[str, pd.DataFrame | None] = {}
    try:
        with (
            guard.watch(networks, changes),
            numerics(manner.device, manner.precision),
            progress(f"{this.role}, {', '.join(networks)}", len(this.image_set.images)) as advance,
        ):
            walk(
                this.image_set,
                tuple(this.stations.values()),
                device=manner.device,
                batch_size=manner.batch_size,
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
            rows[task.table] = tables.merge(manner.directory, task.table)
    for station in this.stations.values():
        for task in station.tasks:
            if task.table not in this.walked.not_applicable:
                found = _measured(this, station, rows[task.table], changes, manner)
                this.measured[task.table] = found


def _measured(
    this: Pass,
    station: Station,
    rows: pd.DataFrame | None,
    changes: guard.Changes,
    manner: Manner,
) -> Measured:
    alias = station.classifier.alias
    table = pd.DataFrame({"image": []}) if rows is None else rows
    return Measured(
        classifier=station.classifier,
        rows=table,
        limited=len(this.image_set.images) < this.image_set.total,
        unreadable=this.walked.unreadable,
        validity=(
            _ran(alias, this.walked),
            changes.validity(alias),
            _drew(alias, this.walked),
            finite(table),
        ),
        seed=manner.seed,
    )


def _ran(alias: str, walked: Walked) -> Validity:
    failure = walked.failures.get(alias)
    return Validity(
        name="the network ran",
        outcome="holds" if failure is None else "falls",
        evidence=failure or f"on all of {walked.n} images",
        meaning="Numbers from the images before a crash are not numbers of the whole set.",
    )


def _drew(alias: str, walked: Walked) -> Validity:
    drew = alias in walked.drew
    return Validity(
        name="deterministic",
        outcome="falls" if drew else "holds",
        evidence="drew from a global generator in eval mode"
        if drew
        else "no draw from a global generator",
        meaning="A network that throws dice in eval mode answers otherwise the next time.",
    )


def draw(this: Pass, task: Task, alias: str, count: int, manner: Manner) -> tuple[log.Picture, ...]:
    """Show a few images to a classifier again, and write what its measure makes of them."""
    started = time.perf_counter()
    badness = task.measure.badness(this.measured[task.table].rows)
    samples = pictures.pick(badness, count, gallery=task.measure.gallery)
    if not samples:
        return ()
    positions = [i for i, image in enumerate(this.image_set.images) if image.id in samples]
    drawings = _explained(this, task, alias, positions, manner)
    saved = pictures.save(drawings, samples, manner.directory, task.table)
    this.picture_seconds += time.perf_counter() - started
    return saved


def keep(this: Pass, task: Task, alias: str, manner: Manner) -> None:
    """Write every adversarial of a task as an 8-bit PNG; they are made again, batch by batch."""
    n = len(this.image_set.images)
    for first in range(0, n, manner.batch_size):
        span = range(first, min(first + manner.batch_size, n))
        drawings = _explained(this, task, alias, span, manner)
        pictures.save_adversarials(drawings, manner.directory / "adversarials" / task.table)


def _explained(
    this: Pass, task: Task, alias: str, positions: Sequence[int], manner: Manner
) -> tuple[Drawing, ...]:
    station, rows = this.stations[alias], this.measured[task.table].rows
    chosen = [this.image_set.images[i] for i in positions]
    geometry = station.classifier.geometry
    (batch,) = batches(chosen, [range(len(chosen))], {geometry})
    if not batch.ids:
        return ()
    seen = [positions[i] for i in batch.positions]
    probe = Probe(
        station.classifier,
        batch.ids,
        to_unit(batch.pixels[geometry], manner.device),
        station.answers and station.answers.of(seen, manner.device),
        manner.seed,
        differentiate=task.measure.gradient,
    )
    shown = rows[rows["image"].isin(batch.ids)]
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
        fingerprint=fingerprint(image_set, walked.digests) if walked.finished else None,
        unreadable=tuple(
            log.Unreadable(image=image, reason=reason)
            for image, reason in walked.unreadable.items()
        ),
        about={image.id: dict(image.about) for image in image_set.images if image.about},
        oriented=walked.oriented,
    )


def walk_record(this: Pass) -> log.Walk:
    """Return the entry that says where the pass's time went."""
    spent = this.walked.spent
    return log.Walk(
        images=this.role,
        n=this.walked.n,
        seconds=spent["total"],
        decode_seconds=spent["decode"],
        wait_seconds=spent["wait"],
        forward_seconds=spent["forward"],
        rows_seconds=spent["rows"],
        picture_seconds=this.picture_seconds,
    )
