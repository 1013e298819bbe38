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
from vision_evals.engine.plan import Manner, Pass, task_of
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
    manner: Manner,
    progress: Progress,
) -> dict[str, Outcome]:
    """Return what each job came to, by its id. Nothing is kept and nothing is read back.

    Args:
        jobs: about images that are there, and classifiers that are not trained here.
        catalog: for the classifiers that thresholds name.
        resources: classifiers and image sets; what they hold is what is judged.
        manner: how to compute; rows lie below its directory while this runs. Its examiner's
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
    with tempfile.TemporaryDirectory(dir=manner.directory, prefix=".trial-") as folder:
        (Path(folder) / "tables").mkdir()
        own = replace(manner, directory=Path(folder), examiner=Examiner(manner.examiner.checks))
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
    manner: Manner,
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
        looking = plan.stations(together, source, catalog, resources)
        this = Pass(source, role or "", resources.image_set(source), looking)
        run_pass.run(this, manner, progress)
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
    question = Question(job, measure, measured, others, against)
    trusting = replace(
        question,
        measured=_trusted(measured),
        others={alias: _trusted(family) for alias, family in others.items()},
        against={alias: _trusted(family) for alias, family in against.items()},
    )
    return Outcome(_judged(question, role), _judged(trusting, role))


def _everyone(this: Pass, job: Job, source: Source) -> dict[str, Family]:
    """Return what a job's question gave on a pass, by alias."""
    found: dict[str, Family] = {}
    for name, station in this.stations.items():
        table, alias = task_of(job, name, source).table, station.classifier.alias
        if table in this.measured:
            found[alias] = (*found.get(alias, ()), this.measured[table])
        elif alias == job.alias and table in this.walked.not_applicable:
            raise NotApplicableError(this.walked.not_applicable[table])
    if job.alias not in found:
        raise NotApplicableError(f"{job.alias} is not asked this about {source}")
    return found


def _trusted(family: Family) -> Family:
    return tuple(replace(member, validity=()) for member in family)


def _judged(question: Question, role: str) -> log.Item:
    """Return the entry; where there are no numbers to judge, an INVALID one that says why."""
    try:
        return judge(question, role)
    except UserError as error:
        return unjudged(question.job, Verdict.INVALID, str(error), role)
    except Exception as error:  # noqa: BLE001 - metrics of rows that validity checks refuse
        return unjudged(question.job, Verdict.INVALID, repr(error), role)
