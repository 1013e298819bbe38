"""Verdicts, and the metrics, thresholds and evidence behind them."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from vision_evals.log.comparison import Gate
from vision_evals.log.record import Depth, Record


class Verdict(StrEnum):
    """The verdict of a check on a classifier, worst first."""

    INVALID = "invalid"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    PASSED = "passed"
    RECORDED = "recorded"
    NOT_APPLICABLE = "not applicable"
    UNAVAILABLE = "unavailable"

    @property
    def judged(self) -> bool:
        """Whether an expectation was compared with a number (or the number was refused)."""
        return self in _JUDGED


_JUDGED = {Verdict.INVALID, Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED}


class Headline(Record):
    """How a metric appears on the card of a network."""

    label: str
    """Such as ``one-step robust accuracy``."""
    rank: int = 100
    """Its place on the card, the smallest first; equal ranks keep the order of measurement."""
    share: bool = True
    """Whether it is drawn as a bar from 0 to 1."""
    unlike: bool = False
    """Whether it is shown only for images unlike the classes: art, and sets compared with another.
    The label then ends with their role: ``confidence on art``."""


class Metric(Record):
    """A named number with unit, n, denominator, interval and direction."""

    name: str
    """Such as ``top5_accuracy``."""
    at: str | None = None
    """Value of the axis as in the suite (``1/255``); null for metrics without an axis."""
    value: float | None
    """The number; null where it does not exist, and then ``reason`` says why."""
    unit: str
    """``fraction``, ``nats``, ``images``, ..."""
    n: int
    """How many observations it rests on: the size of the denominator."""
    denominator: str
    """What was counted, in words: ``images``, ``images correct when clean``."""
    low: float | None = None
    """Lower end of the interval."""
    high: float | None = None
    """Upper end of the interval."""
    confidence: float | None = None
    """Two-sided confidence of the interval, such as 0.95."""
    method: str | None = None
    """How the interval was made: ``wilson``, ``bootstrap``; null without an interval."""
    reason: str | None = None
    """Why there is no value, or no interval."""
    lost: bool = False
    """Whether a value is missing that should exist, as after a training that diverged: expectations
    of it then fail. Where the metric does not apply, it is not lost."""
    few: bool = False
    """Whether one of its two sets of images is too small to decide: expectations of it are then
    inconclusive."""
    spread: tuple[float, ...] = ()
    """Of a recipe: the metric after training from each of its seeds; ``value`` is their median."""
    higher_is_better: bool = True
    """Direction, for thresholds, colours and trends."""
    about: str = ""
    """What it is, in a sentence for the glossary."""
    source: str = ""
    """Paper and section, where it comes from one."""
    axis: str | None = None
    """Parameter that lists the values of its axis; null for metrics without an axis."""
    refines: str | None = None
    """Metric that it is a variant of; it is drawn dotted next to that one."""
    headline: Headline | None = None
    """How the card of a network shows it; null where it does not."""


class Reference(Record):
    """A published number that is shown next to a metric; never a threshold."""

    label: str
    """Such as ``human annotator 1``."""
    metric: str
    """The metric that it belongs to."""
    value: float
    """In the metric's unit."""
    n: int | None = None
    """Observations behind it, where published."""
    low: float | None = None
    """Lower end of its 95 % interval."""
    high: float | None = None
    """Upper end of its 95 % interval."""
    source: str
    """Paper and section."""
    classes: str | None = None
    """Class map it is about, such as ``imagenet``; null for all."""


class Validity(Record):
    """Evidence that the evaluation itself can be trusted."""

    id: str = ""
    """Such as ``S5``; empty for a check of one measure."""
    name: str
    """Such as ``output is logits``."""
    outcome: Literal["passed", "failed", "undecided"]
    """An undecided check is shown, and decides nothing, unless it is ``required``."""
    severity: Literal["error", "warn"] = "error"
    """A failed check makes the verdict INVALID; with ``warn`` it is only shown."""
    required: bool = False
    """Whether nothing passes while it is undecided: the verdict is then inconclusive."""
    cost: Depth = "cheap"
    """Cheap ones always run, thorough ones on request."""
    evidence: str
    """The numbers, in one sentence."""
    meaning: str
    """What it guards against, in one sentence."""
    source: str = ""
    """Paper and section, where it comes from one."""

    @property
    def invalidates(self) -> bool:
        """Whether the numbers that depend on it cannot be trusted."""
        return self.outcome == "failed" and self.severity == "error"

    @property
    def withholds(self) -> bool:
        """Whether a pass cannot be had without its evidence."""
        return self.outcome == "undecided" and self.required


class Judgement(Record):
    """One expectation compared with one metric."""

    metric: str
    """Name of the metric."""
    at: str | None = None
    """Value of the axis."""
    side: Literal["at_least", "at_most"] | None = None
    """Which way the threshold bounds the value; null where ``rule`` says what is expected."""
    plus: float = 0.0
    """What the suite adds to a threshold that is not a number."""
    minus: float = 0.0
    """What the suite subtracts from it."""
    rule: str = ""
    """An expectation that is not a bound, in words: ``every picture readable``."""
    threshold: float | None
    """The threshold as a number; null when the reference has none."""
    value: float | None
    """The metric's value."""
    verdict: Verdict
    """Of this expectation alone."""
    sentence: str
    """The judgement in a sentence, numbers first."""
    further: str = ""
    """The end of the sentence, after the number of images: flips, further images needed, noise."""
    confidence: float | None = None
    """Of the interval that was compared with the threshold; null where the point, or the paired
    comparison of ``gate``, decided."""
    severity: Literal["error", "warn"] = "error"
    """``warn``: shown, never fails the check."""
    known: str | None = None
    """Reason why a failure is expected."""
    excused: bool = False
    """Whether it failed or is inconclusive, and is only shown, as the suite says."""
    of: str | None = None
    """Source of a threshold that is not a number: ``baseline``, ``published``, an alias."""
    gate: Gate | None = None
    """The paired comparison, where another network sets the threshold."""
    floor: float | None = None
    """This machine's noise: how much the metric varies with batch size, threads and device, in its
    unit. A value closer to its threshold than this is inconclusive. Null where not measured."""

    @property
    def excuse(self) -> str:
        """Why a failure fails nothing."""
        return f"known ({self.known})" if self.known is not None else "warning"

    @property
    def wanted(self) -> str:
        """The expectation in words: ``at least 0.9``, ``at most the published + 0.01 = 0.58``."""
        return self.expectation(None if self.threshold is None else f"{self.threshold:.4g}")

    def expectation(self, threshold: str | None) -> str:
        """Return the expectation in words, with its threshold written like this."""
        if self.side is None:
            return self.rule
        return wanted(self.side, self.of, self.plus, self.minus, threshold)


def wanted(
    side: Literal["at_least", "at_most"],
    of: str | None,
    plus: float,
    minus: float,
    threshold: str | None,
) -> str:
    """Return a bound in words; the arguments are fields of `Judgement`."""
    words = side.replace("_", " ")
    if of is None:
        return f"{words} {threshold}"
    named = {"published": "the published", "baseline": "that of the baseline"}
    words += f" {named.get(of, f'that of {of}')}"
    words += f" + {plus:.4g}" if plus else ""
    words += f" - {minus:.4g}" if minus else ""
    return words if threshold is None else f"{words} = {threshold}"
