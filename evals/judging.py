"""From the rows of a job to its entry in the log: metrics, evidence, verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from evals import log, verdict
from evals.compare.beside import Beside
from evals.compare.pairs import CONFIDENCE as GATE
from evals.compare.pairs import pair
from evals.errors import UserError
from evals.images.declared import declaration
from evals.images.sources import BUILT_IN
from evals.log import Judgement, Metric, Plot, Validity, Verdict
from evals.measures.measure import Measure, Subject
from evals.paired import FEWEST
from evals.selection import Job
from evals.spec import MetricSpec
from evals.statistics import wilson
from evals.suite import Expectation, Reference, paired
from evals.verdict import Absent, Pairs

if TYPE_CHECKING:
    import pandas as pd

    from evals.classifiers.classifier import Classifier
    from evals.images.labels import ClassMap

CONFIDENCE = 0.95
"""Of intervals that nobody asks otherwise for."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What judging needs to know of a classifier: of one that is loaded, or of its log."""

    classes: ClassMap
    published: Mapping[str, float] = field(default_factory=dict)
    """Published metrics by name."""
    seed: int | None = None
    """That a recipe trained it from."""

    @classmethod
    def of(cls, classifier: Classifier) -> Facts:
        """Return those of a loaded one."""
        seed = None if classifier.training is None else classifier.training.seed
        return cls(classifier.classes, classifier.published, seed)


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows of one classifier on one image set, and whether they can be trusted."""

    classifier: Facts | None
    """None for a measure that asks none."""
    rows: pd.DataFrame
    seed: int
    """Of the run."""
    images: int = 0
    """How many were looked at."""
    limited: bool = False
    """Whether only a part of the image set was shown."""
    sample_of: str | None = None
    """Class map of what the images are declared to be a random sample of."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Image id to reason."""
    validity: tuple[Validity, ...] = ()
    table: str | None = None
    """Where the rows are, below the run directory."""

    @property
    def fallen(self) -> str | None:
        """Why the rows cannot be trusted, if they cannot."""
        fallen = [f"{v.name}: {v.evidence}" for v in self.validity if v.invalidates]
        return "; ".join(fallen) or None

    @property
    def classes(self) -> ClassMap | None:
        """Of the classifier."""
        return None if self.classifier is None else self.classifier.classes


Family: TypeAlias = tuple[Measured, ...]
"""What one alias gave: one of each seed of a recipe, or one."""


@dataclass(frozen=True, slots=True)
class Question:
    """A job with the rows that its metrics read."""

    job: Job
    measure: Measure
    measured: Family
    others: Mapping[str, Family] = field(default_factory=dict)
    """The same question to the other classifiers, by alias."""
    against: Mapping[str, Family] = field(default_factory=dict)
    """The same of the second image set, by alias, for checks that compare."""
    baseline: Beside | None = None
    """The same check of the run that checkpoints are held against; None without such a run."""
    floor: Callable[[Metric], verdict.Floor | None] = verdict.no_floor
    """By how much this machine moves a metric of this question, where that was measured."""

    def metrics(self, alias: str, confidence: float = CONFIDENCE) -> tuple[Metric, ...]:
        """Return every metric of one of the classifiers, its intervals at this confidence.

        Where a recipe has several seeds, each metric is the median over them.
        """
        everyone = {**self.others, self.job.alias: self.measured}
        second = self.against.get(alias) or (None,) * len(everyone[alias])
        found = []
        for member, other in zip(everyone[alias], second, strict=True):
            subject = Subject(
                alias,
                member.classes,
                member.seed,
                member.images,
                confidence,
                against=None if other is None else other.rows,
                others={
                    a: family[0].rows
                    for a, family in everyone.items()
                    if self.measure.compares
                    and a != alias
                    and family[0].fallen is None
                    and family[0].classes == member.classes
                },
            )
            metrics = self.measure.summarise(member.rows, self.job.check.parameters, subject)
            found.append(
                [_promised(metric, self.measure.metric(metric.name)) for metric in metrics]
            )
        return medians(found, [seed_of(member) for member in everyone[alias]])

    def plots(self) -> tuple[Plot, ...]:
        """Return what the report draws, the lines of several seeds in one frame."""
        drawn = [
            (seed_of(member), plot)
            for member in self.measured
            for plot in self.measure.plots(member.rows, self.job.check.parameters)
        ]
        titles = dict.fromkeys(plot.title for _, plot in drawn)
        return tuple(_joined([(s, p) for s, p in drawn if p.title == title]) for title in titles)


