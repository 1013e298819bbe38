"""Copies weights into a network, or explains why they do not belong to it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from vision_evals.core.errors import UserError

_MAX_LISTED = 3


class OtherNetworkError(UserError):
    """Weights of another network."""


def fit(network: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Copy weights into a network, in the network's own precision.

    Args:
        network: changed in place.
        state: tensors by name, as ``load_state_dict`` returns them.
        where: file and network, for messages.

    Raises:
        OtherNetworkError: how many names and shapes differ, and which first.
    """
    own = network.state_dict()
    names = dict(zip(plain_names(own), own, strict=True))
    missing = [
        name
        for name in names.keys() - state.keys()
        if not name.endswith("num_batches_tracked")  # files of before 2018 have none; unused here
    ]
    unexpected = sorted(state.keys() - names.keys())
    others = [
        f"{name} is {kind(state[name])}, the network has {kind(own[names[name]])}"
        for name in names.keys() & state.keys()
        if kind(state[name]) != kind(own[names[name]])
    ]
    differences = [
        _counted(missing, "missing"),
        _counted(unexpected, "unexpected"),
        _counted(others, "of another shape or kind"),
    ]
    if any(differences):
        raise OtherNetworkError(
            f"{where}: weights of another network: {', '.join(filter(None, differences))}"
            + _prefix_hint(state, names)
        )
    complete = OrderedDict(own)
    complete.update((names[name], tensor) for name, tensor in state.items())
    # without versions some networks refuse a file and others reinterpret it
    versions = getattr(state, "_metadata", None) or getattr(own, "_metadata", None)
    vars(complete)["_metadata"] = versions
    try:
        network.load_state_dict(complete)
    except Exception as error:
        raise UserError(f"{where}: the network refuses these weights: {error}") from error


def kind(tensor: Tensor) -> str:
    """Return what must agree for a tensor to fit: its shape, and integer, real or complex."""
    numbers = "complex" if tensor.is_complex() else "" if tensor.is_floating_point() else "integer"
    return f"{numbers} {tuple(tensor.shape)}".strip()


def _counted(names: Iterable[str], what: str) -> str:
    listed = sorted(names)
    shown = ", ".join(listed[:_MAX_LISTED]) + (", ..." if len(listed) > _MAX_LISTED else "")
    return f"{len(listed)} {what} ({shown})" if listed else ""


def _prefix_hint(state: Iterable[str], own: Iterable[str]) -> str:
    file, network = set(state), set(own)
    for longer, shorter, sides in (
        (file, network, ("file", "network's")),
        (network, file, ("network", "file's")),
    ):
        for name in sorted(longer):
            head, dot, rest = name.partition(".")
            prefix = head + dot
            common = {n.removeprefix(prefix) for n in longer if n.startswith(prefix)} & shorter
            if rest in shorter and 2 * len(common) >= len(shorter):
                return (
                    f'; names in the {sides[0]} begin with "{prefix}" and the {sides[1]} do not: '
                    "save the state dict of the part that fits"
                )
    return ""


def plain_names(names: Iterable[str]) -> list[str]:
    """Return names without what DistributedDataParallel, AveragedModel and torch.compile add."""
    plain = [name.replace("_orig_mod.", "") for name in names]
    while set(plain) - {"n_averaged"} and all(
        name.startswith("module.") or name == "n_averaged" for name in plain
    ):
        plain = [name.removeprefix("module.") for name in plain]
    return plain
