"""What processes that share a run must agree on without talking: names, and who asks what."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from vision_evals.suite.options import Source
from vision_evals.verdict.job import Job


def roles(jobs: Sequence[Job]) -> dict[Source, str]:
    """Return a name for each image set in the log: its role, unless another's is called so.

    It follows from what was selected alone, so every process finds the same.
    """
    names: dict[Source, str] = {}
    for job in jobs:
        for source, role in job.roles:
            if source.missing is None and source not in names:
                names[source] = _free(role, names.values())
    return names


def _free(role: str, taken: Collection[str]) -> str:
    several = (role if i == 0 else f"{role} {i + 1}" for i in range(len(taken) + 1))
    return next(name for name in several if name not in taken)


def together(jobs: Sequence[Job], source: Source, own: Collection[Job]) -> list[Job]:
    """Return the jobs that one process asks on an image set for the sake of its own.

    Those themselves, and where a measure compares classifiers, all that ask the others the same: a
    number must not depend on which process judges it.

    Args:
        jobs: of the run.
        source: the image set.
        own: those to be judged.
    """
    asked = {_question(job) for job in own if job.source == source and job.measure.compares}
    ids = {job.id for job in own}
    return [
        job for job in jobs if job.id in ids or (job.source == source and _question(job) in asked)
    ]


def _question(job: Job) -> str:
    return json.dumps([job.check.table.measure, job.check.parameters.model_dump(mode="json")])