def seed_of(member: Measured) -> int | None:
    """Return the seed that a recipe trained this classifier from."""
    return None if member.classifier is None else member.classifier.seed


def medians(found: Sequence[Sequence[Metric]], seeds: Sequence[int | None]) -> tuple[Metric, ...]:
    """Return each metric's median over seeds, with the values it was taken from.

    A metric that some seed does not have has no median: leaving that seed out would show the
    others as all there is.
    """
    if len(found) == 1:
        return tuple(found[0])
    return tuple(_median(same, seeds) for same in zip(*found, strict=True))


def _median(same: Sequence[Metric], seeds: Sequence[int | None]) -> Metric:
    values = [metric.value for metric in same if metric.value is not None]
    nothing = {"low": None, "high": None, "confidence": None, "method": None}
    if len(values) < len(same):
        without = [str(s) for s, m in zip(seeds, same, strict=True) if m.value is None]
        first = next(metric.reason for metric in same if metric.value is None)
        every = len(without) == len(same)
        some = f"of {len(same)} trainings seed {', '.join(without)} has none: {first}"
        reason = first if every else some
        return same[0].model_copy(
            update={**nothing, "value": None, "reason": reason, "lost": any(m.lost for m in same)}
        )
    low, high = min(values), max(values)
    return same[0].model_copy(
        update={
            **nothing,
            "value": float(np.median(values)),
            "spread": tuple(values),
            "reason": f"the median of {len(values)} trainings: {low:.4g} to {high:.4g}",
        }
    )


def _joined(drawn: Sequence[tuple[int | None, Plot]]) -> Plot:
    if len(drawn) == 1:
        return drawn[0][1]
    lines = tuple(
        line.model_copy(update={"name": f"seed {seed} {line.name}".strip()})
        for seed, plot in drawn
        for line in plot.lines
    )
    return drawn[0][1].model_copy(update={"lines": lines, "marks": ()})


def _promised(metric: Metric, spec: MetricSpec) -> Metric:
    """Give a metric what its measure says of it."""
    return metric.model_copy(
        update={"about": spec.about, "higher_is_better": spec.higher_is_better}
    )


def judge(question: Question, role: str | None, against: str | None = None) -> log.Item:
    """Return the entry of a job, without its table, pictures and seconds.

    Args:
        question: what was asked, and the rows.
        role: name of the image set in the log; None for a measure that looks at none.
        against: name of the second image set in the log, for checks that compare two.

    Raises:
        UserError: not one picture could be read.
    """
    job, measured = question.job, question.measured
    tables = [*measured, *question.against.get(job.alias, ())]
    validity = gathered(tables)
    if any(check.invalidates for check in validity):
        sentence = verdict.summary(Verdict.INVALID, (), validity)
        return unjudged(job, Verdict.INVALID, sentence, role, validity, against)
    if any(table.rows.empty for table in tables):
        raise UserError(f"not one picture of {job.source} could be read{_named(measured[0])}")
    metrics = question.metrics(job.alias)
    judgements = [
        judgement
        for expectation in job.check.expectations(job.alias)
        for judgement in _hold(expectation, metrics, question)
    ]
    judgements += _readable(job, measured[0])
    outcome = verdict.worst(judgements, validity)
    classes = measured[0].classes
    return log.Item(
        **identity(job, role, against),
        verdict=outcome,
        sentence=verdict.summary(outcome, judgements, validity),
        metrics=metrics,
        references=tuple(
            with_interval(reference)
            for reference in question.measure.references
            if reference.classes in {None, classes and classes.name}
        ),
        judgements=tuple(judgements),
        validity=validity,
        plots=question.plots(),
    )


