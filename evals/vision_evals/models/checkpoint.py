"""State dicts from files of weights, read without running code."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections import OrderedDict
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from vision_evals.core.errors import UserError, encodable
from vision_evals.models.fit import MAX_SHOWN, view
from vision_evals.models.inspection.code import Code, code_in
from vision_evals.models.weight_names import plain_names
from vision_evals.models.weights_file import REPAIR, Format, examine, shards

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


MAX_VIEWS = 16
"""Bytes that different views may name for each byte of a file; to look at all takes as long."""

MAX_TENSORS = 100_000
"""How many tensors a safetensors file may hold; a pickle may have two million instructions."""

_NOT_WEIGHTS = "neither weights that torch.save wrote nor safetensors, or damaged"

_NOT_TENSORS = re.compile(r"(^|\.)(_extra_state|_packed_params\.(dtype|_packed_params))$")
"""Names whose value may be of any kind: ``get_extra_state``, and what quantised layers add."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file of weights holds, and what was removed from it."""

    state: dict[str, Any]
    """Tensors on the CPU, by name; the extra state of a module is of any kind."""
    wrappers: tuple[str, ...]
    """Keys that the weights were under, the outer one first."""
    prefixes: tuple[str, ...]
    """Prefixes that were removed from the names."""
    refused: str | None
    """Why it is not judged all the same: another reader would run code, or NaN or Inf."""
    not_finite: Mapping[str, int]
    """Name to how many NaN and Inf it holds, if any."""


def load_state_dict(path: Path, sha256: str | None = None) -> dict[str, Any]:
    """Read weights without running code.

    A state dict that a training script wrapped is unwrapped (plain weights before averaged ones)
    and the prefixes ``module.`` and ``_orig_mod.`` are removed from its names.

    Args:
        path: safetensors, or what ``torch.save`` wrote, or the index of several such files.
        sha256: what the file's hash must be, or the first digits of it.

    Returns:
        Tensors on the CPU by name.

    Raises:
        UserError: the file holds anything else than finite weights; with the repair.
    """
    kind = examine(path, sha256)
    found = contents(path, kind, code_in(path, kind)[1])
    if found.refused is not None:
        raise UserError(f"{path}: {found.refused}")
    return found.state


def contents(path: Path, kind: Format, code: Code) -> Contents:
    """Read weights as ``load_state_dict`` does, and say whether they are refused.

    Args:
        path: of the file.
        kind: as ``examine`` says.
        code: as ``code_in`` says.

    Raises:
        UserError: the file holds anything else than weights; with the repair.
    """
    if not code.whole:  # a few bytes may ask for much memory: it is not tried
        called = f"would call {code.calls[0]}, and is " if code.calls else ""
        raise UserError(f"{path}: {called}{_NOT_WEIGHTS}: {code.reasons[-1]}; {REPAIR}")
    content = _sharded(path) if kind is Format.INDEX else _read(path, kind)
    wrapped, wrappers = _unwrapped(content, str(path))
    _refuse_overlaps(wrapped, path, kind)
    state = _without_prefixes(wrapped, str(path))
    marks = ("module.", "_orig_mod.")
    before, after = "\0".join(wrapped), "\0".join(state)
    prefixes = tuple(mark for mark in marks if before.count(mark) > after.count(mark))
    bad = dict(not_finite(state))
    refused = _diverged(state, bad) if bad else None
    if code.could_run != "no":
        refused = "its weights can be read safely here, but another reader would run code of it"
    return Contents(state, wrappers, prefixes, refused, bad)


def _diverged(state: Mapping[str, Any], bad: Mapping[str, int]) -> str:
    name = next(iter(bad))
    shown = _shown(name)
    of = f"{len(bad)} tensors hold {sum(bad.values()):,} NaN or Inf, the first is {shown}"
    if len(bad) == 1:
        whole = sum(tensor.numel() for tensor in _tensors(state[name]))
        of = f"{shown} holds {bad[name]} NaN or Inf among {whole} numbers"
    return f"{of}; the training diverged or the file is damaged"


