"""Tables that users write, checked: unknown keys and wrong values become sentences."""

from __future__ import annotations

import functools
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Tag, ValidationError

from vision_evals.core.errors import UserError, cut, did_you_mean
from vision_evals.core.paths import read_text

NAME = r"^[A-Za-z0-9._-]+$"
SHA256 = r"^[0-9a-f]{64}$"

PATTERNS = {
    NAME: "must be made of letters, digits, '.', '_' and '-' only",
    SHA256: "must be 64 lower-case hexadecimal digits",
}
MAX_SHOWN_CHARS = 200
"""Of a wrong value in a message."""

KINDS = {"tuple_type": "a list", "list_type": "a list", "dict_type": "a table",
         "model_type": "a table", "model_attributes_type": "a table"}  # fmt: skip


class Table(BaseModel):
    """A TOML table: frozen, and strict about its keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


T = TypeVar("T", bound=BaseModel)


def validate(model: type[T], data: Mapping[str, Any], where: str) -> T:
    """Return ``data`` as a ``model``.

    Raises:
        UserError: one line for each mistake, ``where`` first, with the nearest right word.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        messages: dict[str, list[str]] = {}
        for detail in error.errors():
            place, message = _sentence(model, data, detail)
            if place.endswith(" "):  # one value, and every kind of value it could have been
                messages.setdefault(place, []).append(message)
            else:
                messages[place + message] = [""]
        lines = (f"{where}: {place}{' or '.join(words)}" for place, words in messages.items())
        raise UserError(*lines) from None


MAX_BYTES, MAX_DEPTH = 1_000_000, 32
"""Of a TOML file, and of tables and lists within one another."""

_PART = r"""(?:(?<![\w-])[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
_DEEP_KEY = re.compile(rf"{_PART}(?:\.[ \t]*+{_PART}){{{MAX_DEPTH}}}")
"""For which tomllib takes time by the square, or by the cube, of its parts."""


def toml_text(path: Path) -> str:
    """Return the text of a TOML file.

    Raises:
        UserError: it cannot be read, is not UTF-8, or is larger than any person writes.
    """
    return read_text(path, MAX_BYTES)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file; UserError where it is not one."""
    return parse_toml(toml_text(path), path)


def parse_toml(text: str, where: object) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises:
        UserError: it is not valid TOML, or holds what no file of ours needs and some program that
            reads it fails at; ``where`` begins the message.
    """
    if _DEEP_KEY.search(text):
        raise UserError(f"{where}: not valid TOML: a key of more than {MAX_DEPTH} parts")
    try:
        tables = tomllib.loads(text)
        _require_plain(tables)
    except RecursionError:
        raise UserError(f"{where}: not valid TOML: tables or lists too deep") from None
    except ValueError as error:  # among them numbers of thousands of digits
        raise UserError(f"{where}: not valid TOML: {error}") from None
    return tables


def _require_plain(value: object, depth: int = 0) -> None:
    """Refuse what is no number, text or list of a person; ValueError says what it is."""
    if depth > MAX_DEPTH:
        raise ValueError(f"tables or lists in one another more than {MAX_DEPTH} times")
    if isinstance(value, dict):
        _require_plain([*value, *value.values()], depth)
    elif isinstance(value, list):
        for item in value:
            _require_plain(item, depth + 1)
    elif isinstance(value, str) and "\0" in value:
        raise ValueError(f"a null character in {cut(value, 60)!r}")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number that needs more than 64 bits")


def rational(value: object) -> Fraction:
    """Return a number as people write it, exactly: ``7``, ``0.007``, ``"8/255"``, ``"1e-3"``.

    Raises:
        ValueError: it is none, or would take memory for hundreds of digits.
    """
    return _rational(str(value))


@functools.lru_cache(maxsize=4096)
def _rational(text: str) -> Fraction:
    exponent = text.lower().partition("e")[2]
    if len(text) > MAX_DIGITS or abs(int(exponent or 0)) > MAX_DIGITS:
        raise ValueError("more digits than a number here may have")
    try:
        return Fraction(text)
    except ZeroDivisionError as error:
        raise ValueError(str(error)) from None


MAX_DIGITS = 300
"""Of a number, its exponent of ten included: as many as a float has."""


def keys(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys a person may write, aliases applied (``for``, not ``for_``)."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _sentence(model: type[BaseModel], data: object, detail: Any) -> tuple[str, str]:
    """Return the place of a wrong value, and what is wrong with it."""
    path = list(_written(data, detail["loc"]))
    place = ".".join(map(str, path))
    value = detail["input"]
    if detail["type"] == "extra_forbidden":
        choices = keys(_inside(model, detail["loc"][:-1]))
        inside = f"{'.'.join(map(str, path[:-1]))}: " if len(path) > 1 else ""
        return "", f'{inside}unknown key "{path[-1]}"{did_you_mean(str(path[-1]), choices)}'
    if detail["type"] == "missing":
        return "", f'key "{".".join(map(str, [*path, detail["loc"][-1]]))}" is missing'
    if detail["type"] in KINDS:
        message = f"must be {KINDS[detail['type']]}"
    elif detail["type"] == "string_pattern_mismatch":
        message = PATTERNS.get(detail["ctx"]["pattern"], detail["msg"])
    else:
        message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    known = isinstance(value, Mapping | BaseModel)
    shown = "" if known else f" = {cut(repr(value), MAX_SHOWN_CHARS)}"
    return (f"{place}{shown}: " if place else ""), message


def _written(data: object, loc: tuple[int | str, ...]) -> Iterator[int | str]:
    """Yield the part of a place that is in the data: pydantic adds words of its own."""
    for part in loc:
        inside: Any = data
        if (isinstance(data, Mapping) and part in data) or (
            isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)
        ):
            data = inside[part]
            yield part


def _inside(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the model of a table within tables; of several kinds, the one whose tag is named."""
    kinds: list[tuple[str | None, type[BaseModel]]] = []
    for part in loc:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if part in fields:
            kinds = list(_models(fields[str(part)].annotation))
            model = kinds[0][1] if kinds else model
        else:
            model = next((kind for tag, kind in kinds if tag == part), model)
    return model


def _models(annotation: Any) -> Iterator[tuple[str | None, type[BaseModel]]]:
    """Yield the models within an annotation, each with its tag."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield None, annotation
    parts = typing.get_args(annotation)
    tag = next((part.tag for part in parts if isinstance(part, Tag)), None)
    for part in parts:
        yield from ((tag or inner, model) for inner, model in _models(part))
