"""A suite read from its text: every mistake that can be found there, each with its repair."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.tables import keys, parse_toml, validate
from vision_evals.suite.expectation import Expectation
from vision_evals.suite.possible import check_expectation
from vision_evals.suite.spec import Spec
from vision_evals.suite.suite import Check, CheckTable, Suite, SuiteTable

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
        raise UserError("\n".join(unused))
    return suite


def _checks(
    table: SuiteTable, text: str, path: str, measure: Callable[[str], Spec]
) -> tuple[Check, ...]:
    """Read every check; the mistakes of all of them are reported together."""
    lines = [n for n, line in enumerate(text.split("\n"), 1) if re.match(r"\s*\[\[check\]\]", line)]
    checks, mistakes = [], []
    for index, data in enumerate(table.check):
        line = lines[index] if index < len(lines) else 1
        try:
            checks.append(_check(data, path, line, measure))
        except UserError as error:
            mistakes.append(str(error))
    names = [check.name for check in checks]
    mistakes += [
        f'{path}: two checks are named "{name}"; ids need one name each'
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if mistakes:
        raise UserError("\n".join(mistakes))
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
