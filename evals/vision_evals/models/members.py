"""What a network computes with besides weights and source: hooks, and what its classes hold."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.nn.modules import module as torch_module

from vision_evals.core.cache.code import enclosed, is_own, unwrapped
from vision_evals.core.cache.describe import UnknownValueError

_OF_TORCH = tuple(vars(nn.Sequential()))
"""Attributes that torch itself gives every module."""

_INTERNALS = {"_abc_impl"}
"""Attributes that Python gives some classes, and that hide what they are."""


def own_values(module: nn.Module) -> dict[str, Any]:
    """Return the attributes of a module that torch does not give every one, hooks, extra state.

    Hooks are in the order in which they are called: torch numbers them over the whole process.
    """
    values = {k: v for k, v in vars(module).items() if k not in {*_OF_TORCH, "training"}}
    hooks = {k: list(getattr(module, k).values()) for k in _OF_TORCH if k.endswith("_hooks")}
    values["hooks"] = {kind: found for kind, found in hooks.items() if found}
    if type(module).get_extra_state is not nn.Module.get_extra_state:
        values["extra state"] = _extra_state(module)
    return values


def _extra_state(module: nn.Module) -> object:
    try:
        return module.get_extra_state()
    except Exception as error:
        raise UnknownValueError(f"{type(error).__name__} in get_extra_state()") from error


def global_hooks() -> dict[str, list[Any]]:
    """Return the hooks that torch calls in every module of this process."""
    kinds = ("forward_pre", "forward", "backward_pre", "backward")
    found = {kind: getattr(torch_module, f"_global_{kind}_hooks").values() for kind in kinds}
    return {kind: list(hooks) for kind, hooks in found.items() if hooks}


def hook_modules(network: nn.Module) -> set[str]:
    """Return the Python modules in which the hooks of a network are written."""
    by_kind = [global_hooks(), *(own_values(module)["hooks"] for module in network.modules())]
    hooks = (hook for found in by_kind for listed in found.values() for hook in listed)
    return {str(getattr(unwrapped(hook), "__module__", "")) for hook in hooks} - {""}


def members(kinds: Iterable[type]) -> dict[str, Any]:
    """Return what classes hold that their source does not show, by name.

    Of the user's own classes values, and what functions close over; of any class the functions
    that another module has put there.
    """
    found: dict[str, Any] = {}
    for kind in kinds:
        for name, value in vars(kind).items():
            held = _held(kind, name, value)
            if held is not None:
                found[f"{kind.__module__}.{kind.__qualname__}.{name}"] = held
    return found


def _held(kind: type, name: str, value: Any) -> Any:
    function = value.__func__ if isinstance(value, staticmethod | classmethod) else value
    function = function.fget if isinstance(function, property) else function
    if inspect.isfunction(function):
        if function.__module__ != kind.__module__:
            return function
        return enclosed(function) if is_own(kind.__module__) else None
    hidden = name.startswith("__") or name in _INTERNALS or hasattr(type(value), "__get__")
    return None if hidden or not is_own(kind.__module__) else [value]
