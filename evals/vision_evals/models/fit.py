"""Copies weights into a network, or explains why they do not belong to it.

What torch's own strict loading accepts, is accepted: it is tried on a copy without memory.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from vision_evals.core.errors import UserError
from vision_evals.models.weight_names import by_plain_name, endings, prefixes

_MAX_LISTED, MAX_SHOWN = 3, 200
"""Names in a message, and letters of each."""

State = Mapping[str, Any]
"""Tensors by name; the extra state of a module is of any kind."""


class OtherNetworkError(UserError):
    """Weights of another network."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How weights are loaded into a network that they fit."""

    state: State
    """In the network's names."""
    prefix: str = ""
    """What was taken off all names."""
    unused: tuple[str, ...] = ()
    """Names without that prefix."""

    def __str__(self) -> str:
        """Return what was taken off or left out, in words; empty where nothing was."""
        if not self.prefix:
            return ""
        left = _counted(self.unused, "outside it not used")
        return f'the prefix "{self.prefix}" was taken off the names' + (f", {left}" if left else "")


def fit(network: nn.Module, state: State, where: str) -> str:
    """Copy weights into a network, in the network's own precision.

    Args:
        network: changed in place.
        state: tensors by name, as ``load_state_dict`` returns them.
        where: file and network, for messages.

    Returns:
        What was taken off the names, in words; empty where nothing was.

    Raises:
        OtherNetworkError: how many names and shapes differ, and which first.
    """
    fitted = fitting(network, state, where)
    try:
        network.load_state_dict(fitted.state)
    except Exception as error:
        raise UserError(f"{where}: the network refuses these weights: {error}") from error
    return str(fitted)


def fitting(
    network: nn.Module, state: State, where: str, by_ending: Mapping[str, list[str]] | None = None
) -> Fit:
    """Return how weights are loaded into a network, which stays as it is.

    Args:
        network: with its weights, or on the meta device.
        state: tensors by name.
        where: begins the messages.
        by_ending: of the names, where they are compared with many networks.

    Raises:
        OtherNetworkError: they are of another network.
        UserError: two parts of the file fit, or the network refuses them.
    """
    own = network.state_dict(keep_vars=True)
    taken, reason = _strictly(network, own, state)
    if taken is not None:
        return Fit(taken)
    names = by_plain_name(own)
    fits, parts = [], {}
    for prefix in prefixes(names, endings(state) if by_ending is None else by_ending):
        part = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
        parts[prefix] = part
        taken, _ = _strictly(network, own, part)
        if taken is not None:
            unused = tuple(name for name in state if not name.startswith(prefix))
            fits.append(Fit(taken, prefix, unused))
    if len(fits) > 1:
        both = " and ".join(f'"{fit.prefix}"' for fit in fits)
        raise UserError(
            f"{where}: the names that begin with {both} fit the network each: save the state dict "
            "of the one that is meant"
        )
    if fits:
        return fits[0]
    if parts and not names.keys() & state.keys():
        prefix, state = next(iter(parts.items()))
        where = f'{where}, without the prefix "{prefix}" of its names'
    raise _other_network(own, state, where, reason)


def _strictly(
    network: nn.Module, own: State, state: State
) -> tuple[State | None, Exception | None]:
    """Return weights as torch's strict loading takes them, or why it does not."""
    reason = None
    versions = getattr(state, "_metadata", None) or getattr(own, "_metadata", None)
    # without versions some networks refuse a file and others reinterpret it
    for used in (versions, None):
        complete = _completed(own, state)
        vars(complete)["_metadata"] = used
        reason = _refusal(network, complete)
        if reason is None:
            both = own.keys() & complete.keys()
            same = all(_numbers(complete[name]) == _numbers(own[name]) for name in both)
            return (complete if same else None), None
    return None, reason


