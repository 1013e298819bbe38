"""The passes of a run, by source: a pass runs when its first job is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vision_evals.core.progress import Progress
from vision_evals.core.worker import Worker
from vision_evals.engine import plan
from vision_evals.engine.batch_size import gradients, largest_area
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.questions import jobs_of_process, role_names
from vision_evals.engine.records import list_images
from vision_evals.engine.resources import Resources
from vision_evals.engine.run_pass import Pass
from vision_evals.engine.tasks import RunConfig
from vision_evals.suite.options import Source
from vision_evals.verdict.job import Job


@dataclass(frozen=True)
class Passes:
    """One pass over a source for all jobs; in a worker, one per classifier."""

    jobs: Sequence[Job]
    """All that are selected, also where this process judges only some of them."""
    catalog: Catalog
    resources: Resources
    config: RunConfig
    progress: Progress
    """Shows each pass."""
    worker: Worker | None = None
    """This process, where several share the run."""
    begun: dict[tuple[Source, str], Pass] = field(default_factory=dict)
    """By source and, in a worker, owner."""

    def over(self, source: Source, job: Job) -> Pass:
        """Return the finished pass over a source that a job needs."""
        owner, asking = self._jobs_sharing(source, job)
        if (source, owner) not in self.begun:
            new = Pass(
                source,
                role_names(self.jobs)[source],
                self.resources.image_set(source),
                plan.task_groups_of(
                    [other for other in asking if source in other.sources],
                    *(source, self.catalog, self.resources),
                ),
                self.config,
                area=largest_area(self.jobs, source, self.catalog),
                gradients=gradients(self.jobs, source),
            )
            self.begun[source, owner] = new
            new.run(self.progress)
            if self.config.partition is not None:
                list_images(new)
        return self.begun[source, owner]

    def _jobs_sharing(self, source: Source, job: Job) -> tuple[str, Sequence[Job]]:
        """Return the owner of a job's pass, and the jobs that share it.

        All jobs share one pass; in a worker, all jobs of a classifier do, because other classifiers
        may go to other workers. If the classifier has ended a process, each job has its own pass.
        """
        if self.worker is None:
            return "", self.jobs
        own_jobs, owner = [other for other in self.jobs if other.alias == job.alias], job.alias
        lost = self.worker.lost(self.catalog.options.run_dir)
        if any(other.id in lost for other in own_jobs):
            own_jobs, owner = [job], job.id
        return owner, jobs_of_process(self.jobs, source, own_jobs)
