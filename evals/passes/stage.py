"""A pass from preparation to pictures: who looks, the walk, the rows, what the report shows."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from evals import log
from evals.device import numerics
from evals.errors import UserError
from evals.images.image_set import ImageSet, fingerprint
from evals.images.reader import batches
from evals.judging import Measured
from evals.measures.measure import Measure
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
    image_set: ImageSet
    stations: dict[str, Station]
    """By alias."""
    walked: Walked = field(default_factory=Walked)
    measured: dict[str, Measured] = field(default_factory=dict)
    """By table."""
    warnings: dict[str, None] = field(default_factory=dict)
    """What libraries warned of, each once, in order."""
    picture_seconds: float = 0.0


def task_of(job: Job, alias: str) -> Task:
    """Return what a job asks of a classifier; equal questions share a table."""
    measure = job.check.spec
    assert isinstance(measure, Measure)
    parameters = job.check.parameters
    asked = [job.check.table.measure, parameters.model_dump(mode="json"), str(job.source.base)]
    digest = hashlib.sha256(json.dumps([*asked, job.source.text, alias]).encode()).hexdigest()
    name = tables.slug(f"{measure.name}-{job.check.table.images}-{alias}")
    return Task(measure, parameters, f"{name}-{digest[:8]}")


def stations(
    jobs: Iterable[Job], image_set: ImageSet, catalog: Catalog, resources: Resources
) -> dict[str, Station]:
    """Return every classifier that can be loaded, with all that the jobs ask of it.

    A classifier that a threshold names is asked too, whether or not its own item was selected.
    """
    found: dict[str, Station] = {}
    for job in jobs:
        others = map(catalog.request, sorted(job.check.references(job.alias)))
        for request in (job.request, *others):
            task = task_of(job, request.alias)
            if task.measure.labels and not image_set.labelled:
                continue
            try:
                classifier = resources.classifier(request, download=job.named)
                answers = resources.answers(classifier, job.source)
            except UserError:
                continue  # said where its own item is prepared, or where a threshold names it
            station = found.setdefault(request.alias, Station(classifier, answers, ()))
            if task.table not in {other.table for other in station.tasks}:
                found[request.alias] = replace(station, tasks=(*station.tasks, task))
    return found


def run(this: Pass, manner: Manner, progress: Progress) -> None:
    """Walk, then join the rows of every finished shard, also when the walk was interrupted."""
    networks = {alias: station.classifier.network for alias, station in this.stations.items()}
    changes = guard.Changes()
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            guard.watch(networks, changes),
            numerics(manner.device, manner.precision),
            progress(f"{this.role}, {', '.join(networks)}", len(this.image_set.images)) as advance,
        ):
            warnings.simplefilter("default")
            walk(
                this.image_set,
                tuple(this.stations.values()),
                device=manner.device,
                batch_size=manner.batch_size,
                directory=manner.directory,
                advance=advance,
                walked=this.walked,
            )
    finally:
        this.warnings |= {f"{w.category.__name__}: {w.message}": None for w in caught}
        for station in this.stations.values():
            _join(this, station, changes, manner)


def _join(this: Pass, station: Station, changes: guard.Changes, manner: Manner) -> None:
    for task in station.tasks:
        rows = tables.merge(manner.directory, task.table)
        if rows is not None:
            this.measured[task.table] = Measured(
                classifier=station.classifier,
                rows=rows,
                limited=len(this.image_set.images) < this.image_set.total,
                unreadable=this.walked.unreadable,
                validity=(changes.validity(station.classifier.alias),),
                seed=manner.seed,
            )


def draw(this: Pass, task: Task, alias: str, count: int, manner: Manner) -> tuple[log.Picture, ...]:
    """Show a few images to a classifier again, and write what its measure makes of them."""
    started = time.perf_counter()
    station, rows = this.stations[alias], this.measured[task.table].rows
    samples = pictures.pick(task.measure.badness(rows), count)
    if not samples:
        return ()
    positions = [i for i, image in enumerate(this.image_set.images) if image.id in samples]
    chosen = [this.image_set.images[i] for i in positions]
    geometry = station.classifier.geometry
    (batch,) = batches(chosen, [range(len(chosen))], {geometry})
    answers = station.answers and station.answers.of(positions, manner.device)
    pixels = to_unit(batch.pixels[geometry], manner.device)
    probe = Probe(station.classifier, batch.ids, pixels, answers)
    shown = rows.set_index("image", drop=False).loc[list(batch.ids)]
    with numerics(manner.device, manner.precision):
        drawings = task.measure.explain(probe, shown, task.parameters)
    saved = pictures.save(drawings, samples, manner.directory, task.table)
    this.picture_seconds += time.perf_counter() - started
    return saved


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
