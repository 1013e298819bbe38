"""Tables that people write, checked: unknown keys and wrong values become sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from evals.errors import UserError, did_you_mean


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
        raise UserError("\n".join(_sentence(model, e, where) for e in error.errors())) from None


def keys(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys a person may write, aliases applied (``for``, not ``for_``)."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _sentence(model: type[BaseModel], error: Any, where: str) -> str:
    path = [part for part in error["loc"] if isinstance(part, str | int)]
    place = ".".join(str(part) for part in path)
    match error["type"]:
        case "extra_forbidden":
            known = keys(model) if len(path) == 1 else ()
            return f'{where}: unknown key "{place}"{did_you_mean(str(path[-1]), known)}'
        case "missing":
            return f'{where}: key "{place}" is missing'
        case "value_error":
            return f'{where}: "{place}": {error["ctx"]["error"]}'
        case _:
            given = f" (got {error['input']!r})"
            return f'{where}: "{place}": {error["msg"][0].lower()}{error["msg"][1:]}{given}'
