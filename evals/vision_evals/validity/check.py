"""What a validity check is, what it may ask, and what it may answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from vision_evals.log import Depth

if TYPE_CHECKING:
    import pandas as pd

    from vision_evals.core.tables import Table
    from vision_evals.images.image_set import Image, ImageSet
    from vision_evals.measures.measure import Measure
    from vision_evals.measures.probe import Probe
    from vision_evals.models.classifier import Classifier

SIGNIFICANCE = 0.01
"""A rate is beyond its limit when chance gives that, or more, with less than this probability."""


class CheckResult(NamedTuple):
    """What a validity check found."""

    outcome: Literal["passed", "failed", "undecided"]
    evidence: str
    """The numbers, in one sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a validity check may look at."""

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
    """With which parameters."""
    rows: pd.DataFrame
    """What it left: every image of the set."""


@dataclass(frozen=True, slots=True)
class ValidityCheck:
    """One question to an evaluation."""

    id: str
    """Its number in the literature list, such as ``S5``."""
    name: str
    """Said when it falls: ``output is logits``."""
    meaning: str
    """What it guards against, in one sentence with a full stop."""
    source: str
    """Paper and section, or what went wrong in which projects."""
    guards: Callable[[Measure], bool]
    """Which measures depend on it."""
    run: Callable[[Evidence], CheckResult]
    """The answer. NotApplicableError, and any error of a network, count as *cannot tell*."""
    cost: Depth = "cheap"
    """Cheap ones run with every check."""
    severity: Literal["error", "warn"] = "error"
    """Whether a fall makes the verdict INVALID, or is shown."""
    scope: Literal["classifier", "images", "measure"] = "measure"
    """``classifier``: one answer serves every measure that asks this classifier; ``images``: every
    one that asks it about these images."""


def passed(evidence: str) -> CheckResult:
    """Return that there is evidence for it."""
    return CheckResult("passed", evidence)


def failed(evidence: str) -> CheckResult:
    """Return that there is evidence against it."""
    return CheckResult("failed", evidence)


def undecided(evidence: str) -> CheckResult:
    """Return that there is evidence for neither."""
    return CheckResult("undecided", evidence)


def rate(bad: int, n: int, limit: float, what: str) -> CheckResult:
    """Hold a count against a limit on its rate: a test, not the rate itself.

    It falls only when so many would come about with probability under 1 % at a rate of ``limit``
    (one-sided binomial). It holds when the rate is within the limit and a worse one could have
    been seen; otherwise nobody can tell.

    Args:
        bad: how many are bad.
        n: of how many.
        limit: highest rate that is fine, a fraction.
        what: in words, such as ``images whose gradient is 0``.
    """
    from scipy.stats import binom

    said = f"{bad} of {n} {what}, at most {limit:.3g} of them allowed"
    if n == 0 or float(binom.sf(n - 1, n, limit)) >= SIGNIFICANCE:
        return undecided(f"{said}; too few to tell")
    chance = float(binom.sf(bad - 1, n, limit))
    if chance < SIGNIFICANCE:
        return failed(f"{said} (by chance with p = {chance:.1g})")
    if bad / n <= limit:
        return passed(said)
    return undecided(f"{said}; so many come about by chance with p = {chance:.2g}")


def every(_: Measure) -> bool:
    """Guard every measure that looks at images."""
    return True


def labelled(measure: Measure) -> bool:
    """Guard measures that mean nothing without labels."""
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
    """Guard measures that attack with many steps; of one step nobody expects to arrive."""
    return attacking(measure) and measure.iterated


def reading(*columns: str, also: Callable[[Measure], bool] = every) -> Callable[[Measure], bool]:
    """Guard measures that declare these columns of their rows, or have them as their axis."""

    def guards(measure: Measure) -> bool:
        axis = measure.axis[:1] if measure.axis else ()
        return {*columns} <= {*measure.columns, *axis} and also(measure)

    return guards
