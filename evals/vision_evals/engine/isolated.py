"""A run in which each classifier has a process of its own: one that dies costs its check alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.paths import named_directory, new_name, point_latest
from vision_evals.core.progress import Advance, Progress
from vision_evals.core.worker import Worker, lose
from vision_evals.engine.item import failed
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.merge.workers import Gathered, gather
from vision_evals.engine.publish import ReportPlaces, publish
from vision_evals.engine.session import Session
from vision_evals.engine.setup import device_of
from vision_evals.log import Item
from vision_evals.models.processes import SECONDS_OF_GRACE, EndedError, can_fork, forked, portable
from vision_evals.verdict.job import Job

MAX_DEATHS = 3
"""Processes that one classifier may end: its other checks are given up then."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a process found about a job."""

    job: str
    """Its id."""
    refused: BaseException | None = None
    """Why it could not be prepared."""
    judged: Item | BaseException | None = None
    """The verdict, or why there is none."""


@dataclass
class Isolated:
    """A run as `Session` is one; a forked process judges all checks of a classifier."""

    catalog: Catalog
    jobs: Sequence[Job]
    command: str
    progress: Progress
    directory: Path
    """Of the run."""
    _outcomes: dict[str, Outcome] = field(default_factory=dict)
    """By id of the job."""
    _ended: dict[str, Item] = field(default_factory=dict)
    """By id, of the jobs at which a process was ended: no process has logged them."""
    _processes: int = 0
    _finished: Session | Gathered | None = None

    @property
    def log(self) -> log.Run:
        """Of all processes; at the end of the run."""
        assert self._finished is not None
        return self._finished.log

    def prepare(self, job: Job) -> None:
        """Judge all checks of a job's classifier, if that is not done, or raise why one cannot be.

        Raises:
            UnavailableError, NotApplicableError, UserError: as their classes say.
        """
        if job.id not in self._outcomes:
            self._judge_all([other for other in self.jobs if other.alias == job.alias])
        if (error := self._outcomes[job.id].refused) is not None:
            raise error

    def judge(self, job: Job) -> Item:
        """Return the verdict on a prepared job.

        Raises:
            UserError: it cannot be judged; the log has the reason.
        """
        judged = self._outcomes[job.id].judged
        if isinstance(judged, BaseException):
            raise judged
        assert judged is not None
        return judged

    def entry(self, job: Job) -> Item | None:
        """Return the entry of a job in the log, if it has one."""
        outcome = self._outcomes.get(job.id)
        judged = None if outcome is None else outcome.judged
        return judged if isinstance(judged, Item) else self._ended.get(job.id)

    def _judge_all(self, jobs: Sequence[Job]) -> None:
        """Judge jobs in a process, and in another one those after a job that ended it."""
        deaths, timeout = 0, self.catalog.options.timeout
        while jobs:
            worker = Worker(f"isolated{self._processes}", self.directory.name)
            self._processes += 1
            work = partial(self._work, worker, torch.get_num_threads())
            try:
                with self.progress(jobs[0].alias, 0) as bar:
                    # after a pass that took its time, pictures may take the same again
                    grace = timeout + SECONDS_OF_GRACE
                    for message in forked(jobs, 1, work, timeout, grace=grace, nested=True):
                        if isinstance(message, str):
                            bar(0, message)
                        else:
                            self._outcomes[message.job] = message
            except EndedError as error:
                deaths += 1
                first = error.unit or 0
                lost = jobs[first:] if deaths == MAX_DEATHS else jobs[first : first + 1]
                jobs = jobs[first + len(lost) :]
                for job in lost:
                    if job.id not in self._outcomes:  # else it ended after its last verdict
                        self._lose(job, UserError(f"{job.alias}: {error.reason}"))
            else:
                return

    def _lose(self, job: Job, reason: UserError) -> None:
        lose(self.directory, job.id)
        self._outcomes[job.id] = Outcome(job.id, judged=reason)
        self._ended[job.id] = failed(job, reason)

    def _work(
        self,
        worker: Worker,
        threads: int,
        jobs: Iterator[Job],
        send: Callable[[Outcome | str], None],
    ) -> None:
        """Judge jobs in a process of their own, as a worker of pytest-xdist does."""
        torch.set_num_threads(threads)  # for the processes that share a pass
        session = Session(self.catalog, self.jobs, self.command, _sent(send), worker)
        for job in jobs:
            send(job.id)
            outcome = Outcome(job.id)
            try:
                session.prepare(job)
            except Exception as error:  # noqa: BLE001 - raised again where the run is
                outcome = replace(outcome, refused=portable(error))
            else:
                try:
                    outcome = replace(outcome, judged=session.judge(job))
                except Exception as error:  # noqa: BLE001 - as above
                    outcome = replace(outcome, judged=portable(error))
            send(outcome)
        session.close(interrupted=False, warn=lambda _: None)

    def close(self, *, interrupted: bool, warn: Callable[[str], None]) -> ReportPlaces:
        """Join the logs of all processes, write the report, and return where it is.

        Args:
            interrupted: whether the run was.
            warn: called with what is wrong with the templates of the report.

        Raises:
            UserError: the log or the report could not be written.
        """
        self._finished = gather(
            self.directory, self.command, interrupted=interrupted, ended=self._ended.values()
        )
        if self._finished is None:  # nothing was to be judged
            session = Session(self.catalog, self.jobs, self.command, self.progress)
            self._finished, self.directory = session, session.directory
            return session.close(interrupted=interrupted, warn=warn)
        point_latest(self.directory)
        return publish(self.log, self.directory, self.catalog.options, warn)


def start(
    catalog: Catalog,
    jobs: Sequence[Job],
    command: str,
    progress: Progress,
    worker: Worker | None = None,
) -> Session | Isolated:
    """Start a run; with --evals-isolate in processes, unless this is a worker of pytest-xdist.

    The arguments are those of `Session`.

    Raises:
        UserError: as of `Session`, or processes cannot be forked here.
    """
    options = catalog.options
    if not options.table.isolate or worker is not None:
        return Session(catalog, jobs, command, progress, worker)
    if not can_fork(device_of(options)):
        raise UserError(
            "--evals-isolate forks a process for each classifier, which needs Linux without an "
            "accelerator; pytest -n 1 (pytest-xdist) gives classifiers a process that may end"
        )
    run_id = options.table.run_id
    directory = options.run_dir / (run_id or new_name())
    if run_id is not None:
        directory = named_directory(options.run_dir, run_id)
    return Isolated(catalog, jobs, command, progress, directory)


def _sent(send: Callable[[str], None]) -> Progress:
    """Return a progress that is shown by the process that waits."""

    @contextlib.contextmanager
    def show(title: str, total: int, unit: str = "images") -> Iterator[Advance]:  # noqa: ARG001
        send(title)

        def advance(n: int, message: str = "") -> None:  # noqa: ARG001 - the text has the counts
            if message:
                send(message)

        yield advance

    return show
