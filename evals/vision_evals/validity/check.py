"""A validity check: what it reads, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from vision_evals.log import Depth
from vision_evals.measures.binomial import at_least

if TYPE_CHECKING:
    import pandas as pd

    from vision_evals.core.tables import Table
    from vision_evals.images.image_set import Image, ImageSet
    from vision_evals.measures.measure import Measure
    from vision_evals.measures.probe import Probe
    from vision_evals.models.classifier import Classifier

SIGNIFICANCE = 0.01
"""A rate exceeds its limit when chance alone gives so many with less than this probability."""


WORST_FIRST = ("failed", "undecided", "passed")


class CheckResult(NamedTuple):
    """Outcome of a validity check, with its numbers."""

    outcome: Literal["passed", "failed", "undecided"]
    evidence: str
    """The numbers, in one sentence without a full stop."""

    def adding(self, evidence: str) -> CheckResult:
        """Return the same outcome with more evidence."""
        return self._replace(evidence=f"{self.evidence}; {evidence}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a validity check may read."""

    classifier: Classifier
    """As it was built: on the device, in eval mode, frozen."""
    probe: Probe
    """A few images of the set, chosen by hash of id, with their answers if there are labels."""
    images: tuple[Image, ...]
    """The same images in the same order, not decoded."""
    image_set: ImageSet
    """All of them."""
    measure: Measure
    """What was measured."""
    parameters: Table
    """Its parameters."""
    rows: pd.DataFrame
    """What the measure recorded: every image of the set."""


@dataclass(frozen=True, slots=True)
class ValidityCheck:
    """A test of the evaluation itself: can its numbers be trusted?"""

    id: str
    """Its number in the literature list, such as ``S5``."""
    name: str
    """What must be true: ``output is logits``."""
    meaning: str
    """What it guards against, in one sentence with a full stop."""
    source: str
    """Paper and section, or the mistake that it finds."""
    guards: Callable[[Measure], bool]
    """Which measures depend on it."""
    run: Callable[[Evidence], CheckResult]
    """Runs it. After a NotApplicableError, or any error of a network, it is *undecided*."""
    cost: Depth = "cheap"
    """``cheap``: runs with every check of a suite."""
    severity: Literal["error", "warn"] = "error"
    """``error``: a failure makes the verdict INVALID; ``warn``: a failure is shown."""
    scope: Literal["classifier", "images", "measure"] = "measure"
    """``classifier``: one result serves every measure of this classifier; ``images``: every measure
    of this classifier on these images."""


def passed(evidence: str) -> CheckResult:
    """Return the result of a check that passed."""
    return CheckResult("passed", evidence)


def failed(evidence: str) -> CheckResult:
    """Return the result of a check that failed."""
    return CheckResult("failed", evidence)


def undecided(evidence: str) -> CheckResult:
    """Return the result of a check without enough evidence to pass or to fail."""
    return CheckResult("undecided", evidence)


def worst(results: Sequence[CheckResult]) -> CheckResult:
    """Return the worst outcome, with the evidence of all results that have it."""
    outcome = min((result.outcome for result in results), key=WORST_FIRST.index)
    return CheckResult(outcome, "; ".join(r.evidence for r in results if r.outcome == outcome))


def rate(bad: int, n: int, limit: float, counted: str) -> CheckResult:
    """Test whether a rate exceeds a limit (one-sided binomial).

    The check fails only when so many bad ones have a probability under 1 % at a rate of ``limit``.
    It passes when the measured rate is within the limit and n is large enough to show a higher
    one. Otherwise it is undecided.

    Args:
        bad: how many are bad.
        n: of how many.
        limit: highest rate that is allowed, a fraction.
        counted: in words, such as ``images whose gradient is 0``.
    """
    evidence = f"{bad} of {n} {counted}, at most {limit:.3g} of them allowed"
    if n == 0 or at_least(n, n, limit) >= SIGNIFICANCE:
        return undecided(f"{evidence}; too few to decide")
    chance = at_least(bad, n, limit)
    if chance < SIGNIFICANCE:
        return failed(f"{evidence} (by chance with p = {chance:.1g})")
    if bad / n <= limit:
        return passed(evidence)
    return undecided(f"{evidence}; chance alone gives so many with p = {chance:.2g}")


def every(_: Measure) -> bool:
    """Guard every measure of images."""
    return True


def labelled(measure: Measure) -> bool:
    """Guard measures that need labels."""
    return measure.labels


def differentiating(measure: Measure) -> bool:
    """Guard measures that follow a gradient to the pixels."""
    return measure.gradient or measure.attack is not None


def attacking(measure: Measure) -> bool:
    """Guard measures that attack images."""
    return measure.attack is not None


def targeting(measure: Measure) -> bool:
    """Guard measures whose attack leads to the class that a parameter ``target`` names."""
    return attacking(measure) and "target" in measure.parameters.model_fields


def iterating(measure: Measure) -> bool:
    """Guard measures whose attack takes many steps: one step need not succeed."""
    return attacking(measure) and measure.iterated


def reading(*columns: str, also: Callable[[Measure], bool] = every) -> Callable[[Measure], bool]:
    """Guard measures that declare these columns of their rows, or have them as their axis."""

    def guards(measure: Measure) -> bool:
        axis = measure.axis[:1] if measure.axis else ()
        return {*columns} <= {*measure.columns, *axis} and also(measure)

    return guards
