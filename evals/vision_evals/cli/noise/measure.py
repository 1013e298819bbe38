"""``evals noise``: the same checks again and again, under every variation of this machine."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vision_evals.cli.noise.plan import plan, threads
from vision_evals.core import progress
from vision_evals.core.errors import UnreadableError, UserError
from vision_evals.core.progress import Advance
from vision_evals.engine.evaluate import evaluate
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.resources import Resources
from vision_evals.engine.tasks import RunConfig
from vision_evals.images.decode import read as decode
from vision_evals.images.image_set import ImageSet, fingerprint
from vision_evals.log import Metric, Verdict
from vision_evals.validity.examine import Examiner
from vision_evals.verdict.job import Job
from vision_evals.verdict.noise_file import hold_writable, machine, place, read, write
from vision_evals.verdict.noise_floor import Asked, Entry, Noise, Variation, asked, entry

LEFT_OUT = "of measures that look at no image, or networks that are trained here"


@dataclass
class Run:
    """What was taken so far."""

    asked: dict[str, Asked] = field(default_factory=dict)
    taken: dict[tuple[str, str], list[tuple[Variation, Sequence[Metric]]]] = field(
        default_factory=dict
    )
    """By key of the question and precision."""
    missing: dict[str, None] = field(default_factory=dict)
    """What was left out, with reasons."""
    digests: dict[str, str] = field(default_factory=dict)
    """Fingerprint of an image set by its place."""


def measure(catalog: Catalog, jobs: Sequence[Job], run: Run) -> Iterator[tuple[Path, Noise]]:
    """Run every variation, and yield the file and what it holds after each.

    Raises:
        UserError: a classifier that was named or an image set is not to be had, or there is
            nothing to measure.
    """
    name = machine()
    file = place(catalog.options.cache, name)
    variations, missing = plan()
    run.missing.update(dict.fromkeys(missing))
    hold_writable(file)
    before = read(file, name, lambda said: run.missing.update({said: None}))
    loaded: dict[str, Resources] = {}
    for number, variation in enumerate(variations, 1):
        if variation.device not in loaded:
            loaded[variation.device] = _resources(catalog, jobs, variation)
        resources = loaded[variation.device]
        here = _present(jobs, resources, run)
        step = f"{number} of {len(variations)}: {variation}"
        _take(here, catalog, resources, variation, step, run)
        noise = before.merged(entries(run))
        if noise.entries:
            write(file, noise)
            yield file, noise


def entries(run: Run) -> tuple[Entry, ...]:
    """Return the floors so far; a question that was asked once has none."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    found: dict[tuple[str, str], Entry] = {}
    for (key, precision), taken in run.taken.items():
        if len(taken) > 1:
            exact = found.get((key, "fp32"))
            this = entry(run.asked[key], taken, today, exact)
            run.missing.update(dict.fromkeys(_without(this, taken)))
            found[key, precision] = this
    return tuple(found.values())


def _without(found: Entry, taken: Sequence[tuple[Variation, Sequence[Metric]]]) -> Iterator[str]:
    """Yield which metrics have no floor, and why."""
    known = {(moved.metric, moved.at) for moved in found.floors}
    for metric in dict.fromkeys((m.name, m.at) for _, metrics in taken for m in metrics):
        if metric not in known:
            name = " at ".join(part for part in metric if part is not None)
            where = f"{found.asked.check}[{found.asked.classifier}], {found.precision}"
            yield f"{where}: {name} has no value in some variation, and so no floor"


def _resources(catalog: Catalog, jobs: Sequence[Job], variation: Variation) -> Resources:
    named = frozenset(job.alias for job in jobs if job.named)
    options, device = catalog.options, torch.device(variation.device)
    return Resources(
        catalog.registry, device, options.table.limit, named, options.cache, progress.bar
    )


def _present(jobs: Sequence[Job], resources: Resources, run: Run) -> tuple[Job, ...]:
    """Return the jobs whose classifier is here; one that somebody named must be."""
    found = []
    for job in jobs:
        if job.source is None or job.trained or job.missing is not None:
            run.missing[f"{job.id}: {job.missing or LEFT_OUT}"] = None
            continue
        try:
            resources.classifier(job.request)
        except UserError as error:
            if job.named:
                raise
            run.missing[f"{job.alias}: {error}"] = None
            continue
        found.append(job)
    if not found:
        raise UserError("nothing to measure: no check on images and a classifier that is here")
    return tuple(found)


def _take(
    jobs: Sequence[Job],
    catalog: Catalog,
    resources: Resources,
    variation: Variation,
    step: str,
    run: Run,
) -> None:
    """Run one variation; what is invalid in it is left out of the floors, and said."""

    def show(title: str, total: int, unit: str = "images") -> AbstractContextManager[Advance]:
        return progress.bar(f"{step}: {title}", total, unit)

    with tempfile.TemporaryDirectory(prefix="evals-noise-") as folder, threads(variation.threads):
        config = RunConfig(
            torch.device(variation.device),
            variation.precision,
            variation.batch_size,
            catalog.options.table.seed,
            Path(folder),
            Examiner(()),
        )
        outcomes = evaluate(jobs, catalog, resources, config, show)
    for job in jobs:
        item = outcomes[job.id].item
        if item.verdict in {Verdict.INVALID, Verdict.NOT_APPLICABLE} and not item.metrics:
            run.missing[f"{job.id}, {variation}: {item.sentence}"] = None
            continue
        question = asked(job, _classifier(job, resources), _images(job, resources, run.digests))
        run.asked[question.key] = question
        taken = run.taken.setdefault((question.key, variation.precision), [])
        if all(other != variation for other, _ in taken):  # two checks may ask the same
            taken.append((variation, item.metrics))


def _classifier(job: Job, resources: Resources) -> str:
    digest = resources.records[job.alias].fingerprint
    assert digest is not None
    return digest


def _images(job: Job, resources: Resources, known: dict[str, str]) -> list[str]:
    places = []
    for source in job.sources:
        if source.place not in known:
            known[source.place] = _digest(resources.image_set(source))
        places.append(known[source.place])
    return places


def _digest(image_set: ImageSet) -> str:
    """Return the fingerprint that a walk gives an image set."""
    digests = {}
    for image in image_set.images:
        try:
            digests[image.id] = decode(image.path).sha256
        except UnreadableError:
            continue  # has none in a walk, either
    return fingerprint(image_set, digests)
