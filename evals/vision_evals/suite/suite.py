"""A suite: TOML that says what a network must do. What it does not know, it refuses."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, create_model, model_validator

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.tables import NAME, Table, keys, validate
from vision_evals.log import Depth
from vision_evals.suite.spec import MetricSpec, Spec

FORMAT = 1
"""Value of ``evals =`` that this version reads."""

RESERVED = {"published", "baseline"}
"""What a threshold can be taken from that is no classifier of this run."""

Name = Annotated[str, Field(pattern=NAME)]


class Reference(Table):
    """A threshold taken from elsewhere."""

    of: str
    """``baseline``, ``published``, or the alias of another classifier."""
    plus: float = 0.0
    """Added to it."""
    minus: float = 0.0
    """Taken from it."""

    @property
    def margin(self) -> float:
        """By how much the threshold lies above the reference."""
        return self.plus - self.minus

    @property
    def alias(self) -> str | None:
        """The classifier of this run that it names, if it names one."""
        return None if self.of in RESERVED else self.of


Bound = Annotated[
    Annotated[float, Field(strict=True), Tag("number")] | Annotated[Reference, Tag("reference")],
    Discriminator(lambda value: "reference" if isinstance(value, dict | Reference) else "number"),
]
"""A number, or one taken from elsewhere."""


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
    """Ask for the two-sided interval at this confidence, not for the point."""
    severity: Literal["error", "warn"] = "error"
    """``warn`` is shown and fails nothing."""
    known: str | None = None
    """Reason why a fall is expected; it is then shown and fails nothing."""
    for_: tuple[str, ...] | None = Field(default=None, alias="for")
    """Aliases it is meant for; all of them without this key."""

    @model_validator(mode="after")
    def _bounded(self) -> Expectation:
        if self.at_least is None and self.at_most is None:
            raise ValueError("an expectation needs at_least or at_most")
        low, high = self.at_least, self.at_most
        if isinstance(low, float) and isinstance(high, float) and low > high:
            raise ValueError(f"nothing is at least {low:g} and at most {high:g}")
        for side, bound in self.bounds:
            if isinstance(bound, Reference) and bound.of == "baseline":
                self._allowing(side, bound)
        return self

    def _allowing(self, side: str, bound: Reference) -> None:
        """Refuse a gate on whose very border an unchanged network lies, if it must be shown."""
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


class CheckTable(Table):
    """The keys every check has; the others are parameters of its measure."""

    name: Name
    """Becomes part of the pytest id."""
    measure: str
    """``accuracy``, ... or ``my_package.module:name`` for one of your own."""
    images: str | None = None
    """Role of the image set: ``photographs``, or one from the suite's ``[images]``; for measures
    that look at images."""
    against: str | None = None
    """Role of a second image set to compare with, for measures that do."""
    models: tuple[str, ...] | None = None
    """Classifiers of this check, whatever the command line says."""
    unreadable: Literal["fail", "skip"] = "fail"
    """What pictures that cannot be decoded do to the verdict."""
    validity: Depth = "cheap"
    """Which validity checks run: the cheap ones, or thorough ones too."""
    expect: tuple[Expectation, ...]
    """What must hold; ``[]`` only records."""


class SuiteTable(Table):
    """A whole suite, its checks still unread."""

    evals: Literal[1]
    """Marks a suite, and its format."""
    title: str
    """One line."""
    about: str = ""
    """What the suite asks and why."""
    models: tuple[str, ...] = ()
    """Default classifiers; those that are not to be had here are skipped."""
    images: dict[Name, str] = Field(default_factory=dict)
    """Role to source, relative to this file; the command line's goes first."""
    unavailable: dict[Name, str] = Field(default_factory=dict)
    """Role to the reason why its pictures are not here, until somebody names them."""
    familywise: bool = False
    """Whether the error rate is that of all gates of this file together: each gets an equal part.
    """
    check: tuple[dict[str, Any], ...] = ()
    """``[[check]]`` tables."""


