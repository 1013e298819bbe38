"""From the rows of a job to its entry in the log: metrics, evidence, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.log import Judgement, Metric, Validity, Verdict
from vision_evals.measures.intervals import CONFIDENCE, wilson
from vision_evals.suite.expectation import Expectation, Reference
from vision_evals.verdict import verdict
from vision_evals.verdict.baseline.numeric_gap import remark
from vision_evals.verdict.check_input import CheckInput, Measured, seed_of
from vision_evals.verdict.job import Job
from vision_evals.verdict.resolve_threshold import resolve_threshold
from vision_evals.verdict.thresholds import Threshold

if TYPE_CHECKING:
    import pandas as pd


def judge(check_input: CheckInput, role: str | None, against: str | None = None) -> log.Item:
    """Return the entry of a job, without its table, pictures and seconds.

    Args:
        check_input: the job and its rows.
        role: name of the image set in the log; None for a measure without images.
        against: name of the second image set in the log, for checks that compare two.

    Raises:
        UserError: no picture could be read.
    """
    job, measured = check_input.job, check_input.measured
    tables = [*measured, *check_input.against.get(job.alias, ())]
    validity = gather_validity(tables)
    if any(check.invalidates for check in validity):
        sentence = verdict.summary(Verdict.INVALID, (), validity)
        return unjudged(job, Verdict.INVALID, sentence, role, validity, against)
    if any(table.rows.empty for table in tables):
        raise UserError(f"no picture of {job.source} could be read{_list_unreadable(measured[0])}")
    metrics = check_input.metrics(job.alias)
    judgements = [
        judgement
        for expectation in job.check.expectations(job.alias)
        for judgement in _judge_expectation(expectation, metrics, check_input)
    ]
    judgements += _judge_unreadable(job, measured[0])
    outcome = verdict.worst(judgements, validity)
    classes = measured[0].classes
    return log.Item(
        **identity(job, role, against),
        verdict=outcome,
        sentence=verdict.summary(outcome, judgements, validity),
        metrics=metrics,
        references=tuple(
            with_interval(reference)
            for reference in check_input.measure.references
            if reference.classes in {None, classes and classes.name}
        ),
        judgements=tuple(judgements),
        validity=validity,
        plots=check_input.plots(),
    )


def gather_validity(tables: Sequence[Measured]) -> tuple[Validity, ...]:
    """Return the evidence of all tables: equal results once, others with the seeds they are of."""
    seeds_by_check: dict[Validity, list[int | None]] = {}
    for table in tables:
        for check in table.validity:
            seeds_by_check.setdefault(check, []).append(seed_of(table))
    return tuple(
        check
        if len(tables) == 1 or len(seeds) == len(tables) or None in seeds
        else check.model_copy(update={"evidence": f"{_seeds(seeds)}: {check.evidence}"})
        for check, seeds in seeds_by_check.items()
    )


def _seeds(seeds: Sequence[int | None]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def unjudged(
    job: Job,
    outcome: Verdict,
    sentence: str,
    role: str | None = None,
    validity: tuple[Validity, ...] = (),
    against: str | None = None,
) -> log.Item:
    """Return the entry of a job that has no numbers."""
    fields = identity(job, role, against)
    return log.Item(**fields, verdict=outcome, sentence=sentence, validity=validity)


def identity(job: Job, role: str | None, against: str | None = None) -> dict[str, Any]:
    """Return the fields of an entry that identify its check and inputs."""
    return {
        "id": job.id,
        "suite": job.suite.path,
        "line": job.check.line,
        "check": job.check.name,
        "classifier": job.alias,
        "measure": job.check.spec.name,
        "parameters": job.check.parameters.model_dump(mode="json"),
        "class_columns": job.check.spec.class_columns,
        "keys": job.check.spec.row_keys,
        "worst_first": job.check.spec.worst_first,
        "images": role or job.check.table.images,
        "against": against or job.check.table.against,
    }


def check_finite(rows: pd.DataFrame) -> Validity:
    """Check rows for NaN and infinity, which make every metric meaningless."""
    floats = rows.select_dtypes("floating")
    bad = ~np.isfinite(floats.to_numpy(dtype=np.float64)).all(axis=1)
    names = ", ".join(dict.fromkeys(rows.iloc[bad.nonzero()[0][:3], 0].astype(str)))
    return Validity(
        name="finite rows",
        outcome="failed" if bad.any() else "passed",
        evidence=f"{int(bad.sum())} of {len(rows)} rows are NaN or infinite"
        + (f", first {names}" if bad.any() else ""),
        meaning="An output that is not a number is neither right nor wrong.",
    )


def with_interval(reference: log.Reference) -> log.Reference:
    """Return a published fraction with its Wilson interval, where its n is known."""
    if reference.n is None:
        return reference
    low, high = wilson(round(reference.value * reference.n), reference.n)
    return reference.model_copy(update={"low": low, "high": high})


def _judge_expectation(
    expectation: Expectation, metrics: tuple[Metric, ...], check_input: CheckInput
) -> tuple[Judgement, ...]:
    if expectation.confidence not in {None, CONFIDENCE}:
        metrics = check_input.metrics(check_input.job.alias, expectation.confidence or CONFIDENCE)

    def look_up(reference: Reference) -> Threshold:
        return resolve_threshold(reference, expectation, check_input)

    judgements = verdict.judge(expectation, metrics, look_up, check_input.floor)
    return tuple(_with_path_remark(judgement, check_input) for judgement in judgements)


def _with_path_remark(judgement: Judgement, check_input: CheckInput) -> Judgement:
    """Add that the baseline's number was computed by another numeric path, where it was."""
    gaps = check_input.baseline.gaps if check_input.baseline is not None else ()
    if not gaps or judgement.of != "baseline" or judgement.threshold is None:
        return judgement
    text = f"; {remark(gaps)}"
    update = {"sentence": judgement.sentence + text, "further": judgement.further + text}
    return judgement.model_copy(update=update)


def _judge_unreadable(job: Job, measured: Measured) -> Sequence[Judgement]:
    if not measured.unreadable or job.check.table.unreadable == "skip":
        return ()
    count = len(measured.unreadable)
    pictures = "picture" if count == 1 else "pictures"
    return (
        Judgement(
            metric="unreadable",
            rule="every picture readable",
            threshold=0,
            value=count,
            verdict=Verdict.FAILED,
            sentence=f"{count} {pictures} unreadable{_list_unreadable(measured)} "
            '(unreadable = "skip" in the check leaves them out)',
        ),
    )


def _list_unreadable(measured: Measured) -> str:
    listed = list(measured.unreadable.items())[:3]
    more = len(measured.unreadable) - len(listed)
    text = "; ".join(f"{image}: {reason}" for image, reason in listed)
    return (f": {text}" if text else "") + (f"; and {more} more" if more else "")
