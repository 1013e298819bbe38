"""Attacks of foolbox by their names there, with checked parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from vision_evals.attacks.foolboxes import FoolboxAttack, library
from vision_evals.core.errors import UnavailableError, UserError, did_you_mean

_NORMS = {float("inf"): "linf", 2.0: "l2"}
_POSITIVE = ("steps", "stepsize", "repeats", "directions", "population")
"""Endings of parameters for which foolbox accepts 0 and less, and then does nothing."""


def foolbox_attack(name: str, parameters: Mapping[str, object]) -> FoolboxAttack:
    """Return an attack of foolbox.

    Args:
        name: of its class, such as ``L2CarliniWagnerAttack``.
        parameters: of its constructor. Attacks without a fixed distance take ``distance`` "linf" or
            "l2".

    Raises:
        UserError: there is no such attack, it does not take these parameters, or there is no ball
            for the norm of its distance.
    """
    foolbox = library()
    classes = _classes(foolbox)
    if name not in classes:
        raise UserError(f'foolbox has no attack "{name}"{did_you_mean(name, classes)}')
    where, signature = f"foolbox.{name}", inspect.signature(classes[name])
    arguments = _arguments(where, signature, parameters)
    if isinstance(arguments.get("distance"), str):
        arguments["distance"] = _distance(foolbox, where, arguments["distance"])
    try:
        attack = classes[name](**arguments)
    except ImportError as error:
        raise UnavailableError(f"{where} needs a package that is not installed: {error}") from error
    except Exception as error:  # constructors raise anything
        message = str(error) or type(error).__name__
        raise UserError(f"{where} does not take these parameters: {message}") from error
    distance = _distance_of(attack)
    norm = _NORMS.get(getattr(distance, "p", None))  # type: ignore[arg-type]
    if norm is None:
        open_distance = "distance" in signature.parameters
        repair = 'write distance = "linf" or "l2"' if open_distance else "name another attack"
        raise UserError(
            f"{where} measures {distance or 'no distance'}; there are balls of norm "
            f'"linf" and "l2": {repair}'
        )
    return FoolboxAttack(where, frozenset({norm}), "steps" in signature.parameters, attack)


def _classes(foolbox: Any) -> dict[str, type]:
    """Return the attacks that can run, by every name in foolbox."""
    return {
        name: kind
        for name, kind in vars(foolbox.attacks).items()
        if inspect.isclass(kind)
        and issubclass(kind, foolbox.attacks.Attack)
        and not inspect.isabstract(kind)
    }


def _arguments(
    where: str, signature: inspect.Signature, parameters: Mapping[str, object]
) -> dict[str, object]:
    for key in parameters:
        if key not in signature.parameters:
            names = ", ".join(signature.parameters)
            takes = f"only {names}" if names else "and takes none"
            near = did_you_mean(key, signature.parameters)
            near = near if near.startswith("; did") else ""
            raise UserError(f'{where} has no parameter "{key}", {takes}{near}')
    for key, parameter in signature.parameters.items():
        if parameter.default is parameter.empty and key not in parameters:
            raise UserError(f'{where} needs the parameter "{key}"')
    return {
        key: _validated(where, signature.parameters[key], value)
        for key, value in parameters.items()
    }


def _validated(where: str, parameter: inspect.Parameter, value: object) -> object:
    """Return a value in foolbox's type; a wrong one would fail only during the run."""
    key, annotation = parameter.name, parameter.annotation
    if key == "distance":
        return value
    if not _writable(annotation):
        raise UserError(f"{where}: {key} is an object of foolbox, which a suite cannot contain")
    strict = TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))
    try:
        converted: object = strict.validate_python(
            tuple(value) if isinstance(value, list) else value
        )
    except ValidationError:
        raise UserError(f"{where}: {key} = {value!r}; must be {_words(annotation)}") from None
    if isinstance(converted, int | float) and converted <= 0 and key.endswith(_POSITIVE):
        raise UserError(f"{where}: {key} = {value!r}; must be above 0")
    return converted


def _writable(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, tuple):
        return all(map(_writable, get_args(annotation)))
    return annotation in (int, float, bool, str, type(None)) or get_origin(annotation) is Literal


def _words(annotation: Any) -> str:
    """Return ``int``, ``float or None``, ``'linf' or 'l2'``."""
    if get_origin(annotation) is tuple:
        return f"list of {' and '.join(map(_words, get_args(annotation)))}"
    if get_origin(annotation) in (Union, Literal):
        return " or ".join(map(_words, get_args(annotation)))
    if annotation in (None, type(None)):
        return "None"
    return annotation.__name__ if isinstance(annotation, type) else repr(annotation)


def _distance(foolbox: Any, where: str, norm: object) -> Any:
    if norm not in _NORMS.values():
        raise UserError(f'{where}: distance = "{norm}" is unknown; write "linf" or "l2"')
    return getattr(foolbox.distances, str(norm))


def _distance_of(attack: Any) -> Any:
    try:
        return attack.distance
    except (AttributeError, ValueError):  # no distance, or not chosen yet
        return None
