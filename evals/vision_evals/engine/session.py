"""A run: from what was selected, through passes, to verdicts in the log."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from vision_evals import report
from vision_evals.core.cache.code import code_digest
from vision_evals.core.cache.store import Cache
from vision_evals.core.errors import UnavailableError
from vision_evals.core.progress import Progress
from vision_evals.core.run_dirs import point_latest
from vision_evals.core.worker import Worker
from vision_evals.engine import plan, tabulate
from vision_evals.engine.drawing import illustrated
from vision_evals.engine.item import Results, Standards, item_of
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.merge.part import elsewhere
from vision_evals.engine.passes import Passes
from vision_evals.engine.publish import Published, publish
from vision_evals.engine.records import image_set_of, planned, walk_of
from vision_evals.engine.resources import Resources
from vision_evals.engine.run_log import RunLog
from vision_evals.engine.setup import device_of, first_log, run_config
from vision_evals.engine.tasks import RunConfig
from vision_evals.log import Item, Run, Status
from vision_evals.log.profiling.stages import Stages, counting, timed
from vision_evals.models.fast_path.build import user_kernels
from vision_evals.suite.options import Options
from vision_evals.verdict.baseline import baseline
from vision_evals.verdict.baseline.baseline import CurrentRun
from vision_evals.verdict.baseline.thumbnails import with_thumbnails
from vision_evals.verdict.job import Job
from vision_evals.verdict.noise_file import machine, noise_path, read


class Session:
    """One run. Knows what it was told to judge, judges it, and keeps the log."""

    def __init__(
        self,
        catalog: Catalog,
        jobs: Sequence[Job],
        command: str,
        progress: Progress,
        worker: Worker | None = None,
    ) -> None:
        """Make the run directory and the first log.

        Args:
            catalog: what the jobs were selected from.
            jobs: all that were selected, also where this process judges some of them only.
            command: as somebody typed it.
            progress: shown each pass.
            worker: which process this is, where several share the run.

        Raises:
            UserError: the device or precision is not to be had, or a place not writable.
        """
        code_digest()  # as it is now, and not when the last pass begins
        start, options = time.perf_counter(), catalog.options
        remarks = dict.fromkeys(_templates(options))
        warn = partial(_keep, remarks)
        self._baseline = baseline.read(options)
        device = device_of(options, worker)
        here = machine()
        file = noise_path(options.cache, here)
        self._noise = read(file, here, warn)
        config, folder = _caching(run_config(options, device, worker), options, warn)
        named = frozenset(job.alias for job in jobs if job.named)
        self._resources = Resources(
            catalog.registry, device, options.table.limit, named, folder, progress
        )
        self._passes = Passes(tuple(jobs), catalog, self._resources, config, progress, worker)
        noise = file.name if self._noise.entries else None
        run = first_log(options, config, command, (job.suite for job in jobs), noise)
        if self._baseline is not None:
            run = run.model_copy(update={"baseline": self._baseline.stored.record})
            remarks |= dict.fromkeys(baseline.remarks(self._baseline, run))
        stages = _stages(device) if options.table.profile and worker is None else None
        if options.table.profile and worker is not None:
            warn("--evals-profile counts in one process only; leave out -n of pytest-xdist")
        self._kept = RunLog(run, self._passes, remarks, start, stages)
        self._kept.write("running")
        if worker is None:
            point_latest(self.directory)

    @property
    def log(self) -> Run:
        """What is known so far."""
        return self._kept.run

    @property
    def directory(self) -> Path:
        """Of the run."""
        return self._kept.directory

    def prepare(self, job: Job) -> None:
        """Load what a job needs, or record what is missing.

        Raises:
            UnavailableError, NotApplicableError, UserError: as their classes say.
        """
        with self._kept.recording(job):
            if job.missing is not None:
                raise UnavailableError(job.missing)
            elsewhere(job, self._passes.config.partition)
            if job.measure.subject is not None:
                return
            plan.prepare(job, self._resources)
            if self._baseline is not None:
                sets = [planned(self._resources.image_set(source)) for source in job.sources]
                self._baseline.require_comparable(job, self._now(), sets)

    def judge(self, job: Job) -> Item:
        """Return the verdict on a prepared job; the first of a pass waits for all of it.

        Raises:
            UserError: it cannot be judged, and the log says why.
        """
        with self._kept.recording(job):
            item = self._walked(job) if job.sources else self._tabulated(job)
            self._kept.record(item)
        return item

    def entry(self, job: Job) -> Item | None:
        """Return what the log says of a job, if it was judged or could not be."""
        return self._kept.items.get(job.id)

    def _walked(self, job: Job) -> Item:
        """Return the verdict on a job about images."""
        passes, seed_results_by_alias = [], []
        for source in job.sources:
            passes.append(self._passes.over(source, job))
            seed_results_by_alias.append(passes[-1].seed_results_by_alias(job))
        options = self._passes.catalog.options
        results = Results.of(job, seed_results_by_alias, map(image_set_of, passes))
        item = item_of(results, self._standards())
        if options.pictures:
            paths = {image.id: image.path for image in passes[0].image_set.images}
            item = with_thumbnails(item, paths, self.directory)
        return illustrated(item, passes[0], job, options, self._kept.warn)

    def _tabulated(self, job: Job) -> Item:
        """Return the verdict on a job whose rows come from no image."""
        started, config = time.perf_counter(), self._passes.config
        seed_results_by_alias = tabulate.tabulated(
            job, self._passes.catalog, self._resources, config
        )
        item = item_of(Results(job, seed_results_by_alias), self._standards())
        table = tabulate.write(job, seed_results_by_alias, config)
        seconds = time.perf_counter() - started
        return item.model_copy(update={"table": table, "seconds": seconds})

    def _standards(self) -> Standards:
        partition = self._passes.config.partition
        return Standards(self._now(), self._noise, self._baseline, partition)

    def _now(self) -> CurrentRun:
        begun = self._passes.begun.values()
        passes = None if self._baseline is None else tuple(map(walk_of, begun))
        return CurrentRun(self.log.settings, self._resources.records, passes)

    def close(self, *, interrupted: bool, warn: Callable[[str], None]) -> Published:
        """Finish the log, write the report, and return where it is if there is one.

        Args:
            interrupted: whether the run was.
            warn: told of a report that does not look as it should.

        Raises:
            OSError: the report could not be written; the log was.
        """
        shutil.rmtree(self.directory / OWN_CACHE, ignore_errors=True)
        status: Status = "interrupted" if interrupted else "finished"
        self._kept.write(status)
        if self._passes.worker is not None:
            return Published()
        with counting(self._kept.stages), timed("report"):
            published = publish(self.log, self.directory, self._passes.catalog.options, warn)
        if self._kept.stages is not None:
            self._kept.write(status)
        return published


OWN_CACHE = ".cache"
"""Of a run that shall find and leave nothing: trainings need a place while it lasts."""


def _caching(
    config: RunConfig, options: Options, warn: Callable[[str], None]
) -> tuple[RunConfig, Path]:
    """Return how to compute, with a cache where that is wanted, and where trainings are kept."""
    if options.table.no_cache:
        return config, config.directory / OWN_CACHE
    cache = Cache(options.cache, warn)
    return replace(config, cache=cache, kernels=user_kernels()), options.cache


def _templates(options: Options) -> Sequence[str]:
    """Return what is to be said of the templates of a user's own."""
    return () if options.templates is None else tuple(report.check(options.templates))


def _keep(remarks: dict[str, None], said: str) -> None:
    remarks[said] = None


def _stages(device: torch.device) -> Stages:
    """Return a profile; on a device that works beside the host every border waits for it."""
    if device.type != "cuda":
        return Stages()
    return Stages(wait=partial(torch.cuda.synchronize, device), synchronised=True)
