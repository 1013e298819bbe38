"""Judges jobs as a run does, without pictures and without a log."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vision_evals import log
from vision_evals.core.errors import NotApplicableError
from vision_evals.core.progress import Progress
from vision_evals.engine import plan
from vision_evals.engine.item import Results, Standards, failed, item_of
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.records import image_set_of
from vision_evals.engine.resources import Resources
from vision_evals.engine.run_pass import Pass
from vision_evals.engine.tasks import RunConfig
from vision_evals.suite.options import Source
from vision_evals.validity.examine import Examiner
from vision_evals.verdict.check_input import SeedResults
from vision_evals.verdict.job import Job


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The entry of a job, judged twice."""

    item: log.Item
    """As a run would log it: INVALID where a validity check failed."""
    behaviour: log.Item
    """Judged as if every validity check passed, so that it has its metrics and judgements."""


def evaluate(
    jobs: Sequence[Job],
    catalog: Catalog,
    resources: Resources,
    config: RunConfig,
    progress: Progress,
) -> dict[str, Evaluation]:
    """Return the evaluation of each job, by its id.

    Args:
        jobs: on images that exist, and on classifiers that are not trained here.
        catalog: for the classifiers that thresholds name.
        resources: the classifiers and image sets to judge.
        config: how to compute; rows are below its directory while this runs. For a mutant it must
            have no cache: a mutant has the fingerprint of the network that it was made of. What its
            examiner found of a classifier is used again.
        progress: shows each pass.

    Raises:
        UserError: a classifier or an image set is unavailable.
    """
    refused: dict[str, NotApplicableError] = {}
    for job in jobs:
        assert job.source is not None, "left out by the caller"
        try:
            plan.prepare(job, resources)
        except NotApplicableError as error:
            refused[job.id] = error
    with tempfile.TemporaryDirectory(dir=config.directory, prefix=".trial-") as folder:
        (Path(folder) / "tables").mkdir()
        examiner = Examiner(config.examiner.checks, results=config.examiner.results)
        own_config = replace(config, directory=Path(folder), examiner=examiner)
        applicable = [job for job in jobs if job.id not in refused]
        passes = _passes(applicable, catalog, resources, own_config, progress)
        return {
            job.id: _refused(job, refused[job.id])
            if job.id in refused
            else _evaluation(job, passes)
            for job in jobs
        }


def _refused(job: Job, error: Exception, role: str | None = None) -> Evaluation:
    nothing = failed(job, error, role)
    return Evaluation(nothing, nothing)


def _passes(
    jobs: Sequence[Job],
    catalog: Catalog,
    resources: Resources,
    config: RunConfig,
    progress: Progress,
) -> dict[Source, Pass]:
    """Run one pass over every image set, with the tasks of all jobs."""
    passes: dict[Source, Pass] = {}
    for source, role in (named for job in jobs for named in job.roles):
        if source not in passes:
            together = [job for job in jobs if source in job.sources]
            groups = plan.task_groups_of(together, source, catalog, resources)
            passes[source] = Pass(source, role, resources.image_set(source), groups, config)
            passes[source].run(progress)
    return passes


def _evaluation(job: Job, passes: Mapping[Source, Pass]) -> Evaluation:
    job_passes = [passes[source] for source in job.sources]
    role = job_passes[0].role
    try:
        seed_results_by_alias = [image_pass.seed_results_by_alias(job) for image_pass in job_passes]
    except NotApplicableError as error:
        return _refused(job, error, role)
    images = tuple(map(image_set_of, job_passes))
    results = Results(job, *seed_results_by_alias, images=images)
    trusting = Results(job, *map(_without_validity, seed_results_by_alias), images=images)
    return Evaluation(_judged(results, role), _judged(trusting, role))


def _without_validity(seed_results_by_alias: Mapping[str, SeedResults]) -> dict[str, SeedResults]:
    return {
        alias: tuple(replace(member, validity=()) for member in seed_results)
        for alias, seed_results in seed_results_by_alias.items()
    }


def _judged(results: Results, role: str) -> log.Item:
    """Return the entry; an INVALID one with the reason where there are no numbers to judge."""
    try:
        return item_of(results, Standards())
    except Exception as error:  # noqa: BLE001 - metrics of rows that validity checks refuse
        return failed(results.job, error, role)
