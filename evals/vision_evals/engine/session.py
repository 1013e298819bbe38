"""A run: from what was selected, through passes, to verdicts in the log."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import torch

from vision_evals import log, report
from vision_evals.core.cache.code import code_digest
from vision_evals.core.cache.store import Cache
from vision_evals.core.errors import NotApplicableError, UnavailableError, UserError
from vision_evals.core.progress import Progress
from vision_evals.core.run_dirs import point_latest
from vision_evals.core.worker import Worker
from vision_evals.engine import plan, run_pass, tables
from vision_evals.engine.jobs import Catalog, Job
from vision_evals.engine.merge.part import elsewhere, set_aside
from vision_evals.engine.merge.union import classifiers, image_sets
from vision_evals.engine.plan import Pass, task_of
from vision_evals.engine.publish import Published, publish
from vision_evals.engine.questions import roles, together
from vision_evals.engine.resources import Resources
from vision_evals.engine.setup import device_of, first_log, run_config
from vision_evals.log import Verdict
from vision_evals.log.profiling.stages import Stages, counting, timed
from vision_evals.measures.measure import Measure
from vision_evals.models.fast_path.build import user_kernels
from vision_evals.suite.options import Source
from vision_evals.verdict.baseline import baseline
from vision_evals.verdict.baseline.baseline import Now
from vision_evals.verdict.check_input import Facts, Family, Measured, Question, seed_of
from vision_evals.verdict.judge import judge, unjudged
from vision_evals.verdict.noise_file import machine, place, read
from vision_evals.verdict.noise_floor import asked
from vision_evals.verdict.verdict import Floor


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
        options = catalog.options
        said = () if options.templates is None else report.check(options.templates)
        self._baseline = baseline.read(options)
        device = device_of(options, worker)
        self._worker = worker
        self._catalog = catalog
        self._jobs = tuple(jobs)
        self._progress = progress
        self._start = time.perf_counter()
        self._roles = roles(jobs)
        self._passes: dict[tuple[Source, str], Pass] = {}
        self._items: dict[str, log.Item] = {}
        self._warnings: dict[str, None] = dict.fromkeys(said)
        here = machine()
        file = place(options.cache, here)
        self._noise = read(file, here, self._warn)
        self._config = run_config(options, device, worker)
        self.directory = self._config.directory
        keeping = not options.table.no_cache
        folder = options.cache if keeping else self.directory / OWN_CACHE
        named = frozenset(job.alias for job in jobs if job.named)
        self._resources = Resources(
            catalog.registry, device, options.table.limit, named, folder, progress
        )
        if keeping:
            kept = Cache(folder, self._warn)
            self._config = replace(self._config, cache=kept, kernels=user_kernels())
        noise = file.name if self._noise.entries else None
        self.log = first_log(options, self._config, command, (job.suite for job in jobs), noise)
        if self._baseline is not None:
            known = self._baseline.stored.record
            self.log = self.log.model_copy(update={"baseline": known})
            for remark in baseline.remarks(self._baseline, self.log):
                self._warn(remark)
        self._stages = _stages(device) if options.table.profile and worker is None else None
        if options.table.profile and worker is not None:
            self._warn("--evals-profile counts in one process only; leave out -n of pytest-xdist")
        self._write("running")
        if worker is None:
            point_latest(self.directory)

    def prepare(self, job: Job) -> None:
        """Load what a job needs, or record what is missing.

        Raises:
            UnavailableError, NotApplicableError, UserError: as their classes say.
        """
        with self._recording(job):
            if job.missing is not None:
                raise UnavailableError(job.missing)
            elsewhere(job, self._config.partition)
            if _measure(job).subject is not None:
                return
            plan.prepare(job, self._resources)
            if self._baseline is not None:
                named = (source for source in (job.source, job.against) if source is not None)
                sets = [run_pass.planned(self._resources.image_set(source)) for source in named]
                self._baseline.early(job, self._now(), sets)

    def judge(self, job: Job) -> log.Item:
        """Return the verdict on a prepared job; the first of a pass waits for all of it.

        Raises:
            UserError: it cannot be judged, and the log says why.
        """
        with self._recording(job):
            item = self._tabulated(job) if job.source is None else self._walked(job, job.source)
            self._record(item)
        return item

    def entry(self, job: Job) -> log.Item | None:
        """Return what the log says of a job, if it was judged or could not be."""
        return self._items.get(job.id)

    def _walked(self, job: Job, source: Source) -> log.Item:
        """Return the verdict on a job about images."""
        this, second = self._pass(source, job), None
        others = self._everyone(this, job, source)
        measured = others.pop(job.alias)
        against: dict[str, Family] = {}
        if job.against is not None:
            second = self._pass(job.against, job)
            against = self._everyone(second, job, job.against)
        passes = [one for one in (this, second) if one is not None]
        sets = [run_pass.image_set_record(one, self._config.partition) for one in passes]
        floor = self._floor(job, passes)
        check_input = Question(job, _measure(job), measured, others, against, floor=floor)
        item = self._answered(check_input, sets)
        paths = {image.id: image.path for image in this.image_set.images}
        if self._catalog.options.pictures:
            item = baseline.illustrated(item, paths, self.directory)
        return self._illustrated(item, this, job, source)

    def _answered(self, check_input: Question, images: Sequence[log.ImageSet]) -> log.Item:
        """Return the verdict, or of a part of the images what a verdict can be made of."""
        role, against = (*(one.role for one in images), None, None)[:2]
        if self._config.partition is not None:
            return set_aside(check_input, role, against, self._config.partition)
        if self._baseline is None:
            return judge(check_input, role, against)
        now = self._now()
        check_input = replace(check_input, baseline=self._baseline.beside(check_input, now, images))
        return self._baseline.compared(judge(check_input, role, against), check_input, now)

    def _now(self) -> Now:
        passes = tuple(run_pass.pass_record(this, self._config) for this in self._passes.values())
        return Now(self.log.settings, self._resources.records, passes)

    def _floor(self, job: Job, passes: Sequence[Pass]) -> Callable[[log.Metric], Floor | None]:
        """Return what is known of this machine's noise in the metrics of a walked job."""
        images = [run_pass.image_set_record(this).fingerprint for this in passes]
        digest = self._resources.records[job.alias].fingerprint
        check_input = asked(job, str(digest), [str(image) for image in images])
        return partial(self._noise.floor, check_input, self._config.precision)

    def _tabulated(self, job: Job) -> log.Item:
        """Return the verdict on a job whose rows come from no image."""
        started, measure = time.perf_counter(), _measure(job)
        aliases = {job.alias, *job.check.references(job.alias)}
        measured, seed_results_by_alias = self._rows(job, measure, job.alias), {}
        for alias in sorted(aliases - {job.alias}):
            with contextlib.suppress(UserError):  # said of the threshold that names it
                seed_results_by_alias[alias] = self._rows(job, measure, alias)
        item = self._answered(Question(job, measure, measured, seed_results_by_alias), ())
        written = {job.alias: measured}
        if self._config.partition is not None:  # who joins the parts has no classifier to ask
            written |= seed_results_by_alias
        for alias, seed_results in written.items():
            rows = [m.rows.assign(seed=seed_of(m)) for m in seed_results]
            table = pd.concat(rows, ignore_index=True)
            tables.write(self.directory, _table_name(job, alias), table)
        seconds = time.perf_counter() - started
        table = tables.file(_table_name(job, job.alias))
        return item.model_copy(update={"table": table, "seconds": seconds})

    def _rows(self, job: Job, measure: Measure, alias: str) -> Family:
        seed, parameters = self._config.seed, job.check.parameters
        table = tables.file(_table_name(job, alias))
        if measure.subject is not None:
            return (Measured(None, measure.tabulate(None, parameters), seed, table=table),)
        request = job.request if alias == job.alias else self._catalog.request(alias)
        return tuple(
            Measured(
                Facts.of(classifier), measure.tabulate(classifier, parameters), seed, table=table
            )
            for classifier in self._resources.classifiers(request)
        )

    def close(self, *, interrupted: bool, warn: Callable[[str], None]) -> Published:
        """Finish the log, write the report, and return where it is if there is one.

        Args:
            interrupted: whether the run was.
            warn: told of a report that does not look as it should.

        Raises:
            OSError: the report could not be written; the log was.
        """
        shutil.rmtree(self.directory / OWN_CACHE, ignore_errors=True)
        status: log.Status = "interrupted" if interrupted else "finished"
        self._write(status)
        if self._worker is not None:
            return Published()
        with counting(self._stages), timed("report"):
            published = publish(self.log, self.directory, self._catalog.options, warn)
        if self._stages is not None:
            self._write(status)
        return published

    def _everyone(self, this: Pass, job: Job, source: Source) -> dict[str, Family]:
        """Return what a job's question gave on a pass, by alias; its own classifier's for sure."""
        if this.broken is not None:
            raise UserError(this.broken)
        for name in this.names(job.alias):
            own = task_of(job, name, source).table
            if own in this.result.not_applicable:
                raise NotApplicableError(this.result.not_applicable[own])
        found: dict[str, Family] = {}
        for name, group in this.groups.items():
            measured = this.measured.get(task_of(job, name, source).table)
            if measured is not None:
                alias = group.classifier.alias
                found[alias] = (*found.get(alias, ()), measured)
        return found

    def _illustrated(self, item: log.Item, this: Pass, job: Job, source: Source) -> log.Item:
        """Add table, time and pictures; a picture that cannot be drawn costs no verdict.

        Of a recipe's seeds the first is shown.
        """
        names = this.names(job.alias)
        tasks = [task_of(job, name, source) for name in names]
        first = tasks[0]
        drawn: tuple[log.Picture, ...] = ()
        rows = this.measured[first.table].rows
        count = self._catalog.options.pictures
        shown = item.metrics or (self._config.partition and item.verdict is Verdict.RECORDED)
        if count and not rows.empty and shown:
            try:
                with timed("pictures"):
                    drawn = run_pass.draw(this, first, names[0], count, self._config)
                if self._catalog.options.table.keep_adversarials:
                    run_pass.keep(this, first, names[0], self._config)
            except Exception as error:  # noqa: BLE001 - see above
                self._warnings[f"no pictures for {item.id}: {type(error).__name__}: {error}"] = None
        seconds = sum(this.result.seconds[task.table] for task in tasks)
        table = None if rows.empty else tables.file(first.table)
        cached = this.result.cached[first.table]
        known = {"table": table, "pictures": drawn, "seconds": seconds, "cached": cached}
        return item.model_copy(update=known)

    def _pass(self, source: Source, job: Job) -> Pass:
        """Return the pass over a source: one for all jobs, and in a worker one a classifier."""
        who, asking = self._asking(source, job)
        key = source, who
        if key not in self._passes:
            about = [other for other in asking if source in {other.source, other.against}]
            looking = plan.groups(about, source, self._catalog, self._resources)
            image_set = self._resources.image_set(source)
            area = plan.area(self._jobs, source, self._catalog)
            steep = plan.gradients(self._jobs, source)
            role = self._roles[source]
            this = Pass(source, role, image_set, looking, area=area, gradients=steep)
            self._passes[key] = this
            run_pass.run(this, self._config, self._progress)
            if self._config.partition is not None:
                run_pass.list_images(this, self._config)
        return self._passes[key]

    def _asking(self, source: Source, job: Job) -> tuple[str, Sequence[Job]]:
        """Return whose pass a job's is, and the jobs that it is for.

        All jobs share one; in a worker, those of a classifier do, which may be the only one that
        comes here. At a classifier that has ended a process, each asks alone.
        """
        if self._worker is None:
            return "", self._jobs
        own, who = [other for other in self._jobs if other.alias == job.alias], job.alias
        lost = self._worker.lost(self._catalog.options.run_dir)
        if any(other.id in lost for other in own):
            own, who = [job], job.id
        return who, together(self._jobs, source, own)

    @contextlib.contextmanager
    def _recording(self, job: Job) -> Iterator[None]:
        """Keep warnings from the user's filters, and give every failure its entry in the log."""
        with warnings.catch_warnings(record=True) as caught, counting(self._stages):
            warnings.simplefilter("default")
            try:
                yield
            except Exception as error:
                sentence = str(error) if isinstance(error, UserError) else repr(error)
                with contextlib.suppress(UserError):  # a log that cannot be written is said once
                    self._record(unjudged(job, _verdict_of(error), sentence))
                raise
            finally:
                said = (f"{w.category.__name__}: {w.message}" for w in caught)
                self._warnings.update(dict.fromkeys(said))

    def _warn(self, said: str) -> None:
        self._warnings[said] = None

    def _record(self, item: log.Item) -> None:
        self._items[item.id] = item
        self._write("running")

    def _write(self, status: log.Status) -> None:
        passes, partition = self._passes.values(), self._config.partition
        selected = tuple(job.id for job in self._jobs)
        seconds = time.perf_counter() - self._start
        self.log = self.log.model_copy(
            update={
                "status": status,
                "seconds": seconds,
                "profile": self._stages and self._stages.record(seconds),
                "classifiers": classifiers(self._resources.records.values(), selected),
                "image_sets": image_sets(run_pass.image_set_record(p, partition) for p in passes),
                "items": tuple(self._items.values()),
                "passes": tuple(run_pass.pass_record(this, self._config) for this in passes),
                "selected": selected,
                "not_run": tuple(name for name in selected if name not in self._items),
                "warnings": (*self._resources.remarks, *self._warnings),
            }
        )
        log.write(self.log, self.directory)


OWN_CACHE = ".cache"
"""Of a run that shall find and leave nothing: trainings need a place while it lasts."""


def _measure(job: Job) -> Measure:
    assert isinstance(job.check.spec, Measure)
    return job.check.spec


def _table_name(job: Job, alias: str) -> str:
    """Return the name of the rows of a job that looks at no image, asked of a classifier."""
    digest = hashlib.sha256(f"{job.id} {alias}".encode()).hexdigest()[:8]
    return f"{tables.slug(f'{_measure(job).name}-{job.check.name}-{alias}')}-{digest}"


def _verdict_of(error: Exception) -> Verdict:
    match error:
        case UnavailableError():
            return Verdict.UNAVAILABLE
        case NotApplicableError():
            return Verdict.NOT_APPLICABLE
        case _:
            return Verdict.INVALID


def _stages(device: torch.device) -> Stages:
    """Return a profile; on a device that works beside the host every border waits for it."""
    if device.type != "cuda":
        return Stages()
    return Stages(wait=partial(torch.cuda.synchronize, device), synchronised=True)
