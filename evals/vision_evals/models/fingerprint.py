"""One hash over everything that changes the numbers of a classifier."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vision_evals.core.cache.code import own_code
from vision_evals.core.cache.describe import UnknownValueError, describe
from vision_evals.models.card import Card, Input
from vision_evals.models.members import global_hooks, hook_modules, members, own_values

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def fingerprint(network: nn.Module, preprocessing: Input, classes: str, card: Card) -> str:
    """Return a sha256 of weights, preprocessing, class map, network entry, structure and source.

    The arguments that a network was built with count too, be it a number that no weight shows or a
    function, and so do the sources of the user's own modules that it uses.

    Args:
        network: weights and buffers count with names, types and shapes.
        preprocessing: its own.
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
        preprocessing.model_dump_json(),
        classes,
        card.network,
        _ADDRESS.sub("", repr(network)),
        *sources(network),
        *_traces(network, card)[0],
    ):
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()


def attributes(network: nn.Module) -> list[str]:
    """Return the attributes and hooks of each module, without weights, buffers and modules.

    Such as a dropout probability that a function is called with, a factor, a switch. Then come
    the hooks that torch calls in every module, and what the classes of the network hold.

    Raises:
        UnknownValueError: the value of an attribute cannot be described.
    """
    own = {id(tensor) for tensor in (*network.parameters(), *network.buffers())}
    names = {id(module): name for name, module in network.named_modules()}

    def tensor(value: object) -> str | None:
        if isinstance(value, nn.Module) and id(value) in names:
            return f"module {names[id(value)]}"
        if isinstance(value, torch.device):
            return "device"  # which one changes no weight: it depends on the machine
        if isinstance(value, torch.dtype | torch.Size | torch.layout):
            return str(value)
        if isinstance(value, RemovableHandle):
            return "handle"  # of a hook, which is described where it is called
        if isinstance(value, torch.Generator):
            return f"generator {value.initial_seed()}"
        if not isinstance(value, Tensor):
            return None
        if id(value) in own:
            return "weight"
        return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(_bytes(value)).hexdigest()}"

    texts = [f"{n} {describe(own_values(m), tensor)}" for n, m in network.named_modules()]
    return [*texts, describe(global_hooks(), tensor), describe(members(_kinds(network)), tensor)]


def traceable(network: nn.Module, card: Card) -> str | None:
    """Return why it is unknown what a network computes, or None; then nothing of it is cached."""
    reasons = _traces(network, card)[1]
    return reasons[0] if reasons else None


def _traces(network: nn.Module, card: Card) -> tuple[list[str], list[str]]:
    """Return attributes and own code in words, and the reasons why any of them is unknown."""
    texts, reasons = [], []
    parts: tuple[Callable[[], list[str]], ...] = (
        lambda: attributes(network),
        lambda: [own_code(_modules(network, card))],
    )
    for described in parts:
        try:
            texts += described()
        except UnknownValueError as error:
            texts.append(str(error))
            reasons.append(str(error))
    return texts, reasons


def _modules(network: nn.Module, card: Card) -> set[str]:
    written = {kind.__module__ for kind in _kinds(network)}
    return written | hook_modules(network) | {card.source}


def _kinds(network: nn.Module) -> set[type]:
    return {kind for module in network.modules() for kind in type(module).__mro__}


def sources(network: nn.Module) -> list[str]:
    """Return the source of the network's classes, those of torch itself left out."""
    classes = {type(module) for module in network.modules()}
    own = (kind for kind in classes if not kind.__module__.startswith("torch."))
    return sorted(_source(kind) for kind in own)  # type: ignore[arg-type]


@functools.cache  # Python parses a whole file to find one class in it
def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # made at run time, or compiled
        return f"{kind.__module__}.{kind.__qualname__}"


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()
