"""From a job and its results to its entry in the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from vision_evals import log
from vision_evals.core.errors import NotApplicableError, UnavailableError, UserError, excerpt
from vision_evals.core.worker import Partition
from vision_evals.engine.merge.part import partial_item
from vision_evals.log import Verdict
from vision_evals.verdict.baseline.baseline import BaselineRun, CurrentRun
from vision_evals.verdict.check_input import CheckInput, SeedResults
from vision_evals.verdict.job import Job
from vision_evals.verdict.judge import judge, unjudged
from vision_evals.verdict.noise_floor import Noise, noise_key
from vision_evals.verdict.thresholds import NoiseFloor, no_floor


@dataclass(frozen=True, slots=True)
class Results:
    """The results of a job."""

    job: Job
    seed_results_by_alias: Mapping[str, SeedResults]
    """Of its classifier and those that it is compared with, by alias."""
    against: Mapping[str, SeedResults] = field(default_factory=dict)
    """The same of the second image set, for checks that compare two."""
    images: tuple[log.ImageSet, ...] = field(default=(), kw_only=True)
    """The image set, and the second one; none for a measure without images."""

    @property
    def measured(self) -> SeedResults:
        """Results of its own classifier."""
        return self.seed_results_by_alias[self.job.alias]


@dataclass(frozen=True, slots=True)
class Standards:
    """What a run judges by, in addition to its suites."""

    now: CurrentRun | None = None
    """The facts of this run; None where it is not compared."""
    noise: Noise | None = None
    """Noise floors of metrics on this machine."""
    baseline: BaselineRun | None = None
    """The run that gates compare with."""
    partition: Partition | None = None
    """Which part of the images this run has: a part gets no verdict. None: all."""


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
    role, against = (*(image_set.role for image_set in images), None, None)[:2]
    if standards.partition is not None:
        return partial_item(check_input, role, against, standards.partition)
    baseline, now = standards.baseline, standards.now
    if baseline is None or now is None:
        return judge(check_input, role, against)
    check_input = replace(check_input, baseline=baseline.entry(check_input, now, images))
    return baseline.with_comparison(judge(check_input, role, against), check_input, now)


def _floor(results: Results, standards: Standards) -> Callable[[log.Metric], NoiseFloor | None]:
    """Return the noise floors of the metrics of a job on images, on this machine."""
    now, noise, job = standards.now, standards.noise, results.job
    classifier = None if now is None else now.classifiers.get(job.alias)
    if now is None or noise is None or classifier is None or not results.images:
        return no_floor
    images = [str(image_set.fingerprint) for image_set in results.images]
    check_input = noise_key(job, str(classifier.fingerprint), images)
    return partial(noise.floor, check_input, now.settings.precision)


def failed(job: Job, error: Exception, role: str | None = None) -> log.Item:
    """Return the entry of a job that an error stopped; its sentence is the error.

    Args:
        job: the job.
        error: a UserError, or any other.
        role: name of the image set in the log, if known.
    """
    sentence = excerpt(str(error) if isinstance(error, UserError) else repr(error))
    match error:
        case UnavailableError():
            verdict = Verdict.UNAVAILABLE
        case NotApplicableError():
            verdict = Verdict.NOT_APPLICABLE
        case _:
            verdict = Verdict.INVALID
    return unjudged(job, verdict, sentence, role)