@dataclass(frozen=True, slots=True)
class Check:
    """One ``[[check]]`` with its measure."""

    table: CheckTable
    spec: Spec
    parameters: Table
    line: int
    """Of its header in the file, from 1."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.table.name

    def expectations(self, alias: str | None) -> tuple[Expectation, ...]:
        """Those meant for this classifier; all of them for None."""
        return tuple(
            e for e in self.table.expect if alias is None or e.for_ is None or alias in e.for_
        )

    def references(self, alias: str | None) -> set[str]:
        """Aliases that this classifier's thresholds name; those of all for None."""
        return {b.alias for _, b in self._referring(alias) if b.alias is not None}

    def gates(self, alias: str | None) -> int:
        """How many of this classifier's thresholds a paired test decides; of all for None."""
        return sum(paired(self.spec, e, bound) for e, bound in self._referring(alias))

    def on_baseline(self, alias: str) -> bool:
        """Whether a threshold of this classifier is the baseline's."""
        return any(bound.of == "baseline" for _, bound in self._referring(alias))

    def _referring(self, alias: str | None) -> Iterator[tuple[Expectation, Reference]]:
        for expectation in self.expectations(alias):
            for _, bound in expectation.bounds:
                if isinstance(bound, Reference):
                    yield expectation, bound


@dataclass(frozen=True, slots=True)
class Suite:
    """One file."""

    path: str
    title: str
    about: str
    models: tuple[str, ...]
    images: Mapping[str, str]
    unavailable: Mapping[str, str]
    """Role to the reason why nobody ships its pictures."""
    checks: tuple[Check, ...]
    familywise: bool = False
    """Whether its gates share one error rate."""
    sha256: str = ""
    """Of its text."""

    @property
    def gates(self) -> int:
        """Paired tests written in it, whatever is selected."""
        return sum(check.gates(None) for check in self.checks)

    def references(self) -> set[str]:
        """Every alias that a threshold, a parameter or ``for`` names."""
        limits = {
            alias for check in self.checks for e in check.table.expect for alias in e.for_ or ()
        }
        mentioned = (set(check.spec.aliases(check.parameters)) for check in self.checks)
        return limits.union(*mentioned, *(check.references(None) for check in self.checks))

    def roles(self) -> set[str]:
        """Every role of images that a check names."""
        pairs = ((check.table.images, check.table.against) for check in self.checks)
        return {role for pair in pairs for role in pair if role is not None}


def paired(spec: Spec, expectation: Expectation, bound: Reference) -> bool:
    """Whether a test on pairs of images decides a threshold, and not two numbers alone.

    Against the baseline always, where the metric is a mean over images; against another classifier
    where the suite asks for ``confidence``.
    """
    per_image = spec.metric(expectation.metric).per_image is not None
    asked = bound.of == "baseline" or (bound.alias and expectation.confidence is not None)
    return bool(per_image and asked)


