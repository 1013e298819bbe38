"""Measurement and expectation to verdict: pure, and never a pass without a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from vision_evals import log
from vision_evals.log import Gate, Judgement, Metric, Paired, Validity, Verdict
from vision_evals.log.verdicts import wanted
from vision_evals.measures.intervals import wilson_images_needed
from vision_evals.suite.expectation import Expectation, Reference, same_point
from vision_evals.verdict.paired import decide, images_needed, p_value, smallest_drop
from vision_evals.verdict.thresholds import (
    NoiseFloor,
    NoThreshold,
    PairedThreshold,
    Threshold,
    no_floor,
)

BoundSide = Literal["at_least", "at_most"]
"""Which way a bound holds."""

_WORST_FIRST = [Verdict.INVALID, Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED]


def judge(
    expectation: Expectation,
    metrics: Sequence[Metric],
    reference: Callable[[Reference], Threshold],
    floor: Callable[[Metric], NoiseFloor | None] = no_floor,
) -> tuple[Judgement, ...]:
    """Hold an expectation against the metrics: one judgement for each of its bounds.

    A value within its noise floor of the threshold, on either side, is inconclusive: another batch
    size may turn it over. A floor takes passes away, gives none, and moves no threshold.

    Args:
        expectation: what must hold.
        metrics: of one classifier, at the expectation's confidence.
        reference: turns ``{ of = ... }`` into the number, plus and minus not yet applied.
        floor: what this machine moves a metric by, where that was measured.
    """
    metric = find(expectation.metric, expectation.at, metrics)
    return tuple(
        _judge(expectation, metric, side, bound, reference, floor(metric))
        for side, bound in expectation.bounds
    )


def worst(judgements: Sequence[Judgement], validity: Sequence[Validity]) -> Verdict:
    """Return the verdict of a check: invalid, failed, inconclusive, passed, in this order.

    Warnings and known falls are shown and decide nothing. Without any expectation it is
    *recorded*; when none of them applied, *not applicable*.
    """
    if any(check.invalidates for check in validity):
        return Verdict.INVALID
    if not judgements:
        return Verdict.RECORDED
    deciding = [j.verdict for j in judgements if not j.excused]
    for verdict in _WORST_FIRST:
        if verdict in deciding:
            return verdict
    return Verdict.PASSED if any(j.excused for j in judgements) else Verdict.NOT_APPLICABLE


def summary(verdict: Verdict, judgements: Sequence[Judgement], validity: Sequence[Validity]) -> str:
    """Return one line for a person: the fallen first, numbers first."""
    if verdict is Verdict.INVALID:
        fallen = [f"{v.name}: {v.evidence}" for v in validity if v.invalidates]
        fallen += [j.sentence for j in judgements if j.verdict is Verdict.INVALID]
        return "INVALID: " + "; ".join(fallen)
    said = [j.sentence for j in judgements if j.verdict is verdict and not j.excused]
    for j in judgements:
        if j.excused:
            said.append(f"{j.excuse}: {j.sentence}")
        elif j.verdict is Verdict.NOT_APPLICABLE is not verdict:
            said.append(f"not applicable: {j.sentence}")
        elif j.known is not None and j.verdict is Verdict.PASSED:
            said.append(f"{j.metric} holds although known to fall ({j.known}): remove `known`")
    return "; ".join(said) or str(verdict)


def find(name: str, at: object, metrics: Sequence[Metric]) -> Metric:
    """Return the metric of this name, at this point of its axis; LookupError without one."""
    for metric in metrics:
        if metric.name == name and (at is None or same_point(metric.at, at)):
            return metric
    raise LookupError(f"no metric {name} at {at}")


def _judge(
    expectation: Expectation,
    metric: Metric,
    side: BoundSide,
    bound: float | Reference,
    reference: Callable[[Reference], Threshold],
    floor: NoiseFloor | None,
) -> Judgement:
    against = reference(bound) if isinstance(bound, Reference) else float(bound)
    threshold = _number_of(against, bound)
    of = bound.of if isinstance(bound, Reference) else None
    plus, minus = (bound.plus, bound.minus) if isinstance(bound, Reference) else (0.0, 0.0)
    number = None if threshold is None else _number(threshold)
    asked = wanted(side, of, plus, minus, number)
    gate, further, confidence = None, "", None
    if metric.value is None and metric.lost:
        verdict, sentence = Verdict.FAILED, f"no {metric.name}: {metric.reason}, {asked} wanted"
    elif metric.value is None:
        verdict, sentence = Verdict.NOT_APPLICABLE, f"no {metric.name}: {metric.reason}"
    elif isinstance(against, NoThreshold):
        verdict, sentence = against.verdict, f"{metric.name} {asked}: {against.reason}"
    else:
        assert threshold is not None
        sentence = f"{_apart(metric.value, threshold)}, {asked} wanted: "
        if isinstance(against, PairedThreshold):
            assert isinstance(bound, Reference)
            verdict, further, gate = _by_pairs(metric, side, bound, against.paired)
            sentence += _paired(metric, against.paired)
        else:
            verdict, further = _alone(expectation, metric, side, threshold)
            sentence, confidence = sentence + describe(metric), expectation.confidence
        if floor is not None and floor.softens(metric.value, threshold, verdict, gate):
            verdict = Verdict.INCONCLUSIVE
            further += f"; within the noise floor of this machine ({_number(floor.value)}, "
            further += f"measured {floor.measured})"
    fell = verdict in {Verdict.FAILED, Verdict.INCONCLUSIVE}
    return Judgement(
        metric=metric.name,
        at=metric.at,
        side=side,
        plus=plus,
        minus=minus,
        threshold=threshold,
        value=metric.value,
        verdict=verdict,
        sentence=sentence + further,
        further=further,
        confidence=confidence,
        severity=expectation.severity,
        known=expectation.known,
        excused=fell and (expectation.severity == "warn" or expectation.known is not None),
        of=of,
        gate=gate,
        floor=None if floor is None else floor.value,
    )


def _alone(
    expectation: Expectation, metric: Metric, side: BoundSide, threshold: float
) -> tuple[Verdict, str]:
    """Hold a metric against a number: by its point, or by its interval where that is asked for.

    Returns the verdict, and how many more images would decide where it is inconclusive.
    """
    assert metric.value is not None
    if expectation.confidence is None:
        fits = metric.value >= threshold if side == "at_least" else metric.value <= threshold
        return Verdict.PASSED if fits else Verdict.FAILED, ""
    verdict = _by_interval(metric, side, threshold)
    if verdict is not Verdict.INCONCLUSIVE or metric.low is None or metric.high is None:
        return verdict, ""  # that there is no interval, and why, stands before n
    return verdict, _needed(metric, metric.low, metric.high, threshold, expectation.confidence)


def _by_pairs(
    metric: Metric, side: BoundSide, bound: Reference, found: Paired
) -> tuple[Verdict, str, Gate]:
    """Decide by the paired difference whether a metric keeps the margin to another network's."""
    alpha = (1 - found.confidence) / 2
    verdict = decide(found, bound.margin, side, alpha)
    said, needed = _flips(metric, found), None
    if bound.margin == 0 and (p := p_value(found, side)) is not None:
        said += f", exact McNemar p = {p:.3g}"
    if verdict is Verdict.INCONCLUSIVE:
        needed = images_needed(found, bound.margin, side, alpha)
        said += _more(found, bound.margin if side == "at_least" else -bound.margin, needed)
    elif verdict is Verdict.PASSED and bound.margin == 0:
        drop = smallest_drop(found, alpha)
        said += "; no loss shown, and "
        said += f"one of {_number(drop)} would have been" if drop else "no loss could have been"
        said += ", eight times in ten"
    return verdict, said, Gate(of=bound.of, margin=bound.margin, paired=found, needed=needed)