def refuse_not_finite(state: Mapping[str, Any], where: str) -> None:
    """Raise a UserError that names the first tensor with NaN or Inf, and how many it holds."""
    if bad := dict(not_finite(state)):
        raise UserError(f"{where}: {_diverged(state, bad)}")


def not_finite(state: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the name of each tensor with NaN or Inf, and how many it holds."""
    counted: dict[object, int] = {}  # many names may share one tensor
    for name, value in state.items():
        bad = 0
        for tensor in _tensors(value):
            key = view(tensor)
            if key not in counted:
                counted[key] = _count_not_finite(tensor)
            bad += counted[key]
        if bad:
            yield name, bad


def _count_not_finite(tensor: Tensor) -> int:
    if tensor.is_quantized:
        return 0  # whole numbers; a scale that is none fails in the first forward
    if tensor.is_floating_point() and tensor.element_size() == 1:
        tensor = tensor.float()  # float8 has no isfinite
    return int((~torch.isfinite(tensor)).sum())


def _tensors(value: object) -> Iterator[Tensor]:
    """Yield the tensors of a value: itself, or those in the extra state of a module."""
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            yield Tensor.detach(item)  # an attribute may hide a method
        elif isinstance(item, dict | list | tuple) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(dict.values(item) if isinstance(item, dict) else item)


def _sharded(index: Path) -> dict[str, Any]:
    """Return the weights of all files that an index names."""
    state: dict[str, Any] = {}
    for file, names in shards(index).items():
        part = _read(file, examine(file, None, part=True))
        part = part if isinstance(part, dict) else {}
        if other := part.keys() ^ set(names):
            first = _shown(min(map(str, other)))
            raise UserError(
                f"{index}: {file.name} and the index disagree about {first}; fetch both again"
            )
        state |= part
    return state


def _read(path: Path, kind: Format) -> object:
    if encodable(str(path)) != str(path):  # neither library opens it by such a name
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / f"weights{path.suffix}"
            link.symlink_to(path.absolute())
            try:
                return _read(link, kind)
            except UserError as error:
                raise UserError(str(error).replace(str(link), str(path))) from error
    try:
        if kind is Format.SAFETENSORS:
            with safetensors.safe_open(path, "pt") as file:
                if len(file.keys()) > MAX_TENSORS:
                    raise ValueError(f"more than {MAX_TENSORS:,} tensors")  # noqa: TRY301
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
        return f"a TorchScript program, which is code and not weights; {REPAIR}"
    called = re.search(r"GLOBAL\s+(\S+)", error)
    if called and re.match(r"torch\.nn\.(?!parameter)|torchvision\.|timm\.", called[1]):
        return (
            f"holds a whole pickled network ({called[1]}), which runs code when it is read; "
            + REPAIR
        )
    if called:
        return (
            f"refused without running it: reading this pickle would call {called[1]}, "
            f"and a pickle can run any code; {REPAIR}"
        )
    return f"{_NOT_WEIGHTS}; {REPAIR}"


def _unwrapped(content: object, where: str) -> tuple[OrderedDict[str, Any], tuple[str, ...]]:
    wrappers: list[str] = []
    # {"model": {"state_dict": ...}} occurs, deeper ones do not
    while len(wrappers) < 3 and (wrapper := _wrapper(content, where)) is not None:
        wrappers.append(wrapper)
        content = content[wrapper]  # type: ignore[index]
    if not isinstance(content, dict):
        raise UserError(f"{where}: holds a {type(content).__name__}, no weights; {REPAIR}")
    if not content:
        raise UserError(f"{where}: holds no weights; {REPAIR}")
    if "state" in content and "param_groups" in content:
        raise UserError(f"{where}: holds the state of an optimiser, no weights; {REPAIR}")
    for name, value in _others(content):
        raise UserError(
            f"{where}: {_shown(name)} is a {type(value).__name__}, not a named tensor, and "
            f"none of the keys {', '.join(_WRAPPERS)} holds weights; {REPAIR}"
        )
    state = OrderedDict((name, _plain(name, value, where)) for name, value in _items(content))
    vars(state)["_metadata"] = _versions(content)
    return state, tuple(wrappers)


def _wrapper(content: object, where: str) -> str | None:
    """Return the key that the weights are under: a usual one, or the only one with a state dict."""
    if not isinstance(content, dict):
        return None
    usual = next((key for key in _WRAPPERS if isinstance(dict.get(content, key), dict)), None)
    if usual is not None or not any(_others(content)):
        return usual
    named = [
        key
        for key, value in _items(content)
        if isinstance(key, str) and isinstance(value, dict) and value
        if not any(_others(value))
    ]
    if len(named) > 1:
        raise UserError(
            f"{where}: holds the weights of several networks under {', '.join(sorted(named)[:8])}; "
            "save the state dict of the one that is meant"
        )
    return named[0] if named else None


def _others(content: dict[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the items that are no named tensors."""
    for name, value in _items(content):
        named = isinstance(name, str)
        if not named or not (isinstance(value, Tensor) or _NOT_TENSORS.search(name)):
            yield name, value


def _shown(name: object) -> str:
    return repr(name)[:MAX_SHOWN]


def _versions(content: object) -> dict[str, dict[str, Any]] | None:
    """Return what torch keeps in a state dict about the versions of its modules."""
    versions = getattr(content, "__dict__", {}).get("_metadata")
    if isinstance(versions, dict) and all(isinstance(value, dict) for _, value in _items(versions)):
        return {name: dict(_items(value)) for name, value in _items(versions)}
    return None


def _items(mapping: dict[Any, Any]) -> ItemsView[Any, Any]:
    """Return the items of a dict from a file, which can hide its methods behind attributes."""
    return dict.items(mapping)


def _plain(name: str, value: object, where: str) -> object:
    """Return a value without attributes; refuse tensors whose numbers are not all there."""
    for tensor in _tensors(value):
        whole = type(tensor) is Tensor and tensor.device.type == "cpu"
        if not whole or tensor.layout != torch.strided:
            raise UserError(f"{where}: {_shown(name)} is not a plain dense tensor; {REPAIR}")
        have = tensor.untyped_storage().nbytes()
        if tensor.nbytes > have:  # strides of 0 make 1 number billions
            raise UserError(
                f"{where}: {_shown(name)} is {tuple(tensor.shape)} over {have} bytes: the numbers "
                f"are not all there; {REPAIR}"
            )
    return Tensor.detach(value) if isinstance(value, Tensor) else value


def _refuse_overlaps(state: Mapping[str, Any], path: Path, kind: Format) -> None:
    """Raise a UserError where looking at all numbers takes much longer than reading the file."""
    size = sum(file.stat().st_size for file in (shards(path) if kind is Format.INDEX else [path]))
    tensors = [tensor for value in state.values() for tensor in _tensors(value)]
    storages = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}
    views = {view(tensor): tensor.nbytes for tensor in tensors}
    if sum(storages.values()) > size or sum(views.values()) > MAX_VIEWS * size:
        raise UserError(
            f"{path}: {len(views):,} tensors overlap and name {sum(views.values()):,} bytes of a "
            f"file of {size:,}; {REPAIR}"
        )


def _without_prefixes(state: OrderedDict[str, Any], where: str) -> dict[str, Any]:
    plain = OrderedDict(zip(plain_names(state), state.values(), strict=True))
    if len(plain) < len(state):
        raise UserError(f"{where}: two weights have one name without their prefixes; {REPAIR}")
    if plain.keys() != state.keys():
        plain.pop("n_averaged", None)  # what torch's AveragedModel adds to the network it wraps
    else:
        vars(plain)["_metadata"] = vars(state)["_metadata"]
    return plain
