"""Expectations that make no sense, refused before anything is measured."""

from __future__ import annotations

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.tables import Table
from vision_evals.suite.expectation import Expectation, Reference, same_point
from vision_evals.suite.spec import MetricSpec, Spec


def check_expectation(expectation: Expectation, of: Spec, parameters: Table, where: str) -> None:
    """Compare an expectation with what a measure declares.

    Raises:
        UserError: there is no such metric or point, or no network could fail or meet it.
    """
    names = [metric.name for metric in of.metrics]
    if expectation.metric not in names:
        hint = did_you_mean(expectation.metric, names)
        raise UserError(f'{where}: unknown metric "{expectation.metric}"{hint}')
    spec = of.metric(expectation.metric)
    if expectation.confidence is not None and spec.interval is None:
        raise UserError(f"{where}: {expectation.metric} has no interval; leave out `confidence`")
    referring = any(isinstance(bound, Reference) for _, bound in expectation.bounds)
    if of.subject is not None and referring:
        raise UserError(f"{where}: {of.name} uses no classifier; compare with a number")
    for side, bound in expectation.bounds:
        if isinstance(bound, float):
            _can_fail(spec, side, bound, where)
        else:
            _can_be_compared(spec, expectation, side, bound, where)
    _has_its_point(expectation, spec.axis, parameters, where)


def _has_its_point(
    expectation: Expectation, axis: str | None, parameters: Table, where: str
) -> None:
    """Refuse a point where a metric has no axis, and none or another where it has one."""
    if axis is None:
        if expectation.at is not None:
            raise UserError(f"{where}: {expectation.metric} has no axis; leave out `at`")
        return
    values = [str(value) for value in getattr(parameters, axis)]
    if expectation.at is None:
        raise UserError(f"{where}: {expectation.metric} needs `at`, one of {axis}")
    if not any(same_point(expectation.at, value) for value in values):
        raise UserError(
            f"{where}: at = {expectation.at!r} is none of {axis} = [{', '.join(values)}]"
        )


def _can_fail(spec: MetricSpec, side: str, bound: float, where: str) -> None:
    """Refuse a threshold that every value meets, or none: often percent instead of a share."""
    low, high = spec.range
    if not low <= bound <= high or (side, bound) in {("at_least", low), ("at_most", high)}:
        verb = "cannot fail" if (bound <= low) == (side == "at_least") else "cannot be met"
        raise UserError(
            f"{where}: {spec.name} {side} = {bound:g} {verb}: it lies in [{low:g}, {high:g}]"
            + (f"; {bound:g} % is {bound / 100:g}" if high == 1 < bound <= 100 else "")
        )


def _can_be_compared(
    spec: MetricSpec, expectation: Expectation, side: str, bound: Reference, where: str
) -> None:
    """Refuse a margin that no network can cross, and a test on pairs where there are none."""
    low, high = spec.range
    allowed = -bound.margin if side == "at_least" else bound.margin
    if bound.of != "published" and allowed >= high - low:
        of = "the baseline" if bound.of == "baseline" else bound.of
        raise UserError(
            f"{where}: {spec.name} {side} that of {of}, {allowed:g} away: cannot fail, "
            f"for it lies in [{low:g}, {high:g}]"
            + (f"; {allowed:g} % is {allowed / 100:g}" if high == 1 <= allowed else "")
        )
    if expectation.confidence is not None and bound.of != "published" and spec.per_image is None:
        raise UserError(
            f"{where}: {spec.name} is not a mean over images, so there is no test on pairs of it; "
            "leave out `confidence`"
        )
