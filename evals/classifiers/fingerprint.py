"""One hash over everything of a classifier that changes its numbers."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from evals.cache.code import own_code
from evals.classifiers.card import Card, Input

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def fingerprint(network: nn.Module, given: Input, classes: str, card: Card) -> str:
    """Return a sha256 of weights, preprocessing, class map, network entry, structure and source.

    What a network was built with counts too, be it a number that no weight shows or a function, and
    so do the sources of a user's own modules that it uses.

    Args:
        network: weights and buffers count with names, types and shapes.
        given: the preprocessing that is in force.
        classes: fingerprint of the class map.
        card: only its network entry counts.
    """
    digest = hashlib.sha256()
    tensors: dict[str, Tensor] = dict(network.named_buffers(remove_duplicate=False))
    tensors.update(network.named_parameters(remove_duplicate=False))
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(_bytes(tensor))
    for text in (
        given.model_dump_json(),
        classes,
        card.network,
        _ADDRESS.sub("", repr(network)),
        *sources(network),
        *attributes(network),
        own_code(_modules(network, card)),
    ):
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()


def attributes(network: nn.Module) -> list[str]:
    """Return what stands in the attributes of each module beside weights, buffers and modules.

    A dropout probability that a function is called with, a factor, a switch, an activation.
    """
    told = []
    for name, module in network.named_modules():
        own = {key: value for key, value in vars(module).items() if not key.startswith("_")}
        own.pop("training", None)
        told += [f"{name}.{key} = {describe(own[key])}" for key in sorted(own)]
    return told


def describe(value: object, depth: int = 4) -> str:
    """Return a value in words that are the same in every process: no address, no order of sets.

    Functions are told by their source, defaults and what they close over.
    """
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return repr(value)
    if depth == 0:
        return type(value).__qualname__
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(_bytes(value)).hexdigest()}"
    if isinstance(value, Mapping):
        inner = sorted(f"{describe(k, 1)}: {describe(v, depth - 1)}" for k, v in value.items())
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list | tuple | set | frozenset):
        parts = [describe(part, depth - 1) for part in value]
        parts = parts if isinstance(value, list | tuple) else sorted(parts)
        return f"{type(value).__name__}({', '.join(parts)})"
    if isinstance(value, functools.partial):
        return f"partial({describe((value.func, value.args, value.keywords), depth)})"
    if inspect.isfunction(value) or inspect.ismethod(value):
        return _function(value, depth)
    if isinstance(value, torch.dtype | torch.device | torch.Size):
        return str(value)
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
    own = {k: v for k, v in getattr(value, "__dict__", {}).items() if not k.startswith("_")}
    return f"{type(value).__module__}.{type(value).__qualname__} {describe(own, depth - 1)}"


def _function(value: Any, depth: int) -> str:
    plain = getattr(value, "__func__", value)
    try:
        source = inspect.getsource(plain)
    except (OSError, TypeError):
        source = plain.__code__.co_code.hex()
    cells = []
    for cell in plain.__closure__ or ():
        try:
            cells.append(describe(cell.cell_contents, depth - 1))
        except ValueError:  # not filled yet
            cells.append("empty")
    given = describe((plain.__defaults__, plain.__kwdefaults__), depth - 1)
    return f"{plain.__module__}.{plain.__qualname__} {source} {cells} {given}"


def _modules(network: nn.Module, card: Card) -> set[str]:
    kinds = {kind for module in network.modules() for kind in type(module).__mro__}
    return {kind.__module__ for kind in kinds} | {card.source}


def sources(network: nn.Module) -> list[str]:
    """Return the source of the network's classes, those of torch itself left out."""
    classes = {type(module) for module in network.modules()}
    return sorted(_source(kind) for kind in classes if not kind.__module__.startswith("torch."))


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # made at run time, or compiled
        return f"{kind.__module__}.{kind.__qualname__}"


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()
