"""The input of judging: a job, the rows of its classifiers, and the baseline's entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from vision_evals.log import Item, Metric, Plot, Validity, Verdict
from vision_evals.measures.intervals import CONFIDENCE
from vision_evals.measures.measure import Measure, Subject
from vision_evals.suite.spec import MetricSpec
from vision_evals.verdict.baseline.numeric_gap import NumericGap
from vision_evals.verdict.baseline.provenance import Side
from vision_evals.verdict.job import Job
from vision_evals.verdict.thresholds import NoiseFloor, no_floor

if TYPE_CHECKING:
    import pandas as pd

    from vision_evals.images.labels import ClassMap
    from vision_evals.models.classifier import Classifier


@dataclass(frozen=True, slots=True)
class ClassifierInfo:
    """What judging needs of a classifier, loaded or from its log."""

    classes: ClassMap
    published: Mapping[str, float] = field(default_factory=dict)
    """Published metrics by name."""
    seed: int | None = None
    """From which a recipe trained it; None without a recipe."""

    @classmethod
    def of(cls, classifier: Classifier) -> ClassifierInfo:
        """Return the info of a loaded classifier."""
        seed = None if classifier.training is None else classifier.training.seed
        return cls(classifier.classes, classifier.published, seed)


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows of one classifier on one image set, and whether they can be trusted."""

    classifier: ClassifierInfo | None
    """None for a measure without a classifier."""
    rows: pd.DataFrame
    seed: int
    """Of the run."""
    images: int = 0
    """How many were measured."""
    limited: bool = False
    """Whether only a part of the image set was measured."""
    sample_of: str | None = None
    """Class map of what the images are declared to be a random sample of."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Image id to reason."""
    validity: tuple[Validity, ...] = ()
    table: str | None = None
    """File of the rows, below the run directory."""

    @property
    def invalid_reason(self) -> str | None:
        """Why the rows cannot be trusted; None where they can."""
        reasons = [f"{v.name}: {v.evidence}" for v in self.validity if v.invalidates]
        return "; ".join(reasons) or None

    @property
    def classes(self) -> ClassMap | None:
        """Of the classifier."""
        return None if self.classifier is None else self.classifier.classes


SeedResults: TypeAlias = tuple[Measured, ...]
"""Results of one alias: one for each seed of a recipe, or one."""


@dataclass(frozen=True, slots=True)
class BaselineEntry:
    """The same check of the baseline: its numbers and rows, or why no gate compares with it."""

    side: Side
    rows: pd.DataFrame
    differs: tuple[str, ...] = ()
    """What differs in addition to the network."""
    gaps: tuple[NumericGap, ...] = ()
    """Steps in which the numeric paths differ: each gate decides how far they may."""
    refused: str | None = None
    """Why no gate may compare with it."""
    verdict: Verdict = Verdict.INVALID
    """Of a gate that is refused."""

    @property
    def item(self) -> Item:
        """Its entry in the log."""
        return self.side.item


