"""Everything that is known about a file of weights, without running anything in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import Tensor

from vision_evals.core.errors import UserError
from vision_evals.log.record import Record
from vision_evals.models.card import Card
from vision_evals.models.checkpoint import Contents, contents
from vision_evals.models.inspection.code import Code, code_in
from vision_evals.models.matching import Match, matches, parameters
from vision_evals.models.weights_file import examine, sha256_of


class FileInspection(Record):
    """What one file is. A number is null if the file could not be read that far."""

    path: str
    """As the user typed it."""
    judged: bool
    """Whether its weights can be judged: read without running code, and all of them finite."""
    refused: str | None = None
    """Why they cannot be judged."""
    format: str | None = None
    """``safetensors``, ``zip of torch.save``, ``TorchScript``, ...; null for any other."""
    size: int | None = None
    """Bytes."""
    sha256: str | None = None
    """Of the whole file."""
    code: Code | None = None
    """Whether it could run code when it is read by plain ``pickle``."""
    tensors: int | None = None
    """How many."""
    numbers: int | None = None
    """In all of them."""
    parameters: int | None = None
    """Numbers that are not statistics of normalisation layers."""
    dtypes: dict[str, int] = Field(default_factory=dict)
    """Type of number to how many numbers."""
    not_finite: dict[str, int] = Field(default_factory=dict)
    """Tensor to how many of its numbers are NaN or infinite, if any."""
    wrappers: tuple[str, ...] = ()
    """Keys that the weights are under, the outer one first."""
    prefixes: tuple[str, ...] = ()
    """Prefixes that were removed from the names."""
    fits: tuple[Match, ...] = ()
    """Every known network that it fits, else the nearest one, else none."""
    head: str | None = None
    """The last layer of the first network in ``fits`` that has one."""
    classes: int | None = None
    """How many outputs the last layer has."""


def inspect_file(path: Path, cards: Mapping[str, tuple[Card, Path]]) -> FileInspection:
    """Return what a file is, whatever it holds. Nothing in it is executed.

    Args:
        path: of the file.
        cards: the user's own networks, which it may belong to.
    """
    fields = _size_and_hash(path) | _judgement(path, cards)
    if "size" in fields and "code" not in fields:
        reason = "what files of this kind would run is not looked into"
        fields["code"] = Code(could_run="cannot tell", reasons=(reason,), whole=False)
    return FileInspection(path=str(path), **fields)


def _judgement(path: Path, cards: Mapping[str, tuple[Card, Path]]) -> dict[str, Any]:
    fields: dict[str, Any] = {"judged": False}
    try:
        form = examine(path, None)
        kind, code = code_in(path, form)
        fields |= {"format": kind, "code": code}
        return fields | _weights(contents(path, form, code), cards)
    except UserError as error:
        return fields | {"refused": str(error).removeprefix(f"{path}: ")}


def _size_and_hash(path: Path) -> dict[str, Any]:
    """Return size and hash of a regular file that can be read, and nothing for any other."""
    try:
        if not path.is_file():  # reading a pipe would wait
            return {}
        return {"size": path.stat().st_size, "sha256": sha256_of(path)}
    except (OSError, ValueError):
        return {}


def _weights(read: Contents, cards: Mapping[str, tuple[Card, Path]]) -> dict[str, Any]:
    state = read.state
    dtypes: Counter[str] = Counter()
    for tensor in state.values():
        if isinstance(tensor, Tensor):
            dtypes[str(tensor.dtype).removeprefix("torch.")] += tensor.numel()
    near = matches(state, cards)
    head, classes = _head(read, near)
    return {
        "judged": read.refused is None,
        "refused": read.refused,
        "tensors": len(state),
        "numbers": sum(dtypes.values()),
        "parameters": parameters(state),
        "dtypes": dict(dtypes.most_common()),
        "not_finite": dict(read.not_finite),
        "wrappers": read.wrappers,
        "prefixes": read.prefixes + ((near[0].prefix,) if near and near[0].prefix else ()),
        "fits": near,
        "head": head,
        "classes": classes,
    }


def _head(read: Contents, near: tuple[Match, ...]) -> tuple[str | None, int | None]:
    for match in near:
        weight = read.state.get(f"{match.prefix}{match.head}.weight")
        if match.head and isinstance(weight, Tensor) and weight.dim() > 1:
            return match.head, weight.shape[0]
    return None, None
