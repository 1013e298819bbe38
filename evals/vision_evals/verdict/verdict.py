"""From metric and expectation to verdict: pure functions; without a number nothing passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vision_evals.log import Gate, Judgement, Metric, Paired, Validity, Verdict
from vision_evals.log.verdicts import wanted
from vision_evals.measures.intervals import wilson_images_needed
from vision_evals.suite.expectation import Expectation, Reference, same_point
from vision_evals.verdict.paired.decide import (
    BoundSide,
    decide,
    images_needed,
    p_value,
    smallest_drop,
)
from vision_evals.verdict.thresholds import (
    NoiseFloor,
    NoThreshold,
    PairedThreshold,
    Threshold,
    no_floor,
)

_WORST_FIRST = [Verdict.INVALID, Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED]


def judge(
    expectation: Expectation,
    metrics: Sequence[Metric],
    resolve: Callable[[Reference], Threshold],
    floor: Callable[[Metric], NoiseFloor | None] = no_floor,
) -> tuple[Judgement, ...]:
    """Compare the metrics with an expectation: one judgement for each of its bounds.

    A value that is closer to its threshold than this machine's noise is inconclusive: another
    batch size may change the verdict. A noise floor takes passes away, gives none, and moves no
    threshold.

    Args:
        expectation: what is required.
        metrics: of one classifier, at the expectation's confidence.
        resolve: turns ``{ of = ... }`` into the number, plus and minus not yet applied.
        floor: this machine's noise in a metric, where it was measured.
    """
    metric = find(expectation.metric, expectation.at, metrics)
    return tuple(
        _judge(expectation, metric, side, bound, resolve, floor(metric))
        for side, bound in expectation.bounds
    )


def worst(judgements: Sequence[Judgement], validity: Sequence[Validity]) -> Verdict:
    """Return the verdict of a check: invalid, failed, inconclusive, passed, in this order.

    Nothing passes while a validity check that it requires is undecided. Warnings and known failures
    are shown and decide nothing. Without any expectation the verdict
    is *recorded*; when no expectation applies, *not applicable*.
    """
    if any(check.invalidates for check in validity):
        return Verdict.INVALID
    if not judgements:
        return Verdict.RECORDED
    deciding = [j.verdict for j in judgements if not j.excused]
    if any(j.excused for j in judgements):
        deciding.append(Verdict.PASSED)
    outcome = next((v for v in _WORST_FIRST if v in deciding), Verdict.NOT_APPLICABLE)
    withheld = outcome is Verdict.PASSED and any(check.withholds for check in validity)
    return Verdict.INCONCLUSIVE if withheld else outcome


def summary(verdict: Verdict, judgements: Sequence[Judgement], validity: Sequence[Validity]) -> str:
    """Return one line to read: failures first, and their numbers first."""
    if verdict is Verdict.INVALID:
        reasons = [f"{v.name}: {v.evidence}" for v in validity if v.invalidates]
        reasons += [j.sentence for j in judgements if j.verdict is Verdict.INVALID]
        return "INVALID: " + "; ".join(reasons)
    sentences = [j.sentence for j in judgements if j.verdict is verdict and not j.excused]
    if verdict is Verdict.INCONCLUSIVE:
        sentences += [f"{v.name} is undecided: {v.evidence}" for v in validity if v.withholds]
    for j in judgements:
        if j.excused:
            sentences.append(f"{j.excuse}: {j.sentence}")
        elif j.verdict is Verdict.NOT_APPLICABLE is not verdict:
            sentences.append(f"not applicable: {j.sentence}")
        elif j.known is not None and j.verdict is Verdict.PASSED:
            sentences.append(
                f"{j.metric} passed although it is known to fail ({j.known}): remove `known`"
            )
    return "; ".join(sentences) or str(verdict)


def find(name: str, at: object, metrics: Sequence[Metric]) -> Metric:
    """Return the metric of this name, at this point of its axis; LookupError without one."""
    for metric in metrics:
        if metric.name == name and (at is None or same_point(metric.at, at)):
            return metric
    raise LookupError(f"no metric {name} at {at}")


class Decision(NamedTuple):
    """What one bound says of a metric."""

    verdict: Verdict
    sentence: str
    further: str = ""
    """Goes on after the sentence: see `Judgement.further`."""
    gate: Gate | None = None
    confidence: float | None = None
    """Of the interval that decided, where one did."""


def _judge(
    expectation: Expectation,
    metric: Metric,
    side: BoundSide,
    bound: float | Reference,
    resolve: Callable[[Reference], Threshold],
    floor: NoiseFloor | None,
) -> Judgement:
    of, plus, minus = None, 0.0, 0.0
    resolved: Threshold
    if isinstance(bound, Reference):
        of, plus, minus = bound.of, bound.plus, bound.minus
        resolved = resolve(bound)
    else:
        resolved = float(bound)
    threshold = _threshold_value(resolved, bound)
    required = wanted(side, of, plus, minus, None if threshold is None else _number(threshold))
    decision = _decide(expectation, metric, side, bound, resolved, required)
    if floor is not None and metric.value is not None and threshold is not None:
        decision = _with_noise(decision, metric.value, threshold, floor)
    failed = decision.verdict in {Verdict.FAILED, Verdict.INCONCLUSIVE}
    return Judgement(
        metric=metric.name,
        at=metric.at,
        side=side,
        plus=plus,
        minus=minus,
        threshold=threshold,
        value=metric.value,
        verdict=decision.verdict,
        sentence=decision.sentence + decision.further,
        further=decision.further,
        confidence=decision.confidence,
        severity=expectation.severity,
        known=expectation.known,
        excused=failed and (expectation.severity == "warn" or expectation.known is not None),
        of=of,
        gate=decision.gate,
        floor=None if floor is None else floor.value,
    )


def _decide(
    expectation: Expectation,
    metric: Metric,
    side: BoundSide,
    bound: float | Reference,
    resolved: Threshold,
    required: str,
) -> Decision:
    """Compare a metric with a resolved threshold, the noise of this machine not yet considered."""
    if metric.value is None:
        absent = f"no {metric.name}: {metric.reason}"
        if metric.lost:
            return Decision(Verdict.FAILED, f"{absent}, {required} wanted")
        return Decision(Verdict.NOT_APPLICABLE, absent)
    if isinstance(resolved, NoThreshold):
        return Decision(resolved.verdict, f"{metric.name} {required}: {resolved.reason}")
    threshold = _threshold_value(resolved, bound)
    assert threshold is not None
    sentence = f"{_distinct_number(metric.value, threshold)}, {required} wanted: "
    if isinstance(resolved, PairedThreshold):
        assert isinstance(bound, Reference)
        verdict, further, gate = _by_pairs(metric, side, bound, resolved.paired)
        return Decision(verdict, sentence + _describe_paired(metric, gate.paired), further, gate)
    verdict, further = _by_value(expectation, metric, side, threshold)
    sentence += describe(metric)
    return Decision(verdict, sentence, further, confidence=expectation.confidence)


def _with_noise(decision: Decision, value: float, threshold: float, floor: NoiseFloor) -> Decision:
    """Make a decision inconclusive where the noise of this machine could change it."""
    if not floor.softens(value, threshold, decision.verdict, decision.gate):
        return decision
    further = f"; within the noise floor of this machine ({_number(floor.value)}, measured "
    further = f"{decision.further}{further}{floor.measured})"
    return decision._replace(verdict=Verdict.INCONCLUSIVE, further=further)


def _by_value(
    expectation: Expectation, metric: Metric, side: BoundSide, threshold: float
) -> tuple[Verdict, str]:
    """Compare the value with a number, or its interval where the suite sets a confidence.

    Returns the verdict, and how many more images would decide where it is inconclusive.
    """
    assert metric.value is not None
    if metric.few:
        return Verdict.INCONCLUSIVE, '; add images, or show it only with severity = "warn"'
    if expectation.confidence is None:
        fits = metric.value >= threshold if side == "at_least" else metric.value <= threshold
        return Verdict.PASSED if fits else Verdict.FAILED, ""
    verdict = _by_interval(metric, side, threshold)
    if verdict is not Verdict.INCONCLUSIVE or metric.low is None or metric.high is None:
        return verdict, ""  # without an interval, `describe` gives the reason
    return verdict, _more_images(metric, metric.low, metric.high, threshold, expectation.confidence)


def _by_pairs(
    metric: Metric, side: BoundSide, bound: Reference, paired: Paired
) -> tuple[Verdict, str, Gate]:
    """Decide by the paired difference whether a metric keeps the margin to another network's."""
    alpha = (1 - paired.confidence) / 2
    verdict = decide(paired, bound.margin, side, alpha)
    further, needed = _describe_flips(metric, paired), None
    if bound.margin == 0 and (p := p_value(paired, side)) is not None:
        further += f", exact McNemar p = {p:.3g}"
    if verdict is Verdict.INCONCLUSIVE:
        needed = images_needed(paired, bound.margin, side, alpha)
        margin = bound.margin if side == "at_least" else -bound.margin
        further += _describe_needed(paired, margin, needed)
    elif verdict is Verdict.PASSED and bound.margin == 0:
        drop = smallest_drop(paired, alpha)
        power = f"show a loss of {_number(drop)}" if drop else "are too few to show any loss"
        further += f"; no loss shown: these images {power} with probability 80 %"
    return verdict, further, Gate(of=bound.of, margin=bound.margin, paired=paired, needed=needed)