def _completed(own: State, state: State) -> OrderedDict[str, Any]:
    """Return weights in the network's names, with those that the file may lack."""
    names = by_plain_name(own)
    complete = OrderedDict(
        (names.get(plain, name), state[name]) for plain, name in by_plain_name(state).items()
    )
    same = {view(own[name]): name for name in reversed([*own]) if name in complete}
    for name, tensor in own.items():
        if name in complete:
            continue
        if twin := same.get(view(tensor)):
            complete[name] = complete[twin]  # safetensors keeps one of tied weights
        elif name.endswith("num_batches_tracked"):
            complete[name] = tensor  # files of before 2018 have none; unused here
    return complete


def view(value: object) -> object:
    """Return what two names of the same numbers have in common."""
    if not isinstance(value, Tensor) or is_lazy(value) or value.layout != torch.strided:
        return id(value)
    place = value.untyped_storage()._cdata, value.storage_offset()
    return *place, value.shape, value.stride(), value.dtype


def _refusal(network: nn.Module, state: State) -> Exception | None:
    """Return why strict loading refuses weights, tried on a copy, or None."""
    reason: Exception | None = None
    for copy in _copies(network):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that nothing is copied to the meta device
                lacking = copy.load_state_dict(state)
            return ValueError("its own loading leaves names out") if any(lacking or ()) else None
        except Exception as error:  # noqa: BLE001 - a network of the user's own raises anything
            reason = error
        if "Error(s) in loading state_dict" in str(reason):
            break  # else its own loading may need numbers
    return reason


def _copies(network: nn.Module) -> Iterator[nn.Module]:
    """Yield a copy without memory, then one with it; the network where it cannot be copied."""
    try:
        yield deepcopy(network, _withoutview(network))
        yield deepcopy(network)
    except Exception:  # noqa: BLE001 - as above
        yield network


def _withoutview(network: nn.Module) -> dict[int, Any]:
    """Return what stands for each weight in a copy; ``deepcopy`` takes it."""
    memo: dict[int, Any] = {}
    for module in network.modules():
        own = vars(module)
        for value in (*own["_parameters"].values(), *own["_buffers"].values(), *own.values()):
            if isinstance(value, Tensor) and not is_lazy(value) and not value.is_quantized:
                empty = value.detach().to("meta")
                trained = isinstance(value, nn.Parameter)
                memo[id(value)] = nn.Parameter(empty, value.requires_grad) if trained else empty
    return memo


def _other_network(
    own: State, state: State, where: str, reason: Exception | None
) -> OtherNetworkError | UserError:
    names, complete = by_plain_name(own), _completed(own, state)
    missing = [plain for plain, name in names.items() if name not in complete]
    others = [
        f"{name} is {kind(state[name])}, the network has {kind(own[names[name]])}"
        for name in names.keys() & state.keys()
        if kind(state[name]) != kind(own[names[name]])
    ]
    differences = [
        _counted(missing, "missing"),
        _counted(state.keys() - names.keys(), "unexpected"),
        _counted(others, "of another shape or kind"),
    ]
    if not any(differences):
        return UserError(f"{where}: the network refuses these weights: {reason}")
    return OtherNetworkError(
        f"{where}: weights of another network: {', '.join(filter(None, differences))}"
        + _prefix_hint(state, names)
    )


def kind(value: object) -> str:
    """Return what must agree for a tensor to fit: its shape, and integer, real or complex."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    shape = "without a shape yet" if is_lazy(value) else str(tuple(value.shape))
    return f"{_numbers(value)} {shape}".strip()


def _numbers(value: object) -> str:
    """Return ``integer``, ``quantised``, ``complex``, or nothing for what is real or no tensor."""
    if not isinstance(value, Tensor) or value.is_floating_point():
        return ""
    return "quantised" if value.is_quantized else "complex" if value.is_complex() else "integer"


def _counted(names: Iterable[str], what: str) -> str:
    listed = sorted(name[:MAX_SHOWN] for name in names)
    shown = ", ".join(listed[:_MAX_LISTED]) + (", ..." if len(listed) > _MAX_LISTED else "")
    return f"{len(listed)} {what} ({shown})" if listed else ""


def _prefix_hint(state: Collection[str], own: Collection[str]) -> str:
    for prefix in prefixes(state, endings(own)):
        return (
            f'; names in the network begin with "{prefix}" and the file\'s do not: save the state '
            "dict of the whole network"
        )
    return ""
