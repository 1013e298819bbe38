"""Attacks of foolbox by their names there, with parameters that suit them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from vision_evals.attacks.foolboxes import FoolboxAttack, library
from vision_evals.core.errors import UnavailableError, UserError, did_you_mean

_NORMS = {float("inf"): "linf", 2.0: "l2"}
_POSITIVE = ("steps", "stepsize", "repeats", "directions", "population")
"""Ends of names of parameters that foolbox takes at 0 and below, too, and then does nothing."""


def foolbox_attack(name: str, parameters: Mapping[str, object]) -> FoolboxAttack:
    """Return an attack of foolbox.

    Args:
        name: of its class, such as ``L2CarliniWagnerAttack``.
        parameters: of its constructor. Attacks that leave their distance open take ``distance``
            "linf" or "l2".

    Raises:
        UserError: there is no such attack, it does not take these parameters, or it measures
            distance in a norm in which there is no ball here.
    """
    foolbox = library()
    known = _classes(foolbox)
    if name not in known:
        raise UserError(f'foolbox has no attack "{name}"{did_you_mean(name, known)}')
    where = f"foolbox.{name}"
    given = _held(where, inspect.signature(known[name]), parameters)
    if isinstance(given.get("distance"), str):
        given["distance"] = _distance(foolbox, where, given["distance"])
    try:
        made = known[name](**given)
    except ImportError as error:
        raise UnavailableError(f"{where} needs a package that is not here: {error}") from error
    except Exception as error:  # whatever a constructor may think of its arguments
        said = str(error) or type(error).__name__
        raise UserError(f"{where} does not take these parameters: {said}") from error
    norm = _norm(made)
    if norm is None:
        open_distance = "distance" in inspect.signature(known[name]).parameters
        repair = 'write distance = "linf" or "l2"' if open_distance else "name another attack"
        raise UserError(
            f"{where} measures {_distance_of(made) or 'no distance'}; there are balls of norm "
            f'"linf" and "l2": {repair}'
        )
    iterated = "steps" in inspect.signature(known[name]).parameters
    return FoolboxAttack(where, frozenset({norm}), iterated, made)


def _classes(foolbox: Any) -> dict[str, type]:
    """Return what can be run, by every name that foolbox gives it."""
    return {
        name: found
        for name, found in vars(foolbox.attacks).items()
        if inspect.isclass(found)
        and issubclass(found, foolbox.attacks.Attack)
        and not inspect.isabstract(found)
    }


def _held(
    where: str, signature: inspect.Signature, parameters: Mapping[str, object]
) -> dict[str, object]:
    for key in parameters:
        if key not in signature.parameters:
            shown = ", ".join(signature.parameters)
            takes = f"only {shown}" if shown else "and takes none"
            near = did_you_mean(key, signature.parameters)
            near = near if near.startswith("; did") else ""
            raise UserError(f'{where} has no parameter "{key}", {takes}{near}')
    for key, parameter in signature.parameters.items():
        if parameter.default is parameter.empty and key not in parameters:
            raise UserError(f'{where} needs the parameter "{key}"')
    return {
        key: _fitting(where, signature.parameters[key], value) for key, value in parameters.items()
    }


def _fitting(where: str, parameter: inspect.Parameter, value: object) -> object:
    """Return a value as foolbox takes it, which would stumble over a wrong one in a run."""
    key, wanted = parameter.name, parameter.annotation
    if key == "distance":
        return value
    if not _writable(wanted):
        raise UserError(f"{where}: {key} is an object of foolbox's, which no suite can hold")
    strict = TypeAdapter(wanted, config=ConfigDict(strict=True, allow_inf_nan=False))
    try:
        found: object = strict.validate_python(tuple(value) if isinstance(value, list) else value)
    except ValidationError:
        raise UserError(f"{where}: {key} = {value!r} is no {_words(wanted)}") from None
    if isinstance(found, int | float) and found <= 0 and key.endswith(_POSITIVE):
        raise UserError(f"{where}: {key} = {value!r}; must be above 0")
    return found


def _writable(wanted: Any) -> bool:
    if get_origin(wanted) in (Union, tuple):
        return all(map(_writable, get_args(wanted)))
    return wanted in (int, float, bool, str, type(None)) or get_origin(wanted) is Literal


def _words(wanted: Any) -> str:
    """Return ``int``, ``float or None``, ``'linf' or 'l2'``."""
    if get_origin(wanted) is tuple:
        return f"list of {' and '.join(map(_words, get_args(wanted)))}"
    if get_origin(wanted) in (Union, Literal):
        return " or ".join(map(_words, get_args(wanted)))
    if wanted in (None, type(None)):
        return "None"
    return wanted.__name__ if isinstance(wanted, type) else repr(wanted)


def _distance(foolbox: Any, where: str, written: object) -> Any:
    if written not in _NORMS.values():
        raise UserError(f'{where}: distance = "{written}" is unknown; write "linf" or "l2"')
    return getattr(foolbox.distances, str(written))


def _distance_of(attack: Any) -> Any:
    try:
        return attack.distance
    except (AttributeError, ValueError):  # none at all, or left open
        return None


def _norm(attack: Any) -> str | None:
    return _NORMS.get(getattr(_distance_of(attack), "p", None))  # type: ignore[arg-type]
