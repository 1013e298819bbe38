"""State dicts from files of weights, read without running code."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from vision_evals.core.errors import UserError
from vision_evals.models.fit import plain_names
from vision_evals.models.weights_file import Format, examine

_WRAPPERS = (
    "state_dict",
    "model",
    "model_state_dict",
    "ema",
    "model_ema",
    "ema_state_dict",
    "state_dict_ema",
)
"""Keys under which training scripts put the weights. The first one that exists is used, so plain
weights come before averaged ones."""

_REPAIR = "save model.state_dict() instead, best as safetensors"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file of weights holds, and what was removed from it."""

    state: dict[str, Tensor]
    """On the CPU, by name."""
    wrappers: tuple[str, ...]
    """Keys that the weights were under, the outer one first."""
    prefixes: tuple[str, ...]
    """Prefixes that were removed from the names."""


def load_state_dict(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Read weights without running code.

    A state dict that a training script wrapped is unwrapped (plain weights before averaged ones)
    and the prefixes ``module.`` and ``_orig_mod.`` are removed from its names.

    Args:
        path: safetensors, or what ``torch.save`` wrote.
        sha256: what the file's hash must be, or the first digits of it.

    Returns:
        Tensors on the CPU by name.

    Raises:
        UserError: the file holds anything else than finite weights; with the repair.
    """
    state = contents(path, sha256).state
    refuse_not_finite(state, str(path))
    return state


def contents(path: Path, sha256: str | None = None) -> Contents:
    """Read weights as ``load_state_dict`` does, finite or not.

    Raises:
        UserError: the file holds anything else than weights; with the repair.
    """
    content = _read(path, examine(path, sha256))
    wrapped, wrappers = _unwrapped(content, str(path))
    state = _without_prefixes(wrapped, str(path))
    marks = ("module.", "_orig_mod.")
    before, after = "\0".join(wrapped), "\0".join(state)
    prefixes = [mark for mark in marks if before.count(mark) > after.count(mark)]
    return Contents(state, wrappers, tuple(prefixes))


def refuse_not_finite(state: Mapping[str, Tensor], where: str) -> None:
    """Raise a UserError that names the first tensor with NaN or Inf, and how many it holds."""
    for name, bad in not_finite(state):
        raise UserError(
            f"{where}: {name!r} holds {bad} NaN or Inf among {state[name].numel()} numbers; "
            "the training diverged or the file is damaged"
        )


def not_finite(state: Mapping[str, Tensor]) -> Iterator[tuple[str, int]]:
    """Yield the name of each tensor with NaN or Inf, and how many it holds."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.element_size() == 1:
            tensor = tensor.float()  # float8 has no isfinite
        if bad := int((~torch.isfinite(tensor)).sum()):
            yield name, bad


def _read(path: Path, kind: Format) -> object:
    try:
        if kind is Format.SAFETENSORS:
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; what matters is raised
            return torch.load(path, weights_only=True, map_location="cpu", mmap=kind is Format.ZIP)
    except Exception as error:
        raise UserError(f"{path}: {_why(kind, str(error))}") from error


def _why(kind: Format, error: str) -> str:
    if kind is Format.SAFETENSORS:
        return f"a truncated or damaged safetensors file ({error}); fetch it again"
    if "TorchScript" in error:
        return f"a TorchScript program, which is code and not weights; {_REPAIR}"
    called = re.search(r"GLOBAL\s+(\S+)", error)
    if called and re.match(r"torch\.nn\.(?!parameter)|torchvision\.|timm\.", called[1]):
        return (
            f"holds a whole pickled network ({called[1]}), which runs code when it is read; "
            + _REPAIR
        )
    if called:
        return (
            f"refused without running it: reading this pickle would call {called[1]}, "
            f"and a pickle can run any code; {_REPAIR}"
        )
    return f"neither weights that torch.save wrote nor safetensors, or damaged; {_REPAIR}"


def _unwrapped(content: object, where: str) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    wrappers: list[str] = []
    # {"model": {"state_dict": ...}} occurs, deeper ones do not
    while len(wrappers) < 3 and isinstance(content, Mapping):
        inner = (key for key in _WRAPPERS if isinstance(content.get(key), Mapping))
        if (wrapper := next(inner, None)) is None:
            break
        wrappers.append(wrapper)
        content = content[wrapper]
    if not isinstance(content, Mapping):
        raise UserError(f"{where}: holds a {type(content).__name__}, no weights; {_REPAIR}")
    if not content:
        raise UserError(f"{where}: holds no weights; {_REPAIR}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(
                f"{where}: {name!r} is a {type(value).__name__}, not a named tensor, and none of "
                f"the keys {', '.join(_WRAPPERS)} holds weights; {_REPAIR}"
            )
        if value.device.type != "cpu" or value.layout != torch.strided or value.is_quantized:
            raise UserError(f"{where}: {name!r} is not a plain dense tensor; {_REPAIR}")
        if value.nbytes > value.untyped_storage().nbytes():  # strides of 0 make 1 number billions
            raise UserError(
                f"{where}: {name!r} is {tuple(value.shape)} over {value.untyped_storage().nbytes()}"
                f" bytes: the numbers are not all there; {_REPAIR}"
            )
    return content, tuple(wrappers)


def _without_prefixes(state: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    plain = OrderedDict(zip(plain_names(state), state.values(), strict=True))
    if len(plain) < len(state):
        raise UserError(f"{where}: two weights have one name without their prefixes; {_REPAIR}")
    if plain.keys() != state.keys():
        plain.pop("n_averaged", None)  # what torch's AveragedModel adds to the network it wraps
    else:
        vars(plain)["_metadata"] = getattr(state, "_metadata", None)
    return plain
