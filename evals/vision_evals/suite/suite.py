"""A suite: TOML that says what a network must do. Unknown keys are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from vision_evals.core.tables import NAME, Table
from vision_evals.log import Depth
from vision_evals.suite.expectation import Classifiers, Expectation, Reference, paired
from vision_evals.suite.spec import Spec

Name = Annotated[str, Field(pattern=NAME)]


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
    """Role of a second image set, for measures that compare two."""
    models: Classifiers | None = None
    """Classifiers of this check, whatever the command line says."""
    unreadable: Literal["fail", "skip"] = "fail"
    """Whether pictures that cannot be decoded fail the check."""
    validity: Depth = "cheap"
    """Which validity checks run: the cheap ones, or thorough ones too."""
    expect: tuple[Expectation, ...]
    """Expectations; ``[]`` only records."""


class SuiteTable(Table):
    """A whole suite, its checks still unread."""

    evals: Literal[1]
    """Marks a suite, and its format."""
    title: str
    """One line."""
    about: str = ""
    """What the suite checks and why."""
    models: Classifiers = ()
    """Default classifiers; those that are unavailable are skipped."""
    images: dict[Name, str] = Field(default_factory=dict)
    """Role to source, relative to this file; the command line has priority."""
    unavailable: dict[Name, str] = Field(default_factory=dict)
    """Role to the reason why its pictures are not here, until the command line names them."""
    familywise: bool = False
    """Whether all gates of this file share one error rate: each gets an equal part."""
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
        """Those for this classifier; all of them for None."""
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
    """Role to the reason why its pictures are not shipped."""
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


def is_suite(text: str) -> bool:
    """Whether a TOML text marks itself as a suite: ``evals = 1`` before its first table."""
    head = re.split(r"^[ \t]*\[", text, maxsplit=1, flags=re.MULTILINE)[0]
    mark = r"""^\ufeff?[ \t]*["']?evals["']?[ \t]*=[ \t]*\d"""
    return re.search(mark, head, flags=re.MULTILINE) is not None


def json_schema(specs: Sequence[Spec]) -> dict[str, Any]:
    """Return the JSON Schema of a suite, the parameters of every measure included."""
    schema = SuiteTable.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    kinds = []
    for spec in specs:
        kind = create_model(spec.name, __base__=(CheckTable, spec.parameters))
        check = kind.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(check.pop("$defs", {}))
        check["properties"]["measure"] = {"const": spec.name, "description": spec.about}
        kinds.append(check)
    schema["properties"]["check"] = {"type": "array", "items": {"oneOf": kinds}, "minItems": 1}
    return schema
