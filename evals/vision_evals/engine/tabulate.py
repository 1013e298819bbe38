"""Rows without images: a measure inspects a classifier, or evaluates a formula."""

from __future__ import annotations

import contextlib
import hashlib

import pandas as pd

from vision_evals.core.errors import UserError
from vision_evals.engine import tables
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.resources import Resources
from vision_evals.engine.tasks import RunConfig
from vision_evals.verdict.check_input import ClassifierInfo, Measured, SeedResults, seed_of
from vision_evals.verdict.job import Job


def tabulated(
    job: Job, catalog: Catalog, resources: Resources, config: RunConfig
) -> dict[str, SeedResults]:
    """Return the rows of a job's classifier and of those that its thresholds name, by alias.

    Raises:
        UserError: its own classifier is unavailable.
    """
    seed_results_by_alias = {job.alias: _rows(job, job.alias, catalog, resources, config)}
    for alias in sorted(job.check.references(job.alias) - {job.alias}):
        with contextlib.suppress(UserError):  # reported with the threshold that names it
            seed_results_by_alias[alias] = _rows(job, alias, catalog, resources, config)
    return seed_results_by_alias


def write(job: Job, seed_results_by_alias: dict[str, SeedResults], config: RunConfig) -> str:
    """Write the rows of a job into the run, and return the file of its own classifier's.

    A part of a run writes those of all classifiers: `evals merge` loads no classifier.
    """
    for alias, seed_results in seed_results_by_alias.items():
        if alias == job.alias or config.partition is not None:
            rows = [member.rows.assign(seed=seed_of(member)) for member in seed_results]
            tables.write(config.directory, _name(job, alias), pd.concat(rows, ignore_index=True))
    return tables.file(_name(job, job.alias))


def _rows(
    job: Job, alias: str, catalog: Catalog, resources: Resources, config: RunConfig
) -> SeedResults:
    measure, parameters = job.measure, job.check.parameters
    table = tables.file(_name(job, alias))
    if measure.subject is not None:
        return (Measured(None, measure.tabulate(None, parameters), config.seed, table=table),)
    request = job.request if alias == job.alias else catalog.request(alias)
    return tuple(
        Measured(
            ClassifierInfo.of(classifier),
            measure.tabulate(classifier, parameters),
            config.seed,
            table=table,
        )
        for classifier in resources.classifiers(request)
    )


def _name(job: Job, alias: str) -> str:
    """Return the name of the table of a job on a classifier."""
    digest = hashlib.sha256(f"{job.id} {alias}".encode()).hexdigest()[:8]
    return f"{tables.slug(f'{job.measure.name}-{job.check.name}-{alias}')}-{digest}"
