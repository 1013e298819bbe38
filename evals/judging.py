"""From the rows of a job to its entry in the log: metrics, evidence, verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evals import log, verdict
from evals.errors import UserError
from evals.log import Judgement, Metric, Validity, Verdict
from evals.measures.measure import Measure, Subject
from evals.selection import Job
from evals.spec import MetricSpec
from evals.statistics import wilson
from evals.suite import Expectation, Reference

if TYPE_CHECKING:
    import pandas as pd

    from evals.classifiers.classifier import Classifier

CONFIDENCE = 0.95
"""Of intervals that nobody asks otherwise for."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows of one classifier on one image set, and whether they can be trusted."""

    classifier: Classifier
    rows: pd.DataFrame
    limited: bool
    """Whether only a part of the image set was shown."""
    unreadable: Mapping[str, str]
    """Image id to reason."""
    validity: tuple[Validity, ...]
    seed: int

    @property
    def fallen(self) -> str | None:
        """Why the rows cannot be trusted, if they cannot."""
        fallen = [f"{v.name}: {v.evidence}" for v in self.validity if v.outcome == "falls"]
        return "; ".join(fallen) or None


@dataclass(frozen=True, slots=True)
class Question:
    """A job with the rows that its metrics read."""

    job: Job
    measure: Measure
    measured: Measured
    others: Mapping[str, Measured]
    """The same question to the other classifiers, by alias."""
    against: Mapping[str, Measured]
    """The same of the second image set, by alias, for checks that compare."""

    def metrics(self, alias: str, confidence: float = CONFIDENCE) -> tuple[Metric, ...]:
        """Return every metric of one of the classifiers, its intervals at this confidence."""
        everyone = {**self.others, self.job.alias: self.measured}
        measured, against = everyone[alias], self.against.get(alias)
        classes = measured.classifier.classes
        subject = Subject(
            alias,
            classes,
            measured.seed,
            confidence,
            against=None if against is None else against.rows,
            others={
                a: m.rows
                for a, m in everyone.items()
                if a != alias and m.fallen is None and m.classifier.classes == classes
            },
        )
        found = self.measure.summarise(measured.rows, self.job.check.parameters, subject)
        return tuple(_promised(metric, self.measure.metric(metric.name)) for metric in found)


def _promised(metric: Metric, spec: MetricSpec) -> Metric:
    """Give a metric what its measure says of it."""
    return metric.model_copy(
        update={"about": spec.about, "higher_is_better": spec.higher_is_better}
    )


def judge(question: Question, role: str) -> log.Item:
    """Return the entry of a job, without its table, pictures and seconds.

    Args:
        question: what was asked, and the rows.
        role: name of the image set in the log.

    Raises:
        UserError: not one picture could be read.
    """
    job, measured = question.job, question.measured
    second = question.against.get(job.alias)
    tables = [measured] if second is None else [measured, second]
    validity = tuple(check for table in tables for check in table.validity)
    if any(table.fallen for table in tables):
        sentence = verdict.summary(Verdict.INVALID, (), validity)
        return unjudged(job, Verdict.INVALID, sentence, role, validity)
    if any(table.rows.empty for table in tables):
        raise UserError(f"not one picture of {job.source} could be read{_named(measured)}")
    metrics = question.metrics(job.alias)
    judgements = [
        judgement
        for expectation in job.check.expectations(job.alias)
        for judgement in _hold(expectation, metrics, question)
    ]
    judgements += _readable(job, measured)
    outcome = verdict.worst(judgements, validity)
    return log.Item(
        **identity(job, role),
        verdict=outcome,
        sentence=verdict.summary(outcome, judgements, validity),
        metrics=metrics,
        references=tuple(
            with_interval(reference)
            for reference in question.measure.references
            if reference.classes in {None, measured.classifier.classes.name}
        ),
        judgements=tuple(judgements),
        validity=validity,
    )


def unjudged(
    job: Job,
    outcome: Verdict,
    sentence: str,
    role: str | None = None,
    validity: tuple[Validity, ...] = (),
) -> log.Item:
    """Return the entry of a job that has no numbers."""
    return log.Item(**identity(job, role), verdict=outcome, sentence=sentence, validity=validity)


def identity(job: Job, role: str | None) -> dict[str, Any]:
    """Return the fields of an entry that say what was asked."""
    return {
        "id": job.id,
        "suite": job.suite.path,
        "check": job.check.name,
        "classifier": job.alias,
        "measure": job.check.spec.name,
        "parameters": job.check.parameters.model_dump(mode="json"),
        "images": role or job.check.table.images,
    }


def finite(rows: pd.DataFrame) -> Validity:
    """Hold the rows against NaN and infinity, which no metric survives."""
    floats = rows.select_dtypes("floating")
    bad = ~np.isfinite(floats.to_numpy(dtype=np.float64)).all(axis=1)
    names = ", ".join(dict.fromkeys(rows.iloc[bad.nonzero()[0][:3], 0].astype(str)))
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


def _hold(
    expectation: Expectation, metrics: tuple[Metric, ...], question: Question
) -> tuple[Judgement, ...]:
    if expectation.confidence not in {None, CONFIDENCE}:
        metrics = question.metrics(question.job.alias, expectation.confidence or CONFIDENCE)

    def look_up(reference: Reference) -> verdict.Threshold:
        return _reference(reference, expectation, question)

    return verdict.judge(expectation, metrics, look_up)


def _reference(
    reference: Reference, expectation: Expectation, question: Question
) -> verdict.Threshold:
    measured = question.measured
    if reference.of == "published":
        if measured.limited:
            return "the run is limited, and never held against a full one"
        published = measured.classifier.published
        missing = f"nothing is published for {measured.classifier.alias} with these weights"
        return published.get(expectation.metric, missing)
    other = question.others.get(reference.of)
    if other is None:
        return f"{reference.of} was not measured on these images"
    if other.fallen is not None:
        return f"{reference.of} is invalid: {other.fallen}"
    if other.rows.empty:
        return f"{reference.of} saw no picture"
    metric = verdict.find(expectation.metric, expectation.at, question.metrics(reference.of))
    return metric.value if metric.value is not None else f"{reference.of} has none: {metric.reason}"


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