def is_suite(text: str) -> bool:
    """Whether a TOML text marks itself as a suite: ``evals = 1`` before its first table."""
    head = re.split(r"^\s*\[", text, maxsplit=1, flags=re.MULTILINE)[0]
    mark = r"""^\ufeff?\s*["']?evals["']?\s*=\s*\d"""
    return re.search(mark, head, flags=re.MULTILINE) is not None


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
    try:
        data = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None
    if data.get("evals") != FORMAT:
        raise UserError(f"{path}: evals = {data.get('evals')!r}: this version reads evals = 1")
    table = validate(SuiteTable, data, path)
    lines = [n for n, line in enumerate(text.split("\n"), 1) if re.match(r"\s*\[\[check\]\]", line)]
    if not table.check:
        raise UserError(f"{path}: has no [[check]]: a suite without checks judges nothing")
    checks, mistakes = [], []
    for index, one in enumerate(table.check):
        line = lines[index] if index < len(lines) else 1
        try:
            checks.append(_check(one, path, line, measure))
        except UserError as error:
            mistakes.append(str(error))
    names = [check.name for check in checks]
    mistakes += [
        f'{path}: two checks are named "{name}"; ids need one name each'
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    suite = Suite(
        path,
        table.title,
        table.about,
        table.models,
        table.images,
        table.unavailable,
        tuple(checks),
        table.familywise,
        digest(text),
    )
    if not mistakes:
        mistakes = [
            f'{path}: [{key}] names "{role}", which no check is about'
            + did_you_mean(role, suite.roles())
            for key, named in (("images", table.images), ("unavailable", table.unavailable))
            for role in sorted(set(named) - suite.roles())
        ]
    if mistakes:
        raise UserError("\n".join(mistakes))
    return suite


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
    _fitting(table, spec, where)
    check = Check(table, spec, parameters, line)
    for expectation in table.expect:
        _known_metric(expectation, check, where)
    return check


def _fitting(table: CheckTable, spec: Spec, where: str) -> None:
    """Refuse images and models of a measure that asks none, and a measure without its images."""
    if spec.images and table.images is None:
        raise UserError(f'{where}: key "images" is missing; it says what {spec.name} looks at')
    if not spec.images and table.images is not None:
        raise UserError(f"{where}: {spec.name} looks at no images; leave out `images`")
    if table.against is not None and not spec.against:
        raise UserError(f"{where}: {spec.name} compares no two image sets; leave out `against`")
    if spec.subject is not None and table.models is not None:
        raise UserError(f"{where}: {spec.name} asks no classifier; leave out `models`")


def _known_metric(expectation: Expectation, check: Check, where: str) -> None:
    names = [metric.name for metric in check.spec.metrics]
    if expectation.metric not in names:
        hint = did_you_mean(expectation.metric, names)
        raise UserError(f'{where}: unknown metric "{expectation.metric}"{hint}')
    spec = check.spec.metric(expectation.metric)
    if expectation.confidence is not None and spec.interval is None:
        raise UserError(f"{where}: {expectation.metric} has no interval; leave out `confidence`")
    referring = any(isinstance(bound, Reference) for _, bound in expectation.bounds)
    if check.spec.subject is not None and referring:
        raise UserError(f"{where}: {check.spec.name} asks no classifier; compare with a number")
    for side, bound in expectation.bounds:
        if isinstance(bound, float):
            _can_fail(spec, side, bound, where)
        else:
            _can_be_compared(spec, expectation, side, bound, where)
    axis = spec.axis
    if axis is None and expectation.at is not None:
        raise UserError(f"{where}: {expectation.metric} has no axis; leave out `at`")
    if axis is not None:
        values = [str(value) for value in getattr(check.parameters, axis)]
        if expectation.at is None:
            raise UserError(f"{where}: {expectation.metric} needs `at`, one of {axis}")
        if not any(same_point(expectation.at, value) for value in values):
            raise UserError(
                f"{where}: at = {expectation.at!r} is none of {axis} = [{', '.join(values)}]"
            )


def _can_fail(spec: MetricSpec, side: str, bound: float, where: str) -> None:
    """Refuse a threshold that every value meets, or none: percent for a share, mostly."""
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
            f"{where}: {spec.name} is no mean over images, so there is no test on pairs of it; "
            "leave out `confidence`"
        )


def same_point(a: object, b: object) -> bool:
    """Whether two values of an axis are equal: numbers exactly (0.5 is "1/2"), words as is."""
    try:
        return Fraction(str(a)) == Fraction(str(b))
    except (ValueError, ZeroDivisionError):
        return str(a) == str(b)


def json_schema(specs: Sequence[Spec]) -> dict[str, Any]:
    """Return the JSON Schema of a suite, the parameters of every measure included."""
    schema = SuiteTable.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    kinds = []
    for spec in specs:
        kind = create_model(spec.name, __base__=(CheckTable, spec.parameters))
        one = kind.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(one.pop("$defs", {}))
        one["properties"]["measure"] = {"const": spec.name, "description": spec.about}
        kinds.append(one)
    schema["properties"]["check"] = {"type": "array", "items": {"oneOf": kinds}, "minItems": 1}
    return schema
