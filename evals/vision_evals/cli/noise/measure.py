"""``evals noise``: run the same checks under every variation of this machine."""

from __future__ import annotations

import contextlib
import datetime
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import torch

from vision_evals.core import progress
from vision_evals.core.errors import UnreadableError, UserError
from vision_evals.engine.evaluate import evaluate
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.resources import Resources
from vision_evals.engine.tasks import RunConfig
from vision_evals.images.decode import read as decode
from vision_evals.images.image_set import ImageSet, fingerprint
from vision_evals.log import Metric, Precision, Verdict
from vision_evals.models.device import default_batch, numerics, resolve
from vision_evals.report.words import with_point
from vision_evals.validity.examine import Examiner
from vision_evals.verdict.job import Job
from vision_evals.verdict.noise_file import machine, noise_path, read, require_writable, write
from vision_evals.verdict.noise_floor import (
    Noise,
    NoiseEntry,
    NoiseKey,
    Variation,
    noise_entry,
    noise_key,
)

BATCHES = (1, 16)
"""Batch sizes in addition to the device's own."""


def plan(*, whole: int | None = None) -> tuple[tuple[Variation, ...], tuple[str, ...]]:
    """Return the variations by precision, the reference of each first, and what is missing.

    The reference is what a run does by default: the device of ``auto``, its batch size, all
    threads. On a GPU the number of threads changes nothing and is not varied.

    Args:
        whole: how many threads are all; None for torch's own number.

    Returns:
        variations, and what this machine cannot do, with the reason.
    """
    threads = whole or torch.get_num_threads()
    devices = dict.fromkeys((resolve("auto"), torch.device("cpu")))
    variations: list[Variation] = []
    missing: dict[str, None] = {}
    if threads == 1:
        reason = "OMP_NUM_THREADS is 1" if os.environ.get("OMP_NUM_THREADS") == "1" else "one core"
        missing[f"threads: torch uses one here ({reason})"] = None
    if len(devices) == 1:
        missing["cuda: there is no CUDA device here"] = None
    for precision in get_args(Precision):
        for device in devices:
            try:
                with numerics(device, precision):
                    pass
            except UserError as error:
                missing[str(error)] = None
                continue
            counts = (threads,) if device.type != "cpu" else (threads, 1)
            variations += [
                Variation(device=str(device), precision=precision, batch_size=batch, threads=count)
                for count in dict.fromkeys(counts)
                for batch in dict.fromkeys((default_batch(device), *BATCHES))
            ]
    return tuple(variations), tuple(missing)


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads, then restore torch's number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


LEFT_OUT = "of measures that look at no image, or networks that are trained here"


@dataclass
class NoiseRun:
    """The results so far."""

    inputs: dict[str, NoiseKey] = field(default_factory=dict)
    """Check inputs by their key."""
    results: dict[tuple[str, str], list[tuple[Variation, Sequence[Metric]]]] = field(
        default_factory=dict
    )
    """By key of the check input and precision: each variation with its metrics."""
    missing: dict[str, None] = field(default_factory=dict)
    """What was left out, with the reason."""
    digests: dict[str, str] = field(default_factory=dict)
    """Fingerprint of an image set by its place."""


def measure(catalog: Catalog, jobs: Sequence[Job], run: NoiseRun) -> Iterator[tuple[Path, Noise]]:
    """Run every variation; after each, yield the file and the noise floors in it.

    Raises:
        UserError: a classifier that was named or an image set is unavailable, or there is nothing
            to measure.
    """
    name = machine()
    file = noise_path(catalog.options.cache, name)
    variations, missing = plan()
    run.missing.update(dict.fromkeys(missing))
    require_writable(file)
    before = read(file, name, lambda warning: run.missing.update({warning: None}))
    by_device: dict[str, Resources] = {}
    for number, variation in enumerate(variations, 1):
        if variation.device not in by_device:
            by_device[variation.device] = _resources(catalog, jobs, variation)
        resources = by_device[variation.device]
        available = _available(jobs, resources, run)
        step = f"{number} of {len(variations)}: {variation}"
        _run_variation(available, catalog, resources, variation, step, run)
        noise = before.merged(entries(run))
        if noise.entries:
            write(file, noise)
            yield file, noise


