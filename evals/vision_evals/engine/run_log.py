"""The log of a run while it is running."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vision_evals import log
from vision_evals.core.errors import UserError, contained, excerpt
from vision_evals.engine.item import failed
from vision_evals.engine.merge.union import classifiers, image_sets
from vision_evals.engine.passes import Passes
from vision_evals.engine.records import image_set_of, pass_record
from vision_evals.log.profiling.stages import Stages, counting
from vision_evals.verdict.job import Job


@dataclass
class RunLog:
    """The log of a run, written again after every verdict."""

    run: log.Run
    """As written last."""
    passes: Passes
    remarks: dict[str, None]
    """Warnings, each once and in order."""
    start: float
    """On the clock of `time.perf_counter`."""
    stages: Stages | None = None
    """The profile, with --evals-profile."""
    items: dict[str, log.Item] = field(default_factory=dict)
    """By id."""

    @property
    def directory(self) -> Path:
        """Of the run."""
        return self.passes.config.directory

    def warn(self, message: str) -> None:
        """Add a warning."""
        self.remarks[message] = None

    def record(self, item: log.Item) -> None:
        """Add an entry, and write the log.

        What cannot be written now is kept: the end of the run writes it, or says that it cannot.

        Raises:
            UserError: the disk is full, in a worker: its log brings its verdicts to the others.
        """
        self.items[item.id] = item
        try:
            self.write("running")
        except UserError:
            if self.passes.worker is not None:
                raise

    @contextlib.contextmanager
    def recording(self, job: Job) -> Iterator[None]:
        """Log Python warnings instead of showing them, and log every failure as an entry."""
        with warnings.catch_warnings(record=True) as caught, counting(self.stages):
            warnings.simplefilter("default")
            try:
                with contained():
                    yield
            except Exception as error:
                # a log that cannot be written is reported once
                with contextlib.suppress(UserError):
                    self.record(failed(job, error))
                raise
            finally:
                messages = (excerpt(f"{w.category.__name__}: {w.message}") for w in caught)
                self.remarks.update(dict.fromkeys(messages))

    def write(self, status: log.Status) -> None:
        """Write the log.

        Raises:
            UserError: the disk is full.
        """
        begun, resources = self.passes.begun.values(), self.passes.resources
        selected = tuple(job.id for job in self.passes.jobs)
        seconds = time.perf_counter() - self.start
        self.run = self.run.model_copy(
            update={
                "status": status,
                "seconds": seconds,
                "profile": self.stages and self.stages.record(seconds),
                "classifiers": classifiers(resources.records.values(), selected),
                "image_sets": image_sets(map(image_set_of, begun)),
                "items": tuple(self.items.values()),
                "passes": tuple(map(pass_record, begun)),
                "selected": selected,
                "not_run": tuple(name for name in selected if name not in self.items),
                "warnings": (*resources.remarks, *self.remarks),
            }
        )
        log.write(self.run, self.directory)
