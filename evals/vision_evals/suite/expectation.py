"""Expectations of a metric: its thresholds, as a suite writes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from vision_evals.core.tables import Table, rational
from vision_evals.suite.spec import Spec

RESERVED = {"published", "baseline"}
"""References of a threshold that are not a classifier of this run."""


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("names no classifier, so nothing can fail; name one, or leave out the key")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'"{name}" is listed twice')
    return names


Classifiers = Annotated[tuple[str, ...], AfterValidator(_each_once)]
"""At least one name, all different."""


def _given(reason: str) -> str:
    if not reason.strip():
        raise ValueError("must say why the failure is expected; it excuses every failure")
    return reason


class Reference(Table):
    """A threshold that refers to another result."""

    of: str
    """``baseline``, ``published``, or the alias of another classifier."""
    plus: Annotated[float, Field(strict=True)] = 0.0
    """Added to it."""
    minus: Annotated[float, Field(strict=True)] = 0.0
    """Subtracted from it."""

    @property
    def margin(self) -> float:
        """By how much the threshold is above the reference."""
        return self.plus - self.minus

    @property
    def written(self) -> str:
        """It in words: ``baseline + 0.1``."""
        return f"{self.of} {'-' if self.margin < 0 else '+'} {abs(self.margin):g}"

    @property
    def alias(self) -> str | None:
        """The classifier of this run that it names, if any."""
        return None if self.of in RESERVED else self.of


Bound = Annotated[
    Annotated[float, Field(strict=True), Tag("number")] | Annotated[Reference, Tag("reference")],
    Discriminator(lambda value: "reference" if isinstance(value, dict | Reference) else "number"),
]
"""A number, or a reference to another result."""


class Expectation(Table):
    """A metric and its threshold."""

    metric: str
    """Name of a metric of the check's measure."""
    at: str | int | float | None = None
    """For metrics with an axis: one of the check's values."""
    at_least: Bound | None = None
    """Lowest value that passes."""
    at_most: Bound | None = None
    """Highest value that passes."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] | None = None
    """Compare the two-sided interval at this confidence, not the point."""
    severity: Literal["error", "warn"] = "error"
    """``warn`` is shown and fails nothing."""
    known: Annotated[str, AfterValidator(_given)] | None = None
    """Reason why a failure is expected; it is then shown and fails nothing."""
    for_: Classifiers | None = Field(default=None, alias="for")
    """Aliases that it applies to; all of them without this key."""

    @model_validator(mode="after")
    def _bounded(self) -> Expectation:
        if self.at_least is None and self.at_most is None:
            raise ValueError("an expectation needs at_least or at_most")
        low, high = self.at_least, self.at_most
        if isinstance(low, float) and isinstance(high, float) and low > high:
            raise ValueError(f"no value is at least {low:g} and at most {high:g}")
        if (
            isinstance(low, Reference)
            and isinstance(high, Reference)
            and low.of == high.of
            and low.margin > high.margin
        ):
            raise ValueError(f"no value is at least {low.written} and at most {high.written}")
        for side, bound in self.bounds:
            if isinstance(bound, Reference) and self.for_ == (bound.of,):
                raise ValueError(
                    f'for = ["{bound.of}"] compares {bound.of} with itself, which nothing can '
                    "fail; name another classifier in one of the two places"
                )
            if isinstance(bound, Reference) and bound.of == "baseline":
                self._needs_margin(side, bound)
        return self

    def _needs_margin(self, side: str, bound: Reference) -> None:
        """Refuse a gate that needs an interval but has no margin for an unchanged network."""
        if self.confidence is not None and bound.margin == 0:
            word = "minus" if side == "at_least" else "plus"
            raise ValueError(
                "with confidence a gate against the baseline needs a margin: at 0 a network that "
                "is just as good is inconclusive nine times in ten; write "
                f'{{ of = "baseline", {word} = 0.01 }}, or leave out confidence'
            )

    @property
    def bounds(self) -> tuple[tuple[Literal["at_least", "at_most"], float | Reference], ...]:
        """The bounds that were given."""
        low = (("at_least", self.at_least),) if self.at_least is not None else ()
        high = (("at_most", self.at_most),) if self.at_most is not None else ()
        return (*low, *high)


def paired(spec: Spec, expectation: Expectation, bound: Reference) -> bool:
    """Whether a test on pairs of images decides a threshold, rather than two numbers alone.

    Against the baseline always, if the metric is a mean over images; against another classifier
    if the suite sets ``confidence``.
    """
    per_image = spec.metric(expectation.metric).per_image is not None
    by_pairs = bound.of == "baseline" or (bound.alias and expectation.confidence is not None)
    return bool(per_image and by_pairs)


def same_point(a: object, b: object) -> bool:
    """Whether two values of an axis are equal: numbers exactly (0.5 is "1/2"), words as texts."""
    try:
        return rational(a) == rational(b)
    except ValueError:
        return str(a) == str(b)
