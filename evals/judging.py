"""From the rows of a job to its entry in the log: metrics, evidence, verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evals import log, verdict
from evals.errors import UserError
from evals.log import Judgement, Metric, Validity, Verdict
from evals.measures.measure import Measure, Subject
from evals.selection import Job
from evals.statistics import wilson
from evals.suite import Reference

if TYPE_CHECKING:
    import pandas as pd

    from evals.classifiers.classifier import Classifier
    from evals.schema import Table


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows of one classifier and what is known about how they came to be."""

    classifier: Classifier
    rows: pd.DataFrame
    limited: bool
    """Whether only a part of the image set was shown."""
    unreadable: Mapping[str, str]
    """Image id to reason."""
    validity: tuple[Validity, ...]
    seed: int

    def metrics(
        self, measure: Measure, parameters: Table, confidence: float = 0.95
    ) -> tuple[Metric, ...]:
        """Return every metric of the measure, its intervals at this confidence."""
        classifier = self.classifier
        subject = Subject(classifier.alias, classifier.classes, self.seed, confidence)
        return tuple(
            metric.model_copy(update={"about": measure.metric(metric.name).about})
            for metric in measure.summarise(self.rows, parameters, subject)
        )


def judge(
    job: Job, measured: Measured, measure: Measure, of: Callable[[str], Measured | str]
) -> log.Item:
    """Return the entry of a job, without its table, pictures and seconds.

    Args:
        job: what was asked.
        measured: its rows.
        measure: of the check.
        of: the same check on another classifier, or why it was not measured.

    Raises:
        UserError: not one picture could be read.
    """
    if measured.rows.empty:
        raise UserError(f"not one picture of {job.source} could be read{_named(measured)}")
    validity = (*measured.validity, finite(measured.rows))
    if any(check.outcome == "falls" for check in validity):
        sentence = verdict.summary(Verdict.INVALID, (), validity)
        return unjudged(job, Verdict.INVALID, sentence).model_copy(update={"validity": validity})
    parameters = job.check.parameters
    expectations = job.check.expectations(job.alias)
    metrics = measured.metrics(measure, parameters)
    judgements = [
        judgement
        for expectation in expectations
        for judgement in verdict.judge(
            expectation,
            metrics
            if expectation.confidence in {None, 0.95}
            else measured.metrics(measure, parameters, expectation.confidence or 0.95),
            lambda reference, wanted=expectation: _reference(  # type: ignore[misc]
                reference, wanted.metric, wanted.at, measured, measure, parameters, of
            ),
        )
    ]
    judgements += _readable(job, measured)
    outcome = verdict.worst(judgements, validity)
    return log.Item(
        **identity(job),
        verdict=outcome,
        sentence=verdict.summary(outcome, judgements, validity),
        metrics=metrics,
        references=tuple(with_interval(reference) for reference in measure.references),
        judgements=tuple(judgements),
        validity=validity,
    )


def unjudged(job: Job, outcome: Verdict, sentence: str) -> log.Item:
    """Return the entry of a job that has no rows."""
    return log.Item(**identity(job), verdict=outcome, sentence=sentence)


def identity(job: Job) -> dict[str, Any]:
    """Return the fields of an entry that say what was asked."""
    return {
        "id": job.id,
        "suite": job.suite.path,
        "check": job.check.name,
        "classifier": job.alias,
        "measure": job.check.spec.name,
        "parameters": job.check.parameters.model_dump(mode="json"),
        "images": job.check.table.images,
    }


def finite(rows: pd.DataFrame) -> Validity:
    """Hold the rows against NaN and infinity, which no metric survives."""
    floats = rows.select_dtypes("floating")
    bad = ~np.isfinite(floats.to_numpy()).all(axis=1)
    names = ", ".join(rows["image"][bad].head(3))
    return Validity(
        name="finite rows",
        outcome="falls" if bad.any() else "holds",
        evidence=f"{int(bad.sum())} of {len(rows)} rows are NaN or infinite"
        + (f", first {names}" if bad.any() else ""),
        meaning="A network whose outputs are not numbers cannot be right or wrong.",
    )


def with_interval(reference: log.Reference) -> log.Reference:
    """Return a published fraction with its Wilson interval, where its n is known."""
    if reference.n is None:
        return reference
    low, high = wilson(round(reference.value * reference.n), reference.n)
    return reference.model_copy(update={"low": low, "high": high})


def _reference(
    reference: Reference,
    metric: str,
    at: object,
    measured: Measured,
    measure: Measure,
    parameters: Table,
    of: Callable[[str], Measured | str],
) -> verdict.Threshold:
    if reference.of == "published":
        if measured.limited:
            return "the run is limited, and never held against a full one"
        published = measured.classifier.published
        return published.get(metric, f"nothing published for {measured.classifier.alias}")
    other = of(reference.of)
    if isinstance(other, str):
        return other
    value = verdict.find(metric, at, other.metrics(measure, parameters))
    if value.value is None:
        return f"{reference.of} has none: {value.reason}"
    return value.value


def _readable(job: Job, measured: Measured) -> Sequence[Judgement]:
    if not measured.unreadable or job.check.table.unreadable == "skip":
        return ()
    count = len(measured.unreadable)
    pictures = "picture" if count == 1 else "pictures"
    return (
        Judgement(
            metric="unreadable",
            wanted="every picture readable",
            threshold=0,
            value=count,
            verdict=Verdict.FAILED,
            sentence=f"{count} {pictures} unreadable{_named(measured)} "
            '(unreadable = "skip" in the check leaves them out)',
        ),
    )


def _named(measured: Measured) -> str:
    few = list(measured.unreadable.items())[:3]
    more = len(measured.unreadable) - len(few)
    said = "; ".join(f"{image}: {reason}" for image, reason in few)
    return (f": {said}" if said else "") + (f"; and {more} more" if more else "")