def _describe_needed(paired: Paired, margin: float, needed: int | None) -> str:
    """Return how many images an inconclusive gate needs, in words."""
    if needed is None:
        return "; the measured difference does not reach the margin, and more images do not help"
    if margin == 0:
        return f"; fewer than {needed} images cannot show a loss"
    if needed <= paired.n:
        return "; on this many images an equal network passes with probability 80 %"
    good = "an equal network" if paired.difference * margin <= 0 or margin < 0 else "this gain"
    return (
        f"; about {needed - paired.n:,} more images would give this gate a power of 80 % "
        f"to pass {good}"
    )


def _describe_paired(metric: Metric, paired: Paired) -> str:
    low, high = _number(paired.low), _number(paired.high)
    return (
        f"{_name_at(metric)}, {_number(paired.difference)} on the same images, "
        f"{paired.confidence * 100:.4g} % interval {low} to {high}, n = {paired.n:,}"
    )


def _describe_flips(metric: Metric, paired: Paired) -> str:
    if paired.worse is None or paired.better is None:
        return ""
    worse, better = paired.worse, paired.better
    if not metric.higher_is_better:  # then an image that turns false is a gain
        worse, better = better, worse
    return f", {worse:,} worse and {better:,} better"


def _threshold_value(resolved: Threshold, bound: float | Reference) -> float | None:
    """Return the number that a bound comes to, plus and minus applied."""
    if isinstance(resolved, NoThreshold):
        return None
    value = resolved.value if isinstance(resolved, PairedThreshold) else resolved
    return value + bound.margin if isinstance(bound, Reference) else value


