"""From a job and what was measured for it, to its entry in the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from vision_evals import log
from vision_evals.core.errors import NotApplicableError, UnavailableError, UserError
from vision_evals.core.partition import Partition
from vision_evals.engine.merge.part import set_aside
from vision_evals.log import Verdict
from vision_evals.verdict.baseline.baseline import BaselineRun, CurrentRun
from vision_evals.verdict.check_input import CheckInput, SeedResults
from vision_evals.verdict.job import Job
from vision_evals.verdict.judge import judge, unjudged
from vision_evals.verdict.noise_floor import Noise, noise_key
from vision_evals.verdict.thresholds import NoiseFloor, no_floor


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured for a job."""

    job: Job
    seed_results_by_alias: Mapping[str, SeedResults]
    """Rows of everybody who was asked, by alias: its own classifier is among them."""
    against: Mapping[str, SeedResults] = field(default_factory=dict)
    """The same of the second image set, for checks that compare two."""
    images: tuple[log.ImageSet, ...] = ()
    """The image set, and the second one; none for a measure that looks at none."""

    @classmethod
    def of(
        cls,
        job: Job,
        seed_results_by_alias: Sequence[Mapping[str, SeedResults]],
        images: Iterable[log.ImageSet],
    ) -> Results:
        """Return those of a job about images: of one set, or of the two that it compares."""
        return cls(
            job,
            seed_results_by_alias[0],
            seed_results_by_alias[1] if len(seed_results_by_alias) > 1 else {},
            tuple(images),
        )

    @property
    def measured(self) -> SeedResults:
        """Rows of its own classifier."""
        return self.seed_results_by_alias[self.job.alias]


@dataclass(frozen=True, slots=True)
class Standards:
    """What a run judges by, beside its suites."""

    now: CurrentRun | None = None
    """What this run is; None where it is held against nothing."""
    noise: Noise | None = None
    """By how much this machine moves metrics."""
    baseline: BaselineRun | None = None
    """The run that gates compare with."""
    partition: Partition | None = None
    """Which part of the images was looked at, where that is not all: it gets no verdict."""


def item_of(results: Results, standards: Standards) -> log.Item:
    """Return the entry of a job, without its table, pictures and seconds.

    Raises:
        UserError: it cannot be judged.
    """
    job, images = results.job, results.images
    others = {
        alias: rows for alias, rows in results.seed_results_by_alias.items() if alias != job.alias
    }
    floor = _floor(results, standards)
    check_input = CheckInput(
        job, job.measure, results.measured, others, results.against, floor=floor
    )
    role, against = (*(one.role for one in images), None, None)[:2]
    if standards.partition is not None:
        return set_aside(check_input, role, against, standards.partition)
    baseline, now = standards.baseline, standards.now
    if baseline is None or now is None:
        return judge(check_input, role, against)
    check_input = replace(check_input, baseline=baseline.entry(check_input, now, images))
    return baseline.with_comparison(judge(check_input, role, against), check_input, now)


def _floor(results: Results, standards: Standards) -> Callable[[log.Metric], NoiseFloor | None]:
    """Return what is known of this machine's noise in the metrics of a job about images."""
    now, noise, job = standards.now, standards.noise, results.job
    classifier = None if now is None else now.classifiers.get(job.alias)
    if now is None or noise is None or classifier is None or not results.images:
        return no_floor
    images = [str(one.fingerprint) for one in results.images]
    check_input = noise_key(job, str(classifier.fingerprint), images)
    return partial(noise.floor, check_input, now.settings.precision)


def failed(job: Job, error: Exception, role: str | None = None) -> log.Item:
    """Return the entry of a job that an error kept from its verdict: it says which.

    Args:
        job: that was to be judged.
        error: what a person can repair, or any other.
        role: name of the image set in the log, where it is known.
    """
    sentence = str(error) if isinstance(error, UserError) else repr(error)
    match error:
        case UnavailableError():
            verdict = Verdict.UNAVAILABLE
        case NotApplicableError():
            verdict = Verdict.NOT_APPLICABLE
        case _:
            verdict = Verdict.INVALID
    return unjudged(job, verdict, sentence, role)
