"""A run: from the selected jobs, through passes, to verdicts in the log."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from vision_evals import report
from vision_evals.core.cache.code import code_digest
from vision_evals.core.errors import UnavailableError
from vision_evals.core.paths import point_latest
from vision_evals.core.progress import Progress
from vision_evals.core.worker import Worker
from vision_evals.engine import plan, tabulate
from vision_evals.engine.drawing import illustrated
from vision_evals.engine.item import Results, Standards, item_of
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.merge.part import elsewhere
from vision_evals.engine.passes import Passes
from vision_evals.engine.publish import ReportPlaces, publish
from vision_evals.engine.records import image_set_of, pass_record, unread_image_set
from vision_evals.engine.resources import Resources
from vision_evals.engine.run_log import RunLog
from vision_evals.engine.setup import RUN_CACHE, caching, device_of, first_log, run_config
from vision_evals.log import Item, Run, Status
from vision_evals.log.profiling.stages import Stages, counting, timed
from vision_evals.models.processes import threads
from vision_evals.verdict.baseline import baseline
from vision_evals.verdict.baseline.baseline import CurrentRun
from vision_evals.verdict.baseline.thumbnails import with_thumbnails
from vision_evals.verdict.job import Job
from vision_evals.verdict.noise_file import machine, noise_path, read


class Session:
    """One run: judges jobs, and writes its log and report."""

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
            catalog: of the jobs.
            jobs: all that are selected, also where this process judges only some of them.
            command: as typed.
            progress: shows each pass.
            worker: this process, where several share the run.

        Raises:
            UserError: the device or precision is unavailable, or a file cannot be written.
        """
        code_digest()  # as it is now, not when the last pass begins
        start, options = time.perf_counter(), catalog.options
        templates = () if options.templates is None else report.check(options.templates)
        remarks = dict.fromkeys(templates)
        warn = partial(_add_remark, remarks)
        self._baseline = baseline.read(options)
        device = device_of(options, worker)
        this_machine = machine()
        file = noise_path(options.cache, this_machine)
        self._noise = read(file, this_machine, warn)
        config, folder = caching(run_config(options, device, worker), options, warn)
        named = frozenset(job.alias for job in jobs if job.named)
        self._resources = Resources(
            *(catalog.registry, device, options.table.limit, named, folder, progress),
            timeout=options.timeout,
            earlier=config.cache,
        )
        self._passes = Passes(tuple(jobs), catalog, self._resources, config, progress, worker)
        noise = file.name if self._noise.entries else None
        run = first_log(options, config, command, (job.suite for job in jobs), noise)
        if self._baseline is not None:
            run = run.model_copy(update={"baseline": self._baseline.stored.record})
            remarks |= dict.fromkeys(baseline.remarks(self._baseline, run))
        stages = _stages(device) if options.table.profile and worker is None else None
        if options.table.profile and worker is not None:
            warn("--evals-profile counts in one process only; leave out -n and --evals-isolate")
        self._run_log = RunLog(run, self._passes, remarks, start, stages)
        self._run_log.write("running")
        if worker is None:
            point_latest(self.directory)

    @property
    def log(self) -> Run:
        """As written last."""
        return self._run_log.run

    @property
    def directory(self) -> Path:
        """Of the run."""
        return self._run_log.directory

    def prepare(self, job: Job) -> None:
        """Load what a job needs, or log what is missing.

        Raises:
            UnavailableError, NotApplicableError, UserError: as their classes say.
        """
        with self._recording(job):
            if job.missing is not None:
                raise UnavailableError(job.missing)
            elsewhere(job, self._passes.config.partition)
            if job.measure.subject is not None:
                return
            self._train_ahead(job)
            plan.prepare(job, self._resources)
            if self._baseline is not None:
                sets = [
                    unread_image_set(self._resources.image_set(source)) for source in job.sources
                ]
                remark = self._baseline.require_comparable(job, self._now(), sets)
                if remark is not None:
                    self._run_log.warn(remark)

    def judge(self, job: Job) -> Item:
        """Return the verdict on a prepared job; the first job of a pass runs the pass.

        Raises:
            UserError: it cannot be judged; the log has the reason.
        """
        with self._recording(job):
            item = self._judge_on_images(job) if job.sources else self._judge_tabulated(job)
            self._run_log.record(item)
        return item

    def _train_ahead(self, job: Job) -> None:
        """Train what the recipes of the run say side by side; of a worker, the job's own."""
        jobs = self._passes.jobs if self._passes.worker is None else [job]
        if self._passes.config.processes > 1 and job.trained:
            requests = [other.request for other in jobs if other.trained]
            self._resources.train_ahead(requests, self._passes.config.processes)

    @contextmanager
    def _recording(self, job: Job) -> Iterator[None]:
        with self._run_log.recording(job), threads(self._passes.config.device):
            yield

    def entry(self, job: Job) -> Item | None:
        """Return the entry of a job in the log, if it has one."""
        return self._run_log.items.get(job.id)

    def _judge_on_images(self, job: Job) -> Item:
        """Return the verdict on a job on images."""
        passes, seed_results_by_alias = [], []
        for source in job.sources:
            passes.append(self._passes.over(source, job))
            seed_results_by_alias.append(passes[-1].seed_results_by_alias(job))
        options = self._passes.catalog.options
        results = Results(job, *seed_results_by_alias, images=tuple(map(image_set_of, passes)))
        item = item_of(results, self._standards())
        if options.pictures:
            paths = {image.id: image.path for image in passes[0].image_set.images}
            item = with_thumbnails(item, paths, self.directory)
        return illustrated(item, passes[0], job, options, self._run_log.warn)

    def _judge_tabulated(self, job: Job) -> Item:
        """Return the verdict on a job without images."""
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
        passes = None if self._baseline is None else tuple(map(pass_record, begun))
        return CurrentRun(self.log.settings, self._resources.records, passes)

    def close(self, *, interrupted: bool, warn: Callable[[str], None]) -> ReportPlaces:
        """Finish the log, write the report, and return where it is.

        Args:
            interrupted: whether the run was.
            warn: called with what is wrong with the templates of the report.

        Raises:
            UserError: the log or the report could not be written.
        """
        shutil.rmtree(self.directory / RUN_CACHE, ignore_errors=True)
        status: Status = "interrupted" if interrupted else "finished"
        self._run_log.write(status)
        if self._passes.worker is not None:
            return ReportPlaces()
        with counting(self._run_log.stages), timed("report"):
            published = publish(self.log, self.directory, self._passes.catalog.options, warn)
        if self._run_log.stages is not None:
            self._run_log.write(status)
        return published


def _add_remark(remarks: dict[str, None], message: str) -> None:
    remarks[message] = None


def _stages(device: torch.device) -> Stages:
    """Return a profile; on a GPU, which computes asynchronously, each stage waits for it."""
    if device.type != "cuda":
        return Stages()
    return Stages(wait=partial(torch.cuda.synchronize, device), synchronised=True)