def _by_interval(metric: Metric, side: BoundSide, threshold: float) -> Verdict:
    if metric.low is None or metric.high is None:
        return Verdict.INCONCLUSIVE
    if side == "at_least":
        good, bad = metric.low >= threshold, metric.high < threshold
    else:
        good, bad = metric.high <= threshold, metric.low > threshold
    return Verdict.PASSED if good else Verdict.FAILED if bad else Verdict.INCONCLUSIVE


def _more_images(
    metric: Metric, low: float, high: float, threshold: float, confidence: float
) -> str:
    """Return in words how many more images would decide if the value stayed the same."""
    assert metric.value is not None
    if metric.method == "wilson":
        total = wilson_images_needed(metric.value, threshold, confidence)
    elif metric.value == threshold:
        total = None
    else:  # a bootstrap interval shrinks with the square root of n
        width = max(high - metric.value, metric.value - low)
        total = math.floor(metric.n * (width / abs(metric.value - threshold)) ** 2) + 1
    if total is None or total <= metric.n:
        return "; the value is too close to the threshold for any number of images to decide"
    return f"; about {total - metric.n:,} more {metric.denominator} would decide"


def describe(metric: Metric) -> str:
    """Return a metric in words: name, point of its axis, interval and n."""
    if metric.spread:
        interval = metric.reason or "the median over seeds"
    elif metric.low is None or metric.high is None or metric.confidence is None:
        interval = f"no interval ({metric.reason})" if metric.reason else "no interval"
    else:
        low, high = _number(metric.low), _number(metric.high)
        interval = f"{metric.confidence * 100:g} % interval {low} to {high}"
    return f"{_name_at(metric)}, {interval}, n = {metric.n:,}"


def _name_at(metric: Metric) -> str:
    return metric.name if metric.at is None else f"{metric.name} at {metric.at}"


def _distinct_number(value: float, threshold: float) -> str:
    """Return a value with enough digits to differ from its threshold in print."""
    return repr(value) if _number(value) == _number(threshold) else _number(value)


def _number(value: float) -> str:
    return f"{value:.4g}"
