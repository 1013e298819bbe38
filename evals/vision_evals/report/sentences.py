"""What failed, as plain sentences: check, network, number, expectation and evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vision_evals.log import Gate, Item, Judgement, Metric, Verdict
from vision_evals.report import rounding, words
from vision_evals.report.checks import metric_of


@dataclass(frozen=True, slots=True)
class Sentence:
    """One failure, for a reviewer who reads nothing else."""

    verdict: Verdict
    subject: str
    """Check and network."""
    text: str
    """Without a full stop."""


def sentences(item: Item) -> tuple[Sentence, ...]:
    """Return a sentence for each validity check and each expectation that failed, worst first.

    An item that failed without either, such as one whose network cannot be loaded, has the log's.
    """
    subject = f"{item.check}, {item.classifier}"
    texts = [
        (Verdict.INVALID, f"validity check “{check.name}” failed; {check.evidence}")
        for check in item.validity
        if check.invalidates
    ]
    # What an evaluation that cannot be trusted says of its numbers is no news.
    texts = texts or [(judgement.verdict, _held(judgement, item)) for judgement in _fallen(item)]
    texts = texts or [(item.verdict, item.sentence)]
    return tuple(Sentence(verdict, subject, text) for verdict, text in texts)


def _fallen(item: Item) -> Iterator[Judgement]:
    for verdict in words.BAD:
        for judgement in item.judgements:
            if judgement.verdict is verdict and not judgement.excused:
                yield judgement


def _held(judgement: Judgement, item: Item) -> str:
    """Return one expectation in words; the log's own where no number was held against another."""
    name = words.plain(judgement.metric)
    metric, value, threshold = metric_of(judgement, item), judgement.value, judgement.threshold
    # A suite may set another confidence than that of the log's intervals. Its interval is then
    # only in the sentence of the judgement.
    if (
        metric is None
        or value is None
        or threshold is None
        or not (metric.low is None or judgement.confidence in {None, metric.confidence})
    ):
        return judgement.sentence.replace(judgement.metric, name)
    text, wanted = _numbers(judgement, value, threshold, rounding.places(metric))
    at = f" at {judgement.at}" if judgement.at is not None else ""
    evidence = (
        _alone(judgement, metric, threshold)
        if judgement.gate is None
        else _paired(judgement.gate, judgement)
    )
    return f"{name} {text}{at}, {wanted} wanted; {evidence}"


def _numbers(judgement: Judgement, value: float, threshold: float, places: int) -> tuple[str, str]:
    """Return value and expectation with so many digits that they read as they were judged."""
    # A share of 6 of 200 is 0.03, however wide its interval: zeros behind it say nothing.
    digits = next((d for d in range(places) if round(value, d) == value), places)
    text = rounding.apart(value, threshold, digits)
    rough = f"{threshold:.4g}"  # as the log writes it
    read = float(text.replace(",", "").replace("\N{MINUS SIGN}", "-"))
    gap = read - float(rough)
    hidden = value != threshold and gap * (value - threshold) <= 0
    return text, judgement.expectation(repr(threshold) if hidden else rough)


def _alone(judgement: Judgement, metric: Metric, threshold: float) -> str:
    """Return the evidence of a metric that was held against a number."""
    ends = rounding.interval(metric)
    if ends is None:
        why = f" ({metric.reason})" if metric.reason else ""
        ends = f"no interval{why}"
    elif metric.low is not None and metric.high is not None:
        inside = _inside(judgement, metric.low, threshold, metric.high)
        level = "" if metric.confidence is None else f"{100 * metric.confidence:g} % "
        ends = f"{level}interval {ends}" + (" contains the threshold" if inside else "")
    return f"{ends}, n = {rounding.count(metric.n)}{judgement.further}"


def _paired(gate: Gate, judgement: Judgement) -> str:
    """Return the evidence of a metric that was held against another network's, image by image."""
    paired = gate.paired
    places = rounding.decimals(paired.low, paired.high) or 3
    difference, low, high = (
        rounding.signed(number, places) for number in (paired.difference, paired.low, paired.high)
    )
    inside = _inside(judgement, paired.low, gate.margin, paired.high)
    return (
        f"{difference} on the same images, {100 * paired.confidence:g} % interval {low} to {high}"
        + (f" contains the margin of {rounding.written(gate.margin)}" if inside else "")
        + f", n = {rounding.count(paired.n)}{judgement.further}"
    )


def _inside(judgement: Judgement, low: float, border: float, high: float) -> bool:
    return judgement.verdict is Verdict.INCONCLUSIVE and low <= border <= high
