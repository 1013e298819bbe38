"""Jobs without pytest: the same passes and the same judgement, with no pictures and no log."""

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
class Outcome:
    """What a job came to, twice."""

    item: log.Item
    """As a run would log it: INVALID where a validity check fell."""
    behaviour: log.Item
    """Judged as if every validity check held, so that it has its metrics and judgements."""


def trial(
    jobs: Sequence[Job],
    catalog: Catalog,
    resources: Resources,
    config: RunConfig,
    progress: Progress,
) -> dict[str, Outcome]:
    """Return what each job came to, by its id. Nothing is kept and nothing is read back.

    Args:
        jobs: about images that are there, and classifiers that are not trained here.
        catalog: for the classifiers that thresholds name.
        resources: classifiers and image sets; what they hold is what is judged.
        config: how to compute; rows lie below its directory while this runs. Its examiner's
            checks are asked anew.
        progress: shown each pass.

    Raises:
        UserError: a classifier or an image set is not to be had.
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
        own = replace(config, directory=Path(folder), examiner=Examiner(config.examiner.checks))
        able = [job for job in jobs if job.id not in refused]
        passes = _passes(able, catalog, resources, own, progress)
        return {
            job.id: _refused(job, refused[job.id]) if job.id in refused else _outcome(job, passes)
            for job in jobs
        }


def _refused(job: Job, error: Exception, role: str | None = None) -> Outcome:
    nothing = failed(job, error, role)
    return Outcome(nothing, nothing)


def _passes(
    jobs: Sequence[Job],
    catalog: Catalog,
    resources: Resources,
    config: RunConfig,
    progress: Progress,
) -> dict[Source, Pass]:
    """Walk every image set once, with all that the jobs ask of it."""
    passes: dict[Source, Pass] = {}
    for source, role in (named for job in jobs for named in job.roles):
        if source not in passes:
            together = [job for job in jobs if source in job.sources]
            groups = plan.groups(together, source, catalog, resources)
            passes[source] = Pass(source, role, resources.image_set(source), groups, config)
            passes[source].run(progress)
    return passes


def _outcome(job: Job, passes: Mapping[Source, Pass]) -> Outcome:
    own = [passes[source] for source in job.sources]
    role = own[0].role
    try:
        seed_results_by_alias = [one.seed_results_by_alias(job) for one in own]
    except NotApplicableError as error:
        return _refused(job, error, role)
    results = Results.of(job, seed_results_by_alias, map(image_set_of, own))
    trusting = Results.of(job, [*map(_trusted, seed_results_by_alias)], results.images)
    return Outcome(_judged(results, role), _judged(trusting, role))


def _trusted(seed_results_by_alias: Mapping[str, SeedResults]) -> dict[str, SeedResults]:
    return {
        alias: tuple(replace(member, validity=()) for member in seed_results)
        for alias, seed_results in seed_results_by_alias.items()
    }


def _judged(results: Results, role: str) -> log.Item:
    """Return the entry; where there are no numbers to judge, an INVALID one that says why."""
    try:
        return item_of(results, Standards())
    except Exception as error:  # noqa: BLE001 - metrics of rows that validity checks refuse
        return failed(results.job, error, role)
