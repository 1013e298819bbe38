"""Tables that users write, checked: unknown keys and wrong values become sentences."""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Tag, ValidationError

from vision_evals.core.errors import UserError, did_you_mean

NAME = r"^[A-Za-z0-9._-]+$"
SHA256 = r"^[0-9a-f]{64}$"

PATTERNS = {
    NAME: "must be made of letters, digits, '.', '_' and '-' only",
    SHA256: "must be 64 lower-case hexadecimal digits",
}
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


def parse_toml(text: str, where: object) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises:
        UserError: it is not valid TOML; ``where`` begins the message.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where}: not valid TOML: {error}") from None


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
    shown = "" if isinstance(value, Mapping | BaseModel) else f" = {value!r}"
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
