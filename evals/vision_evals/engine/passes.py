"""The passes of a run, by source: each is begun when its first job is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vision_evals.core.progress import Progress
from vision_evals.core.worker import Worker
from vision_evals.engine import plan
from vision_evals.engine.batch_size import area, gradients
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.questions import roles, together
from vision_evals.engine.records import list_images
from vision_evals.engine.resources import Resources
from vision_evals.engine.run_pass import Pass
from vision_evals.engine.tasks import RunConfig
from vision_evals.suite.options import Source
from vision_evals.verdict.job import Job


@dataclass(frozen=True)
class Passes:
    """One pass over a source for all jobs, and in a worker one a classifier."""

    jobs: Sequence[Job]
    """All that were selected, also where this process judges some of them only."""
    catalog: Catalog
    resources: Resources
    config: RunConfig
    progress: Progress
    """Shown each pass."""
    worker: Worker | None = None
    """Which process this is, where several share the run."""
    begun: dict[tuple[Source, str], Pass] = field(default_factory=dict)
    """By source, and in a worker whose it is."""

    def over(self, source: Source, job: Job) -> Pass:
        """Return the pass over a source that a job waits for, walked."""
        who, asking = self._asking(source, job)
        if (source, who) not in self.begun:
            new = Pass(
                source,
                roles(self.jobs)[source],
                self.resources.image_set(source),
                plan.groups(
                    [other for other in asking if source in other.sources],
                    *(source, self.catalog, self.resources),
                ),
                self.config,
                area=area(self.jobs, source, self.catalog),
                gradients=gradients(self.jobs, source),
            )
            self.begun[source, who] = new
            new.run(self.progress)
            if self.config.partition is not None:
                list_images(new)
        return self.begun[source, who]

    def _asking(self, source: Source, job: Job) -> tuple[str, Sequence[Job]]:
        """Return whose pass a job's is, and the jobs that it is for.

        All jobs share one; in a worker, those of a classifier do, which may be the only one that
        comes here. At a classifier that has ended a process, each asks alone.
        """
        if self.worker is None:
            return "", self.jobs
        own, who = [other for other in self.jobs if other.alias == job.alias], job.alias
        lost = self.worker.lost(self.catalog.options.run_dir)
        if any(other.id in lost for other in own):
            own, who = [job], job.id
        return who, together(self.jobs, source, own)