@dataclass(frozen=True, slots=True)
class CheckInput:
    """A job with the rows that its metrics read."""

    job: Job
    measure: Measure
    measured: SeedResults
    others: Mapping[str, SeedResults] = field(default_factory=dict)
    """The same check on the other classifiers, by alias."""
    against: Mapping[str, SeedResults] = field(default_factory=dict)
    """The same on the second image set, by alias, for checks that compare."""
    baseline: BaselineEntry | None = None
    """The same check of the run that checkpoints are compared with; None without one."""
    floor: Callable[[Metric], NoiseFloor | None] = no_floor
    """This machine's noise in a metric, where it was measured."""

    def metrics(self, alias: str, confidence: float = CONFIDENCE) -> tuple[Metric, ...]:
        """Return every metric of one of the classifiers, its intervals at this confidence.

        Where a recipe has several seeds, each metric is the median over them.
        """
        measure, by_seed, seeds = self.measure, [], []
        for member, subject in self._subjects(alias, confidence):
            metrics = measure.summarise(member.rows, self.job.check.parameters, subject)
            by_seed.append([_with_spec(metric, measure.metric(metric.name)) for metric in metrics])
            seeds.append(seed_of(member))
        return medians(by_seed, seeds)

    def plots(self) -> tuple[Plot, ...]:
        """Return the plots of the report, the lines of several seeds in one plot."""
        drawn = [
            (seed_of(member), plot)
            for member, subject in self._subjects(self.job.alias, CONFIDENCE)
            for plot in self.measure.plots(member.rows, self.job.check.parameters, subject)
        ]
        titles = dict.fromkeys(plot.title for _, plot in drawn)
        return tuple(
            _join_seeds([(s, p) for s, p in drawn if p.title == title]) for title in titles
        )

    def _subjects(self, alias: str, confidence: float) -> Iterator[tuple[Measured, Subject]]:
        """Yield the rows of each seed of a classifier, and their subject."""
        results = {**self.others, self.job.alias: self.measured}
        second = self.against.get(alias) or (None,) * len(results[alias])
        table = self.job.check.table
        rivals = {a: r[0] for a, r in results.items() if self.measure.compares and a != alias}
        for member, other in zip(results[alias], second, strict=True):
            subject = Subject(
                alias,
                member.classes,
                member.seed,
                member.images,
                confidence,
                role=table.images or "",
                against=None if other is None else other.rows,
                against_role=table.against or "",
                others={
                    a: rival.rows
                    for a, rival in rivals.items()
                    if rival.invalid_reason is None and rival.classes == member.classes
                },
            )
            yield member, subject


def seed_of(member: Measured) -> int | None:
    """Return the seed that a recipe trained this classifier from."""
    return None if member.classifier is None else member.classifier.seed


def medians(by_seed: Sequence[Sequence[Metric]], seeds: Sequence[int | None]) -> tuple[Metric, ...]:
    """Return each metric's median over seeds, with its values.

    A metric that is missing for a seed has no median: the other seeds do not represent all.
    """
    if len(by_seed) == 1:
        return tuple(by_seed[0])
    return tuple(_median(values, seeds) for values in zip(*by_seed, strict=True))


def _median(metrics: Sequence[Metric], seeds: Sequence[int | None]) -> Metric:
    values = [metric.value for metric in metrics if metric.value is not None]
    nothing = {"low": None, "high": None, "confidence": None, "method": None}
    if len(values) < len(metrics):
        without = [str(s) for s, m in zip(seeds, metrics, strict=True) if m.value is None]
        reason = next(metric.reason for metric in metrics if metric.value is None)
        if values:
            seeds_without = ", ".join(without)
            reason = f"of {len(metrics)} trainings seed {seeds_without} has none: {reason}"
        lost = any(metric.lost for metric in metrics)
        update = {**nothing, "value": None, "reason": reason, "lost": lost}
        return metrics[0].model_copy(update=update)
    low, high = min(values), max(values)
    return metrics[0].model_copy(
        update={
            **nothing,
            "value": float(np.median(values)),
            "spread": tuple(values),
            "reason": f"the median of {len(values)} trainings: {low:.4g} to {high:.4g}",
        }
    )


def _join_seeds(drawn: Sequence[tuple[int | None, Plot]]) -> Plot:
    if len(drawn) == 1:
        return drawn[0][1]
    lines = [  # a reference is the same for all seeds
        line if line.reference else line.model_copy(update={"seed": seed})
        for seed, plot in drawn
        for line in plot.lines
    ]
    return drawn[0][1].model_copy(update={"lines": tuple(dict.fromkeys(lines)), "marks": ()})


def _with_spec(metric: Metric, spec: MetricSpec) -> Metric:
    """Add to a metric what its measure declares about it."""
    declared = ("about", "source", "higher_is_better", "axis", "refines", "headline")
    return metric.model_copy(update={name: getattr(spec, name) for name in declared})
