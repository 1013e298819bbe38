"""A suite read from its text: every mistake that can be found there, each with its repair.

Expectations that make no sense are refused here, before anything is measured.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.tables import Table, keys, parse_toml, validate
from vision_evals.suite.expectation import Expectation, Reference, same_point
from vision_evals.suite.spec import MetricSpec, Spec
from vision_evals.suite.suite import Check, CheckTable, Suite, SuiteTable


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
            if expectation.confidence is not None:
                _interval_can_reach(spec, side, bound, where)
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


def _interval_can_reach(spec: MetricSpec, side: str, bound: float, where: str) -> None:
    """Refuse the ends of the range: the interval of a share never lies on one of them."""
    low, high = spec.range
    if spec.interval == "wilson" and (side, bound) in {("at_least", high), ("at_most", low)}:
        raise UserError(
            f"{where}: {spec.name} {side} = {bound:g} with confidence cannot be met: the interval "
            "of a share reaches below 1 and above 0; leave out `confidence`"
        )


def _has_its_key(spec: MetricSpec, tables: tuple[Table, Table], where: str) -> None:
    """Refuse an expectation of a metric that has no value in this check."""
    if spec.needs and not any(getattr(table, spec.needs, None) for table in tables):
        raise UserError(
            f"{where}: {spec.name} needs `{spec.needs}`, which this check does not have: nothing "
            "could fail the expectation"
        )


def _can_be_compared(
    spec: MetricSpec, expectation: Expectation, side: str, bound: Reference, where: str
) -> None:
    """Refuse a margin that no network can cross, and a test on pairs where there are none."""
    low, high = spec.range
    allowed = -bound.margin if side == "at_least" else bound.margin
    if allowed >= high - low or -allowed > high - low:
        of = "the baseline" if bound.of == "baseline" else bound.of
        size, verb = abs(allowed), "cannot fail" if allowed > 0 else "cannot be met"
        raise UserError(
            f"{where}: {spec.name} {side} that of {of}, {size:g} away: {verb}, "
            f"for it lies in [{low:g}, {high:g}]"
            + (f"; {size:g} % is {size / 100:g}" if high == 1 <= size else "")
        )
    if expectation.confidence is not None and bound.of != "published" and spec.per_image is None:
        raise UserError(
            f"{where}: {spec.name} is not a mean over images, so there is no test on pairs of it; "
            "leave out `confidence`"
        )


FORMAT = 1
"""Value of ``evals =`` that this version reads."""


def digest(text: str) -> str:
    """Return the sha256 of a suite's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def parse(text: str, path: str, measure: Callable[[str], Spec]) -> Suite:
    """Read a suite.

    Args:
        text: the file.
        path: its name in messages and ids.
        measure: returns the spec of that name; UserError if there is none.

    Raises:
        UserError: one line for each mistake, each with file, check, key and repair.
    """
    data = parse_toml(text.removeprefix("\ufeff"), path)
    if data.get("evals") != FORMAT:
        raise UserError(f"{path}: evals = {data.get('evals')!r}: this version reads evals = 1")
    table = validate(SuiteTable, data, path)
    if not table.check:
        raise UserError(f"{path}: has no [[check]]: a suite without checks judges nothing")
    checks = _checks(table, text, path, measure)
    suite = Suite(
        path=path,
        title=table.title,
        about=table.about,
        models=table.models,
        images=table.images,
        unavailable=table.unavailable,
        checks=checks,
        familywise=table.familywise,
        sha256=digest(text),
    )
    if unused := [
        f'{path}: [{key}] names "{role}", which no check uses' + did_you_mean(role, suite.roles())
        for key, named in (("images", table.images), ("unavailable", table.unavailable))
        for role in sorted(set(named) - suite.roles())
    ]:
        raise UserError(*unused)
    return suite


def _checks(
    table: SuiteTable, text: str, path: str, measure: Callable[[str], Spec]
) -> tuple[Check, ...]:
    """Read every check; the mistakes of all of them are reported together."""
    lines = [n for n, line in enumerate(text.split("\n"), 1) if re.match(r"\s*\[\[check\]\]", line)]
    checks: list[Check] = []
    mistakes: list[str] = []
    for index, data in enumerate(table.check):
        line = lines[index] if index < len(lines) else 1
        try:
            checks.append(_check(data, path, line, measure))
        except UserError as error:
            mistakes += error.args
    names = [check.name for check in checks]
    mistakes += [
        f'{path}: two checks are named "{name}"; ids need one name each'
        for name, count in sorted(Counter(names).items())
        if count > 1
    ]
    if mistakes:
        raise UserError(*mistakes)
    return tuple(checks)


def _check(data: Mapping[str, Any], path: str, line: int, measure: Callable[[str], Spec]) -> Check:
    where = f'{path}:{line}, check "{data.get("name", "?")}"'
    if not isinstance(data.get("measure"), str):
        raise UserError(f'{where}: key "measure" is missing; it says what to compute')
    if "expect" not in data:
        raise UserError(f'{where}: key "expect" is missing; expect = [] only records')
    try:
        spec = measure(data["measure"])
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    common, own = keys(CheckTable), keys(spec.parameters)
    for key in data:
        if key not in (*common, *own):
            hint = did_you_mean(key, (*common, *own))
            raise UserError(f'{where}: unknown key "{key}" for measure {spec.name}{hint}')
    expect = data["expect"] if isinstance(data["expect"], list) else [data["expect"]]
    wanted = [validate(Expectation, e, f"{where}, expect {n}") for n, e in enumerate(expect, 1)]
    shared = {k: v for k, v in data.items() if k in common} | {"expect": wanted}
    table = validate(CheckTable, shared, where)
    parameters = validate(spec.parameters, {k: v for k, v in data.items() if k in own}, where)
    _check_images_and_models(table, spec, where)
    for expectation in table.expect:
        check_expectation(expectation, spec, parameters, where)
        _has_its_key(spec.metric(expectation.metric), (table, parameters), where)
    return Check(table, spec, parameters, line)


def _check_images_and_models(table: CheckTable, spec: Spec, where: str) -> None:
    """Refuse keys that the measure does not use, and a measure without its images."""
    if spec.images and table.images is None:
        raise UserError(f'{where}: key "images" is missing; it names the images of {spec.name}')
    if not spec.images and table.images is not None:
        raise UserError(f"{where}: {spec.name} uses no images; leave out `images`")
    if table.against is not None and not spec.against:
        raise UserError(f"{where}: {spec.name} compares no two image sets; leave out `against`")
    if spec.subject is not None and table.models is not None:
        raise UserError(f"{where}: {spec.name} uses no classifier; leave out `models`")
