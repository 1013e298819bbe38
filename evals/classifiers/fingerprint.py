"""One hash over everything of a classifier that changes its numbers."""

from __future__ import annotations

import hashlib
import inspect
import re

import torch
from torch import Tensor, nn

from evals.classifiers.card import Card, Input

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def fingerprint(network: nn.Module, given: Input, classes: str, card: Card) -> str:
    """Return a sha256 of weights, preprocessing, class map, network entry, structure and source.

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
    ):
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()


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
