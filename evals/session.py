"""A run: from what was selected, through passes, to verdicts in the log."""

from __future__ import annotations

import contextlib
import hashlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from evals import log
from evals.errors import NotApplicableError, UnavailableError, UserError
from evals.judging import Family, Measured, Question, judge, seed_of, unjudged
from evals.log import Verdict
from evals.measures.measure import Measure
from evals.noise.file import machine, place, read
from evals.noise.floor import asked
from evals.options import Source
from evals.passes import plan, stage, tables
from evals.passes.plan import Pass, task_of
from evals.passes.resources import Resources
from evals.progress import Progress
from evals.selection import Catalog, Job
from evals.start import begun, device_of, manner_of, point_latest
from evals.verdict import Floor


class Session:
    """One run. Knows what it was told to judge, judges it, and keeps the log."""

    def __init__(
        self, catalog: Catalog, jobs: Sequence[Job], command: str, progress: Progress
    ) -> None:
        """Make the run directory and the first log.

        Raises:
            UserError: the device or precision is not to be had, or a place not writable.
        """
        options = catalog.options
        device = device_of(options)
        self._catalog = catalog
        self._jobs = tuple(jobs)
        self._progress = progress
        self._start = time.perf_counter()
        named = frozenset(job.alias for job in jobs if job.named)
        self._resources = Resources(
            catalog.registry, device, options.table.limit, named, options.cache, progress
        )
        self._passes: dict[Source, Pass] = {}
        self._items: dict[str, log.Item] = {}
        self._warnings: dict[str, None] = {}
        here = machine()
        file = place(options.cache, here)
        self._noise = read(file, here, lambda said: self._warnings.update({said: None}))
        self._manner = manner_of(options, device)
        self.directory = self._manner.directory
        noise = file.name if self._noise.entries else None
        self.log = begun(options, self._manner, command, (job.suite for job in jobs), noise)
        self._write("running")
        point_latest(self.directory)

    def prepare(self, job: Job) -> None:
        """Load what a job needs, or record what is missing.

        Raises:
            UnavailableError, NotApplicableError, UserError: as their classes say.
        """
        with self._recording(job):
            if job.missing is not None:
                raise UnavailableError(job.missing)
            measure = _measure(job)
            if measure.subject is not None:
                return
            plan.prepare(job, self._resources)

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
        this = self._pass(source, job.check.table.images or "")
        others = self._everyone(this, job, source)
        measured = others.pop(job.alias)
        against: dict[str, Family] = {}
        if job.against is not None:
            second = self._pass(job.against, job.check.table.against or "")
            against = self._everyone(second, job, job.against)
        floor = self._floor(job)
        item = judge(Question(job, _measure(job), measured, others, against, floor), this.role)
        return self._illustrated(item, this, job, source)

    def _floor(self, job: Job) -> Callable[[log.Metric], Floor | None]:
        """Return what is known of this machine's noise in the metrics of a walked job."""
        passes = [self._passes[source] for source in (job.source, job.against) if source]
        images = [stage.image_set_record(this).fingerprint for this in passes]
        digest = self._resources.records[job.alias].fingerprint
        question = asked(job, str(digest), [str(image) for image in images])
        return partial(self._noise.floor, question, self._manner.precision)

    def _tabulated(self, job: Job) -> log.Item:
        """Return the verdict on a job whose rows come from no image."""
        started, measure = time.perf_counter(), _measure(job)
        aliases = {job.alias, *job.check.references(job.alias)}
        measured, families = self._rows(job, measure, job.alias), {}
        for alias in sorted(aliases - {job.alias}):
            with contextlib.suppress(UserError):  # said of the threshold that names it
                families[alias] = self._rows(job, measure, alias)
        item = judge(Question(job, measure, measured, families), None)
        digest = hashlib.sha256(job.id.encode()).hexdigest()[:8]
        table = f"{tables.slug(f'{measure.name}-{job.check.name}-{job.alias}')}-{digest}"
        rows = [m.rows.assign(seed=seed_of(m)) for m in measured]
        tables.write(self.directory, table, pd.concat(rows, ignore_index=True))
        seconds = time.perf_counter() - started
        return item.model_copy(update={"table": tables.file(table), "seconds": seconds})

    def _rows(self, job: Job, measure: Measure, alias: str) -> Family:
        seed, parameters = self._manner.seed, job.check.parameters
        if measure.subject is not None:
            return (Measured(None, measure.tabulate(None, parameters), seed),)
        request = job.request if alias == job.alias else self._catalog.request(alias)
        return tuple(
            Measured(classifier, measure.tabulate(classifier, parameters), seed)
            for classifier in self._resources.classifiers(request)
        )

    def close(self, *, interrupted: bool) -> Path | None:
        """Finish the log, write the report, and return the report's path if there is one.

        Raises:
            OSError: the report could not be written; the log was.
        """
        self._write("interrupted" if interrupted else "finished")
        options = self._catalog.options
        if not options.reporting:
            return None
        from evals import report

        return report.write(self.log, self.directory, options.report or self.directory / REPORT)

    def _everyone(self, this: Pass, job: Job, source: Source) -> dict[str, Family]:
        """Return what a job's question gave on a pass, by alias; its own classifier's for sure."""
        if this.broken is not None:
            raise UserError(this.broken)
        for name in this.names(job.alias):
            own = task_of(job, name, source).table
            if own in this.walked.not_applicable:
                raise NotApplicableError(this.walked.not_applicable[own])
        found: dict[str, Family] = {}
        for name, station in this.stations.items():
            measured = this.measured.get(task_of(job, name, source).table)
            if measured is not None:
                alias = station.classifier.alias
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
        if count and not rows.empty and item.metrics:
            try:
                drawn = stage.draw(this, first, names[0], count, self._manner)
                if self._catalog.options.table.keep_adversarials:
                    stage.keep(this, first, names[0], self._manner)
            except Exception as error:  # noqa: BLE001 - see above
                self._warnings[f"no pictures for {item.id}: {type(error).__name__}: {error}"] = None
        seconds = sum(this.walked.seconds[task.table] for task in tasks)
        table = None if rows.empty else tables.file(first.table)
        return item.model_copy(update={"table": table, "pictures": drawn, "seconds": seconds})

    def _pass(self, source: Source, role: str) -> Pass:
        if source not in self._passes:
            together = [other for other in self._jobs if source in {other.source, other.against}]
            looking = plan.stations(together, source, self._catalog, self._resources)
            image_set = self._resources.image_set(source)
            this = Pass(source, self._name(role), image_set, looking)
            self._passes[source] = this
            stage.run(this, self._manner, self._progress)
        return self._passes[source]

    def _name(self, role: str) -> str:
        """Return a name for an image set in the log: its role, unless that is taken."""
        taken = [this.role for this in self._passes.values()]
        return next(n for i in range(len(taken) + 1) if (n := _nth(role, i)) not in taken)

    @contextlib.contextmanager
    def _recording(self, job: Job) -> Iterator[None]:
        """Keep warnings from the user's filters, and give every failure its entry in the log."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            try:
                yield
            except Exception as error:
                sentence = str(error) if isinstance(error, UserError) else repr(error)
                self._record(unjudged(job, _verdict_of(error), sentence))
                raise
            finally:
                said = (f"{w.category.__name__}: {w.message}" for w in caught)
                self._warnings.update(dict.fromkeys(said))

    def _record(self, item: log.Item) -> None:
        self._items[item.id] = item
        self._write("running")

    def _write(self, status: log.Status) -> None:
        passes = self._passes.values()
        self.log = self.log.model_copy(
            update={
                "status": status,
                "seconds": time.perf_counter() - self._start,
                "classifiers": tuple(self._resources.records.values()),
                "image_sets": tuple(stage.image_set_record(this) for this in passes),
                "items": tuple(self._items.values()),
                "walks": tuple(stage.walk_record(this, self._manner) for this in passes),
                "selected": tuple(job.id for job in self._jobs),
                "not_run": tuple(job.id for job in self._jobs if job.id not in self._items),
                "warnings": (*self._resources.remarks, *self._warnings),
            }
        )
        log.write(self.log, self.directory)


REPORT = "report.html"


def _measure(job: Job) -> Measure:
    assert isinstance(job.check.spec, Measure)
    return job.check.spec


def _nth(role: str, index: int) -> str:
    return role if index == 0 else f"{role} {index + 1}"


def _verdict_of(error: Exception) -> Verdict:
    match error:
        case UnavailableError():
            return Verdict.UNAVAILABLE
        case NotApplicableError():
            return Verdict.NOT_APPLICABLE
        case _:
            return Verdict.INVALID
