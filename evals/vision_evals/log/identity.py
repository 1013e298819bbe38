"""Whether two classifiers are one: fingerprint, answers to fixed inputs, and environment."""

from __future__ import annotations

import base64
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from vision_evals.log.classifier import Classifier, ProbeAnswers


@dataclass(frozen=True, slots=True)
class Likeness:
    """Two classifiers, held against each other."""

    fingerprint: bool
    """Whether both have one."""
    answers: bool | None
    """Whether they answer alike; None where that is unknown."""
    elsewhere: str
    """How the environments differ, in words; empty where they do not."""
    distance: float | None = None
    """Largest distance of two logits, where they differ; None without one that is a number."""

    @property
    def same(self) -> bool:
        """Whether they are one network: equal weights and code, and equal answers."""
        return self.fingerprint and self.answers is True

    @property
    def changed_unseen(self) -> bool:
        """Whether something changed that the fingerprint does not see."""
        return self.fingerprint and self.answers is False and not self.elsewhere

    @property
    def remark(self) -> str:
        """What is unexpected, as a part of a sentence; empty where nothing is."""
        if self.fingerprint and self.answers is None:
            return "equal fingerprints, and nobody knows whether the answers are equal too"
        if self.same or not (self.fingerprint or self.answers):
            return ""
        if self.fingerprint:
            by = "" if self.distance is None else f" by {self.distance:.2g}"
            where = f", in another environment ({self.elsewhere})" if self.elsewhere else ""
            return f"equal fingerprints, and logits that differ{by} on fixed inputs{where}"
        return "other fingerprints, and equal answers to fixed inputs"


def likeness(first: Classifier, second: Classifier) -> Likeness:
    """Return how far two classifiers of logs are one."""
    fingerprint = first.fingerprint is not None and first.fingerprint == second.fingerprint
    ours, theirs = first.answers or ProbeAnswers(), second.answers or ProbeAnswers()
    elsewhere = "; ".join(_differing(ours.environment, theirs.environment))
    if not ours.inputs or ours.inputs != theirs.inputs or len(ours.logits) != len(theirs.logits):
        return Likeness(fingerprint, None, elsewhere)
    far = max(map(_distance, ours.logits, theirs.logits), default=math.inf)
    alike = far <= max(ours.noise or 0.0, theirs.noise or 0.0)
    return Likeness(fingerprint, alike, elsewhere, far if far < math.inf else None)


def _differing(first: dict[str, str], second: dict[str, str]) -> Iterator[str]:
    for name in sorted({*first, *second}):
        before, after = first.get(name, "unknown"), second.get(name, "unknown")
        if before != after:
            yield f"{name} {before} and {after}"


def _distance(first: str, second: str) -> float:
    """Return the largest distance of two logits; infinity where they cannot be compared."""
    if first == second:
        return 0.0
    before, after = _numbers(first), _numbers(second)
    if len(before) != len(after):
        return math.inf
    far = [abs(a - b) for a, b in zip(before, after, strict=True) if a != b]
    return math.inf if any(math.isnan(value) for value in far) else max(far, default=0.0)


def _numbers(text: str) -> array[float]:
    """Return float32 numbers; none where the text is not what was written."""
    try:
        return array("f", base64.b64decode(text, validate=True))
    except ValueError:
        return array("f")
