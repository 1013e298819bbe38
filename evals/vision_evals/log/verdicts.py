"""Verdicts, and what they rest on: metrics, thresholds, evidence."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from vision_evals.log.comparison import Gate
from vision_evals.log.record import Depth, Record


class Verdict(StrEnum):
    """What a check says of a classifier, worst first."""

    INVALID = "invalid"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    PASSED = "passed"
    RECORDED = "recorded"
    NOT_APPLICABLE = "not applicable"
    UNAVAILABLE = "unavailable"

    @property
    def judged(self) -> bool:
        """Whether an expectation was held against a number (or the number was refused)."""
        return self in _JUDGED


_JUDGED = {Verdict.INVALID, Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED}


class Headline(Record):
    """A metric that the card of a network leads with."""

    label: str
    """Such as ``one-step robust accuracy``."""
    rank: int = 100
    """Its place on the card, the smallest first; equal ones stand as they were measured."""
    share: bool = True
    """Whether a bar from 0 to 1 says how much of something it is."""
    unlike: bool = False
    """Only on images unlike the classes: art, and what a check holds against a second set. The
    label then goes on with their role: ``confidence on art``."""


class Metric(Record):
    """A named number with unit, n, denominator, interval and direction."""

    name: str
    """Such as ``top5_accuracy``."""
    at: str | None = None
    """Value of the axis as the suite wrote it (``1/255``), null for metrics without an axis."""
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
    """Whether there should be a value and is none, as after a training that diverged: what is
    expected of it then fails. Where the question does not apply, it is not lost."""
    spread: tuple[float, ...] = ()
    """Of a recipe: the metric after training from each of its seeds; ``value`` is their median."""
    higher_is_better: bool = True
    """Direction, for thresholds, colours and trends."""
    about: str = ""
    """What it is, in a sentence: the glossary's."""
    source: str = ""
    """Paper and section, where it comes from one."""
    axis: str | None = None
    """Parameter that lists the values of its axis; null for metrics without an axis."""
    refines: str | None = None
    """Metric that it is a variant of, beside which it is drawn dotted."""
    headline: Headline | None = None
    """How a card leads with it; null where none does."""


class Reference(Record):
    """A number from elsewhere shown beside a metric; never a pass mark."""

    label: str
    """Such as ``human annotator 1``."""
    metric: str
    """Which metric it stands beside."""
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
    """Such as ``S5``; empty for what only one measure asks."""
    name: str
    """Such as ``output is logits``."""
    outcome: Literal["passed", "failed", "undecided"]
    """What cannot be told is shown, and decides nothing."""
    severity: Literal["error", "warn"] = "error"
    """A check that falls makes the verdict INVALID; one that warns is shown."""
    cost: Depth = "cheap"
    """Cheap ones run with every check, the others when somebody asks."""
    evidence: str
    """The numbers, in one sentence."""
    meaning: str
    """What it guards against, in one sentence."""
    source: str = ""
    """Paper and section, where it comes from one."""

    @property
    def invalidates(self) -> bool:
        """Whether no number that depends on it can be believed."""
        return self.outcome == "failed" and self.severity == "error"


class Judgement(Record):
    """One expectation held against one metric."""

    metric: str
    """Name of the metric."""
    at: str | None = None
    """Value of the axis."""
    side: Literal["at_least", "at_most"] | None = None
    """Which way the threshold bounds the value; null where ``rule`` says what is expected."""
    plus: float = 0.0
    """What the suite adds to a threshold that is no number."""
    minus: float = 0.0
    """What it takes from it."""
    rule: str = ""
    """An expectation that is no bound, in words: ``every picture readable``."""
    threshold: float | None
    """The number it came to; null when the reference has none."""
    value: float | None
    """The metric's value."""
    verdict: Verdict
    """Of this expectation alone."""
    sentence: str
    """What a person reads, numbers first."""
    further: str = ""
    """Its end, behind the number of images: flips, how many more images would decide, noise."""
    confidence: float | None = None
    """Of the interval that was held against the threshold; null where the point, or the paired
    comparison of ``gate``, decided."""
    severity: Literal["error", "warn"] = "error"
    """``warn``: shown, never fails the check."""
    known: str | None = None
    """Reason why a fall is expected."""
    excused: bool = False
    """Whether it fell, or cannot be told, and is only shown, as the suite asked."""
    of: str | None = None
    """Where the threshold comes from that is no number: ``baseline``, ``published``, an alias."""
    gate: Gate | None = None
    """The paired comparison behind it, where the threshold is another network's."""
    floor: float | None = None
    """By how much this machine moves the metric when only batch size, threads or device change, in
    its unit: a value that lies no further from its threshold is inconclusive. Null where it was
    not measured."""

    @property
    def excuse(self) -> str:
        """Why a fall fails nothing."""
        return f"known ({self.known})" if self.known is not None else "warning"

    @property
    def wanted(self) -> str:
        """The expectation in words: ``at least 0.9``, ``at most the published + 0.01 = 0.58``."""
        return self.asking(None if self.threshold is None else f"{self.threshold:.4g}")

    def asking(self, threshold: str | None) -> str:
        """Return the expectation in words, its threshold written so."""
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
    said = side.replace("_", " ")
    if of is None:
        return f"{said} {threshold}"
    named = {"published": "the published", "baseline": "that of the baseline"}
    said += f" {named.get(of, f'that of {of}')}"
    said += f" + {plus:.4g}" if plus else ""
    said += f" - {minus:.4g}" if minus else ""
    return said if threshold is None else f"{said} = {threshold}"