def entries(run: NoiseRun) -> tuple[NoiseEntry, ...]:
    """Return the floors so far; a check that ran under one variation has none."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    floors: dict[tuple[str, str], NoiseEntry] = {}
    for (key, precision), results in run.results.items():
        if len(results) > 1:
            floor = noise_entry(run.inputs[key], results, today, floors.get((key, "fp32")))
            run.missing.update(dict.fromkeys(_without_floor(floor, results)))
            floors[key, precision] = floor
    return tuple(floors.values())


def _without_floor(
    floor: NoiseEntry, results: Sequence[tuple[Variation, Sequence[Metric]]]
) -> Iterator[str]:
    """Yield which metrics have no floor, and why."""
    measured = {(moved.metric, moved.at) for moved in floor.floors}
    for metric in dict.fromkeys((m.name, m.at) for _, metrics in results for m in metrics):
        if metric not in measured:
            where = f"{floor.asked.check}[{floor.asked.classifier}], {floor.precision}"
            yield f"{where}: {with_point(*metric)} has no value in some variation, and so no floor"


def _resources(catalog: Catalog, jobs: Sequence[Job], variation: Variation) -> Resources:
    named = frozenset(job.alias for job in jobs if job.named)
    options, device = catalog.options, torch.device(variation.device)
    return Resources(
        catalog.registry, device, options.table.limit, named, options.cache, progress.bar
    )


def _available(jobs: Sequence[Job], resources: Resources, run: NoiseRun) -> tuple[Job, ...]:
    """Return the jobs whose classifier is available; one that the user named must be."""
    available = []
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
        available.append(job)
    if not available:
        raise UserError("nothing to measure: no check on images has an available classifier")
    return tuple(available)


def _run_variation(
    jobs: Sequence[Job],
    catalog: Catalog,
    resources: Resources,
    variation: Variation,
    step: str,
    run: NoiseRun,
) -> None:
    """Run one variation; its invalid results are left out of the floors, and listed."""
    with tempfile.TemporaryDirectory(prefix="evals-noise-") as folder, threads(variation.threads):
        config = RunConfig(
            torch.device(variation.device),
            variation.precision,
            variation.batch_size,
            catalog.options.table.seed,
            Path(folder),
            Examiner(()),
        )
        outcomes = evaluate(jobs, catalog, resources, config, progress.titled(progress.bar, step))
    for job in jobs:
        item = outcomes[job.id].item
        if item.verdict in {Verdict.INVALID, Verdict.NOT_APPLICABLE} and not item.metrics:
            run.missing[f"{job.id}, {variation}: {item.sentence}"] = None
            continue
        digest = resources.records[job.alias].fingerprint
        assert digest is not None
        check_input = noise_key(job, digest, _images(job, resources, run.digests))
        run.inputs[check_input.key] = check_input
        results = run.results.setdefault((check_input.key, variation.precision), [])
        if all(other != variation for other, _ in results):  # two checks may have one input
            results.append((variation, item.metrics))


def _images(job: Job, resources: Resources, digests: dict[str, str]) -> list[str]:
    for source in job.sources:
        if source.place not in digests:
            digests[source.place] = _digest(resources.image_set(source))
    return [digests[source.place] for source in job.sources]


def _digest(image_set: ImageSet) -> str:
    """Return the fingerprint that a pass gives an image set."""
    digests = {}
    for image in image_set.images:
        with contextlib.suppress(UnreadableError):  # which has none in a pass, either
            digests[image.id] = decode(image.path).sha256
    return fingerprint(image_set, digests)
