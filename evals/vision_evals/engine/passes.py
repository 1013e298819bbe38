"""The passes of a run, by source: a pass runs when its first job is judged."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from vision_evals.core.progress import Progress
from vision_evals.core.worker import Worker
from vision_evals.engine import plan
from vision_evals.engine.batch_size import gradients, largest_area
from vision_evals.engine.jobs import Catalog
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
            jobs_on_source = [other for other in asking if source in other.sources]
            new = Pass(
                source,
                role_names(self.jobs)[source],
                self.resources.image_set(source),
                plan.task_groups_of(jobs_on_source, source, self.catalog, self.resources),
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


def role_names(jobs: Sequence[Job]) -> dict[Source, str]:
    """Return a name for each image set in the log: its role, or a numbered role if that is taken.

    It depends on the selection alone, so every process derives the same.
    """
    names: dict[Source, str] = {}
    for job in jobs:
        for source, role in job.roles:
            if source.missing is None and source not in names:
                names[source] = _free_name(role, names.values())
    return names


def _free_name(role: str, taken: Collection[str]) -> str:
    candidates = (role if i == 0 else f"{role} {i + 1}" for i in range(len(taken) + 1))
    return next(name for name in candidates if name not in taken)


def jobs_of_process(jobs: Sequence[Job], source: Source, own_jobs: Collection[Job]) -> list[Job]:
    """Return the jobs on an image set whose tasks one process needs for its own jobs.

    These are its own jobs and, if a measure compares classifiers, the same check on the others: a
    number must not depend on the process that computes it.

    Args:
        jobs: of the run.
        source: the image set.
        own_jobs: that the process judges.
    """
    keys = {_check_key(job) for job in own_jobs if job.source == source and job.measure.compares}
    ids = {job.id for job in own_jobs}
    return [
        job for job in jobs if job.id in ids or (job.source == source and _check_key(job) in keys)
    ]


def _check_key(job: Job) -> str:
    return json.dumps([job.check.table.measure, job.check.parameters.model_dump(mode="json")])