def gathered(tables: Sequence[Measured]) -> tuple[Validity, ...]:
    """Return the evidence of all tables, what is equal said once, what differs by its seed."""
    found: dict[Validity, list[int | None]] = {}
    for table in tables:
        for check in table.validity:
            found.setdefault(check, []).append(seed_of(table))
    return tuple(
        check
        if len(tables) == 1 or len(seeds) == len(tables) or None in seeds
        else check.model_copy(update={"evidence": f"{_seeds(seeds)}: {check.evidence}"})
        for check, seeds in found.items()
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
    known = identity(job, role, against)
    return log.Item(**known, verdict=outcome, sentence=sentence, validity=validity)


def identity(job: Job, role: str | None, against: str | None = None) -> dict[str, Any]:
    """Return the fields of an entry that say what was asked."""
    return {
        "id": job.id,
        "suite": job.suite.path,
        "line": job.check.line,
        "check": job.check.name,
        "classifier": job.alias,
        "measure": job.check.spec.name,
        "parameters": job.check.parameters.model_dump(mode="json"),
        "images": role or job.check.table.images,
        "against": against or job.check.table.against,
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

    return verdict.judge(expectation, metrics, look_up, question.floor)


def _reference(
    reference: Reference, expectation: Expectation, question: Question
) -> verdict.Threshold:
    if reference.of == "published":
        return _published(question.job, question.measured[0], expectation.metric)
    if reference.of == "baseline":
        return _baseline(reference, expectation, question)
    if reference.of not in question.others:
        return Absent(f"{reference.of} was not measured here")
    for other in question.others[reference.of]:
        if other.fallen is not None:
            return Absent(f"{reference.of} is invalid: {other.fallen}", Verdict.INVALID)
        if other.rows.empty:
            return Absent(f"{reference.of} saw no picture")
    metric = verdict.find(expectation.metric, expectation.at, question.metrics(reference.of))
    if metric.value is None:
        return Absent(f"{reference.of} has none: {metric.reason}")
    return _pairs(reference, expectation, question, metric, question.others[reference.of][0].rows)


def _baseline(
    reference: Reference, expectation: Expectation, question: Question
) -> verdict.Threshold:
    """Return the number of the run that checkpoints are held against, or why it is none."""
    beside = question.baseline
    if beside is None:
        return Absent(
            "there is no baseline; name one with --evals-baseline RUN, or accept one with "
            "`evals accept RUN` first"
        )
    if beside.refused is not None:
        return Absent(beside.refused, beside.verdict)
    try:
        metric = verdict.find(expectation.metric, expectation.at, beside.item.metrics)
    except LookupError:
        return Absent("the baseline's run knows no such metric; accept a new one", Verdict.INVALID)
    if metric.value is None:
        return Absent(f"the baseline has none: {metric.reason}", Verdict.INVALID)
    return _pairs(reference, expectation, question, metric, beside.rows)


def _pairs(
    reference: Reference,
    expectation: Expectation,
    question: Question,
    metric: Metric,
    rows: pd.DataFrame,
) -> verdict.Threshold:
    """Return another network's metric, with the test on pairs where that is what decides."""
    assert metric.value is not None
    measure, several = question.measure, len(question.measured) > 1 or metric.spread
    if several and expectation.confidence is not None:
        return Absent("of a recipe's seeds the medians are compared, which have no interval")
    if not paired(measure, expectation, reference) or several:
        return metric.value
    n = len(question.measured[0].rows)
    if n < FEWEST and measure.metric(metric.name).interval != "wilson":
        return Absent(f"{n} images say too little of a difference of means")
    suite, confidence = question.job.suite, expectation.confidence or GATE
    if suite.familywise:  # Bonferroni: the file fixes how many share the error, not the selection
        confidence = 1 - (1 - confidence) / suite.gates
    tables = rows, question.measured[0].rows
    parameters, at = question.job.check.parameters, (metric.name, metric.at)
    try:
        found = pair(measure, tables, parameters, at, confidence, question.measured[0].seed)
    except UserError as error:
        return Absent(str(error), Verdict.INVALID)  # a gate that cannot be trusted is not skipped
    return Pairs(metric.value, found)


def _published(job: Job, measured: Measured, metric: str) -> verdict.Threshold:
    """Return what is published, where the images are a sample of what it was measured on.

    Pictures that somebody picked have an accuracy of their own, which says nothing of another.
    """
    if measured.limited:
        return Absent("the run is limited, and never held against a full one")
    classifier = measured.classifier
    if classifier is None or metric not in classifier.published:
        return Absent(f"nothing is published for {job.alias} with these weights")
    wanted = classifier.classes.name
    if job.source is None or measured.sample_of == wanted:
        return classifier.published[metric]
    place = job.source.place
    path = None if place in BUILT_IN else declaration(Path(place))
    repair = f': write sample_of = "{wanted}" in {path} if they are' if path else ""
    if measured.sample_of is None:
        return Absent(f"the images are not declared to be a sample of {wanted}{repair}")
    declared = f"declared to be a sample of {measured.sample_of}, not of {wanted}"
    return Absent(f"the images are {declared}{repair}")


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