def _more(found: Paired, margin: float, needed: int | None) -> str:
    """Say how many images an inconclusive gate needs."""
    if needed is None:
        return (
            "; the difference found lies short of the margin, and more images would not change it"
        )
    if margin == 0:
        return f"; on fewer than {needed} images no loss could show"
    if needed <= found.n:
        return "; so many images would pass an equal network eight times in ten"
    good = "an equal network" if found.difference * margin <= 0 or margin < 0 else "this gain"
    return (
        f"; about {needed - found.n:,} more images would give this gate a power of 80 % "
        f"to pass {good}"
    )


def _paired(metric: Metric, found: Paired) -> str:
    at = f" at {metric.at}" if metric.at is not None else ""
    low, high = _number(found.low), _number(found.high)
    return (
        f"{metric.name}{at}, {_number(found.difference)} on the same images, "
        f"{found.confidence * 100:.4g} % interval {low} to {high}, n = {found.n:,}"
    )


def _flips(metric: Metric, found: Paired) -> str:
    if found.worse is None or found.better is None:
        return ""
    worse, better = found.worse, found.better
    if not metric.higher_is_better:  # there it is those that turned false that are better
        worse, better = better, worse
    return f", {worse:,} worse and {better:,} better"


def _number_of(against: Threshold, bound: float | Reference) -> float | None:
    """Return the number that a bound came to, plus and minus applied."""
    if isinstance(against, NoThreshold):
        return None
    value = against.value if isinstance(against, PairedThreshold) else against
    return value + bound.margin if isinstance(bound, Reference) else value


def _by_interval(metric: Metric, side: BoundSide, threshold: float) -> Verdict:
    if metric.low is None or metric.high is None:
        return Verdict.INCONCLUSIVE
    above, below = metric.low >= threshold, metric.high <= threshold
    good, bad = (
        (above, metric.high < threshold)
        if side == "at_least"
        else (
            below,
            metric.low > threshold,
        )
    )
    if good:
        return Verdict.PASSED
    return Verdict.FAILED if bad else Verdict.INCONCLUSIVE


def _needed(metric: Metric, low: float, high: float, threshold: float, confidence: float) -> str:
    """Say how many more images would decide if the value stayed what it is."""
    assert metric.value is not None
    if metric.method == "wilson":
        total = wilson_images_needed(metric.value, threshold, confidence)
    elif metric.value == threshold:
        total = None
    else:  # a bootstrap interval shrinks with the square root of n
        width = max(high - metric.value, metric.value - low)
        total = math.floor(metric.n * (width / abs(metric.value - threshold)) ** 2) + 1
    if total is None or total <= metric.n:
        return "; the value lies too close to the threshold for any number of images to decide"
    return f"; about {total - metric.n:,} more {metric.denominator} would decide"


def describe(metric: log.Metric) -> str:
    """Return a metric in words: name, point, interval and n."""
    at = f" at {metric.at}" if metric.at is not None else ""
    if metric.spread:
        interval = metric.reason or "the median over seeds"
    elif metric.low is None or metric.high is None or metric.confidence is None:
        interval = f"no interval ({metric.reason})" if metric.reason else "no interval"
    else:
        low, high = _number(metric.low), _number(metric.high)
        interval = f"{metric.confidence * 100:g} % interval {low} to {high}"
    return f"{metric.name}{at}, {interval}, n = {metric.n:,}"


def _apart(value: float, threshold: float) -> str:
    """Show so many digits that a value below its threshold never looks like it."""
    if _number(value) == _number(threshold):
        return repr(value)
    return _number(value)


def _number(value: float) -> str:
    return f"{value:.4g}"
