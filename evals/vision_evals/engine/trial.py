"""Jobs without pytest: the same passes and the same judgement, with no pictures and no log."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vision_evals import log
from vision_evals.core.errors import NotApplicableError, UserError
from vision_evals.core.progress import Progress
from vision_evals.engine import plan, run_pass
from vision_evals.engine.jobs import Catalog, Job
from vision_evals.engine.plan import Pass, RunConfig, task_of
from vision_evals.engine.resources import Resources
from vision_evals.log import Verdict
from vision_evals.measures.measure import Measure
from vision_evals.suite.options import Source
from vision_evals.validity.examine import Examiner
from vision_evals.verdict.check_input import Family, Question
from vision_evals.verdict.judge import judge, unjudged


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
    refused: dict[str, str] = {}
    for job in jobs:
        try:
            plan.prepare(job, resources)
        except NotApplicableError as error:
            refused[job.id] = str(error)
    with tempfile.TemporaryDirectory(dir=config.directory, prefix=".trial-") as folder:
        (Path(folder) / "tables").mkdir()
        own = replace(config, directory=Path(folder), examiner=Examiner(config.examiner.checks))
        able = [job for job in jobs if job.id not in refused]
        passes = _passes(able, catalog, resources, own, progress)
        return {
            job.id: _refused(job, refused[job.id]) if job.id in refused else _outcome(job, passes)
            for job in jobs
        }


def _refused(job: Job, reason: str, role: str | None = None) -> Outcome:
    nothing = unjudged(job, Verdict.NOT_APPLICABLE, reason, role or job.check.table.images)
    return Outcome(nothing, nothing)


def _passes(
    jobs: Sequence[Job],
    catalog: Catalog,
    resources: Resources,
    config: RunConfig,
    progress: Progress,
) -> dict[Source, Pass]:
    """Walk every image set once, with all that the jobs ask of it."""
    named = [
        (source, role)
        for job in jobs
        for source, role in (
            (job.source, job.check.table.images),
            (job.against, job.check.table.against),
        )
    ]
    passes = {}
    for source, role in named:
        if source is None or source in passes:
            continue
        together = [job for job in jobs if source in {job.source, job.against}]
        looking = plan.groups(together, source, catalog, resources)
        this = Pass(source, role or "", resources.image_set(source), looking)
        run_pass.run(this, config, progress)
        passes[source] = this
    return passes


def _outcome(job: Job, passes: Mapping[Source, Pass]) -> Outcome:
    measure, source = job.check.spec, job.source
    assert isinstance(measure, Measure)
    assert source is not None, "left out by the caller"
    role = passes[source].role
    try:
        others = _everyone(passes[source], job, source)
        against = {} if job.against is None else _everyone(passes[job.against], job, job.against)
        measured = others.pop(job.alias)
    except NotApplicableError as error:
        return _refused(job, str(error), role)
    check_input = Question(job, measure, measured, others, against)
    trusting = replace(
        check_input,
        measured=_trusted(measured),
        others={alias: _trusted(seed_results) for alias, seed_results in others.items()},
        against={alias: _trusted(seed_results) for alias, seed_results in against.items()},
    )
    return Outcome(_judged(check_input, role), _judged(trusting, role))


def _everyone(this: Pass, job: Job, source: Source) -> dict[str, Family]:
    """Return what a job's question gave on a pass, by alias."""
    found: dict[str, Family] = {}
    for name, group in this.groups.items():
        table, alias = task_of(job, name, source).table, group.classifier.alias
        if table in this.measured:
            found[alias] = (*found.get(alias, ()), this.measured[table])
        elif alias == job.alias and table in this.result.not_applicable:
            raise NotApplicableError(this.result.not_applicable[table])
    if job.alias not in found:
        raise NotApplicableError(f"{job.alias} is not asked this about {source}")
    return found


def _trusted(seed_results: Family) -> Family:
    return tuple(replace(member, validity=()) for member in seed_results)


def _judged(check_input: Question, role: str) -> log.Item:
    """Return the entry; where there are no numbers to judge, an INVALID one that says why."""
    try:
        return judge(check_input, role)
    except UserError as error:
        return unjudged(check_input.job, Verdict.INVALID, str(error), role)
    except Exception as error:  # noqa: BLE001 - metrics of rows that validity checks refuse
        return unjudged(check_input.job, Verdict.INVALID, repr(error), role)
