"""What processes that share a run derive alike from the selection: names, and shared jobs."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from vision_evals.suite.options import Source
from vision_evals.verdict.job import Job


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
