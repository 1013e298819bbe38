"""Resolves a reference to a number: published, of the baseline, or of another classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals.core.errors import UserError
from vision_evals.images.declared import declaration
from vision_evals.images.sources import BUILT_IN
from vision_evals.log import Metric, Verdict
from vision_evals.measures.intervals import MIN_IMAGES_FOR_BOOTSTRAP
from vision_evals.suite.expectation import Expectation, Reference, paired
from vision_evals.verdict import verdict
from vision_evals.verdict.baseline.numeric_gap import refusal
from vision_evals.verdict.baseline.pairs import PAIRED_CONFIDENCE, pair
from vision_evals.verdict.check_input import CheckInput, Measured
from vision_evals.verdict.job import Job
from vision_evals.verdict.thresholds import NoThreshold, PairedThreshold, Threshold

if TYPE_CHECKING:
    import pandas as pd


def resolve_threshold(
    reference: Reference, expectation: Expectation, check_input: CheckInput
) -> Threshold:
    """Return what a metric is compared with, plus and minus not yet applied, or why there is none.

    Args:
        reference: as the suite writes it.
        expectation: that contains it.
        check_input: with the rows of all classifiers.
    """
    lower, margin = reference is expectation.at_least, reference.margin
    if reference.of == check_input.job.alias and (margin <= 0 if lower else margin >= 0):
        return NoThreshold("it is compared with itself", Verdict.NOT_APPLICABLE)
    threshold = _find(reference, expectation, check_input)
    if not isinstance(threshold, float):  # pairs decide by an interval, which can miss any margin
        return threshold
    low, high = check_input.measure.metric(expectation.metric).range
    number = threshold + margin
    if number < low if lower else number > high:
        return NoThreshold(
            f"{threshold:.4g} with this margin is {number:.4g}, which nothing can fail, for it "
            f"lies in [{low:g}, {high:g}]; take a smaller margin"
        )
    return threshold


def _find(reference: Reference, expectation: Expectation, check_input: CheckInput) -> Threshold:
    if reference.of == "published":
        return _published(check_input.job, check_input.measured[0], expectation.metric)
    if reference.of == "baseline":
        return _baseline(reference, expectation, check_input)
    others = check_input.others.get(reference.of)
    if others is None:
        return NoThreshold(f"{reference.of} was not measured here")
    for other in others:
        if reason := other.invalid_reason:
            return NoThreshold(f"{reference.of} is invalid: {reason}", Verdict.INVALID)
        if other.rows.empty:
            return NoThreshold(f"no picture of {reference.of} was measured")
    metric = verdict.find(expectation.metric, expectation.at, check_input.metrics(reference.of))
    if metric.value is None:
        return NoThreshold(f"{reference.of} has no {metric.name}: {metric.reason}")
    return _pairs(reference, expectation, check_input, metric, others[0].rows)


def _baseline(reference: Reference, expectation: Expectation, check_input: CheckInput) -> Threshold:
    """Return the metric of the run that checkpoints are compared with, or why there is none."""
    entry = check_input.baseline
    if entry is None:
        return NoThreshold(
            "there is no baseline; name one with --evals-baseline RUN, or accept one with "
            "`evals accept RUN` first"
        )
    if entry.refused is not None:
        return NoThreshold(entry.refused, entry.verdict)
    try:
        metric = verdict.find(expectation.metric, expectation.at, entry.item.metrics)
    except LookupError:
        return NoThreshold("the baseline has no such metric; accept a new one", Verdict.INVALID)
    if metric.value is None:
        return NoThreshold(f"the baseline has no {metric.name}: {metric.reason}", Verdict.INVALID)
    # a gate without a margin, or one that requires a gain, allows no numeric difference
    sign = -1 if expectation.at_least is reference else 1
    allowed = max(0.0, sign * reference.margin)
    if reason := refusal(entry.gaps, check_input.measure, metric.name, allowed):
        return NoThreshold(f"not comparable with the baseline, {reason}", Verdict.INVALID)
    return _pairs(reference, expectation, check_input, metric, entry.rows)


def _pairs(
    reference: Reference,
    expectation: Expectation,
    check_input: CheckInput,
    metric: Metric,
    rows: pd.DataFrame,
) -> Threshold:
    """Return another network's metric, with the paired difference where that decides."""
    assert metric.value is not None
    measure, several = check_input.measure, len(check_input.measured) > 1 or metric.spread
    if several and expectation.confidence is not None:
        return NoThreshold(
            "for a recipe with several seeds the medians are compared, which have no interval"
        )
    if not paired(measure, expectation, reference) or several:
        return metric.value
    n = len(check_input.measured[0].rows)
    if n < MIN_IMAGES_FOR_BOOTSTRAP and measure.metric(metric.name).interval != "wilson":
        return NoThreshold(f"{n} images are too few for a difference of means")
    suite, confidence = check_input.job.suite, expectation.confidence or PAIRED_CONFIDENCE
    if suite.familywise:  # Bonferroni over all gates of the file, not only the selected ones
        confidence = 1 - (1 - confidence) / suite.gates
    tables = rows, check_input.measured[0].rows
    parameters, at = check_input.job.check.parameters, (metric.name, metric.at)
    try:
        difference = pair(measure, tables, parameters, at, confidence, check_input.measured[0].seed)
    except UserError as error:  # a gate that cannot be trusted is not skipped
        return NoThreshold(str(error), Verdict.INVALID)
    return PairedThreshold(metric.value, difference)


def _published(job: Job, measured: Measured, metric: str) -> Threshold:
    """Return the published number, where the images are a sample of those it was measured on.

    The accuracy on selected pictures says nothing about the published one.
    """
    if measured.limited:
        return NoThreshold(
            "the run uses a part of the images, so it is not compared with a full one"
        )
    classifier = measured.classifier
    if classifier is None or metric not in classifier.published:
        return NoThreshold(f"nothing is published for {job.alias} with these weights")
    class_map = classifier.classes.name
    if job.source is None or measured.sample_of == class_map:
        return classifier.published[metric]
    place = job.source.place
    path = None if place in BUILT_IN else declaration(Path(place))
    repair = f': write sample_of = "{class_map}" in {path} if they are' if path else ""
    if measured.sample_of is None:
        return NoThreshold(f"the images are not declared to be a sample of {class_map}{repair}")
    declared = f"declared to be a sample of {measured.sample_of}, not of {class_map}"
    return NoThreshold(f"the images are {declared}{repair}")
