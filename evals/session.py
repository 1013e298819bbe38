"""A run: from what was selected, through passes, to verdicts in the log."""

from __future__ import annotations

import datetime
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from evals import log
from evals.device import default_batch, name_of, numerics, resolve
from evals.environment import environment
from evals.errors import NotApplicableError, UnavailableError, UserError
from evals.judging import Measured, judge, unjudged
from evals.log import Verdict
from evals.options import Source
from evals.passes import stage, tables
from evals.passes.resources import Resources
from evals.passes.stage import Manner, Pass, task_of
from evals.progress import Progress
from evals.selection import Catalog, Job


class Session:
    """One run. Knows what it was told to judge, judges it, and keeps the log."""

    def __init__(
        self, catalog: Catalog, jobs: Sequence[Job], command: str, progress: Progress
    ) -> None:
        """Make the run directory and the first log.

        Raises:
            UserError: the device or precision is not to be had, or the directory not writable.
        """
        table = catalog.options.table
        device = resolve(table.device)
        with numerics(device, table.precision):
            pass  # an impossible precision is refused before anything is loaded
        batch = default_batch(device) if table.batch_size == "auto" else table.batch_size
        self._catalog = catalog
        self._jobs = tuple(jobs)
        self._progress = progress
        self._start = time.perf_counter()
        self._resources = Resources(catalog.registry, device, table.limit)
        self._passes: dict[Source, Pass] = {}
        self._items: dict[str, log.Item] = {}
        self.directory = _new_directory(catalog.options.run_dir)
        self._manner = Manner(device, table.precision, batch, table.seed, self.directory)
        self._run = log.Run(
            id=self.directory.name,
            status="running",
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            command=command,
            settings=log.Settings(
                seed=table.seed,
                device=str(device),
                device_name=name_of(device),
                precision=table.precision,
                batch_size=batch,
            ),
            environment=environment(catalog.options.root),
            suites=tuple(
                log.Suite(path=suite.path, title=suite.title, about=suite.about)
                for suite in {job.suite.path: job.suite for job in jobs}.values()
            ),
        )
        self._write("running")

    @property
    def items(self) -> tuple[log.Item, ...]:
        """Every entry so far."""
        return tuple(self._items.values())

    def prepare(self, job: Job) -> None:
        """Load what a job needs, or record what is missing.

        Raises:
            UnavailableError, NotApplicableError, UserError: as their classes say.
        """
        try:
            classifier = self._resources.classifier(job.request, download=job.named)
            image_set = self._resources.image_set(job.source)
            if job.check.spec.labels and not image_set.labelled:
                raise NotApplicableError(
                    f"{job.source} has no labels, and {job.check.spec.name} means nothing without"
                )
            self._resources.answers(classifier, job.source)
        except UserError as error:
            self._record(unjudged(job, _verdict_of(error), str(error)))
            raise

    def judge(self, job: Job) -> log.Item:
        """Return the verdict on a prepared job; the first of a pass waits for all of it.

        Raises:
            UserError: it cannot be judged, and the log says why.
        """
        try:
            item = self._judge(job, self._pass(job))
        except UserError as error:
            self._record(unjudged(job, _verdict_of(error), str(error)))
            raise
        self._record(item)
        return item

    def close(self, *, interrupted: bool) -> Path | None:
        """Finish the log, write the report, and return the report's path if there is one."""
        self._write("interrupted" if interrupted else "finished")
        _point_latest(self.directory)
        options = self._catalog.options
        if not options.reporting:
            return None
        from evals import report

        return report.write(
            self._run, self.directory, options.report or self.directory / "report.html"
        )

    def _judge(self, job: Job, this: Pass) -> log.Item:
        task, walked = task_of(job, job.alias), this.walked
        if job.alias in walked.failures:
            sentence = f"INVALID: the network failed: {walked.failures[job.alias]}"
            return unjudged(job, Verdict.INVALID, sentence)
        if task.table in walked.not_applicable:
            raise NotApplicableError(walked.not_applicable[task.table])
        if task.table not in this.measured:
            raise UserError(_nothing_read(job, this))

        def other(alias: str) -> Measured | str:
            found = this.measured.get(task_of(job, alias).table)
            return found or f"{alias} was not measured on these images"

        item = judge(job, this.measured[task.table], task.measure, other)
        return item.model_copy(
            update={
                "table": tables.file(task.table),
                "pictures": stage.draw(
                    this, task, job.alias, self._catalog.options.pictures, self._manner
                ),
                "seconds": walked.seconds[task.table],
            }
        )

    def _pass(self, job: Job) -> Pass:
        if job.source not in self._passes:
            image_set = self._resources.image_set(job.source)
            together = [other for other in self._jobs if other.source == job.source]
            looking = stage.stations(together, image_set, self._catalog, self._resources)
            this = Pass(job.source, self._role(job), image_set, looking)
            self._passes[job.source] = this
            stage.run(this, self._manner, self._progress)
        return self._passes[job.source]

    def _role(self, job: Job) -> str:
        """Return the name of an image set in the log: its role, unless that is taken."""
        role = job.check.table.images
        taken = {this.role for this in self._passes.values()}
        return role if role not in taken else f"{role} ({job.source})"

    def _record(self, item: log.Item) -> None:
        self._items[item.id] = item
        self._write("running")

    def _write(self, status: log.Status) -> None:
        passes = self._passes.values()
        self._run = self._run.model_copy(
            update={
                "status": status,
                "seconds": time.perf_counter() - self._start,
                "classifiers": tuple(self._resources.records.values()),
                "image_sets": tuple(stage.image_set_record(this) for this in passes),
                "items": self.items,
                "walks": tuple(stage.walk_record(this) for this in passes),
                "warnings": tuple(dict.fromkeys(w for this in passes for w in this.warnings)),
            }
        )
        log.write(self._run, self.directory)


def _verdict_of(error: UserError) -> Verdict:
    match error:
        case UnavailableError():
            return Verdict.UNAVAILABLE
        case NotApplicableError():
            return Verdict.NOT_APPLICABLE
        case _:
            return Verdict.INVALID


def _nothing_read(job: Job, this: Pass) -> str:
    image, reason = next(iter(this.walked.unreadable.items()), ("", ""))
    return f"not one picture of {job.source} could be read: {image}: {reason}"


def _new_directory(parent: Path) -> Path:
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    directory = parent / f"{stamp}-{secrets.token_hex(2)}"
    try:
        (directory / "tables").mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"--evals-run-dir {parent}: cannot be written ({error.strerror}); name another folder"
        ) from None
    return directory


def _point_latest(directory: Path) -> None:
    """Point ``latest`` at this run; a file system without links goes without."""
    link = directory.parent / "latest"
    partial = directory.parent / f".latest-{directory.name}"
    try:
        partial.symlink_to(directory.name, target_is_directory=True)
        os.replace(partial, link)  # noqa: PTH105 - a link is replaced, not followed
    except OSError:
        partial.unlink(missing_ok=True)
