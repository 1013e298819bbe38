"""State dicts from files that cannot run code, fitted into networks they belong to."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from evals.classifiers.fit import fit, plain_names
from evals.classifiers.weights_file import Format, examine
from evals.errors import UserError

__all__ = ["fit", "load_state_dict", "refuse_not_finite"]

_WRAPPERS = (
    "state_dict",
    "model",
    "model_state_dict",
    "ema",
    "model_ema",
    "ema_state_dict",
    "state_dict_ema",
)
"""Under which keys training scripts put the weights. The first that is there is used, so plain
weights come before averaged ones."""

_REPAIR = "save model.state_dict() instead, best as safetensors"


def load_state_dict(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Read weights without running code.

    A state dict that a training script wrapped is unwrapped (plain weights before averaged ones)
    and the prefixes ``module.`` and ``_orig_mod.`` are taken off its names.

    Args:
        path: safetensors, or what ``torch.save`` wrote.
        sha256: what the file's hash must be, or the first digits of it.

    Returns:
        Tensors on the CPU by name.

    Raises:
        UserError: anything else than finite weights, with what it is and the repair.
    """
    content = _read(path, examine(path, sha256))
    state = _without_prefixes(_unwrapped(content, str(path)), str(path))
    refuse_not_finite(state, str(path))
    return state


def refuse_not_finite(state: Mapping[str, Tensor], where: str) -> None:
    """Raise a UserError that names the first tensor with NaN or Inf, and how many it holds."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.element_size() == 1:
            tensor = tensor.float()  # float8 has no isfinite
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise UserError(
                f"{where}: {name!r} holds {bad} NaN or Inf among {tensor.numel()} numbers; "
                "the training diverged or the file is damaged"
            )


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
    wanted = re.search(r"GLOBAL\s+(\S+)", error)
    if wanted and re.match(r"torch\.nn\.(?!parameter)|torchvision\.|timm\.", wanted[1]):
        return (
            f"holds a whole pickled network ({wanted[1]}), which runs code when it is read; "
            + _REPAIR
        )
    if wanted:
        return (
            f"refused without running it: reading this pickle would call {wanted[1]}, "
            f"and a pickle can run any code; {_REPAIR}"
        )
    return f"neither weights that torch.save wrote nor safetensors, or damaged; {_REPAIR}"


def _unwrapped(content: object, where: str) -> Mapping[str, Tensor]:
    for _ in range(3):  # {"model": {"state_dict": ...}} has been seen, deeper has not
        if not isinstance(content, Mapping):
            break
        inner = (content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping))
        content = next(inner, content)
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
    return content


def _without_prefixes(state: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    plain = OrderedDict(zip(plain_names(state), state.values(), strict=True))
    if len(plain) < len(state):
        raise UserError(f"{where}: two weights have one name without their prefixes; {_REPAIR}")
    if plain.keys() != state.keys():
        plain.pop("n_averaged", None)  # what torch's AveragedModel adds to the network it wraps
    else:
        vars(plain)["_metadata"] = getattr(state, "_metadata", None)
    return plain
