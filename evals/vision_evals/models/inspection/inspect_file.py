"""One look at a file of weights: everything that can be said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from vision_evals.core.errors import UserError
from vision_evals.log.record import Record
from vision_evals.models.card import Card
from vision_evals.models.checkpoint import Contents, contents, not_finite
from vision_evals.models.inspection.code import Code, code_in
from vision_evals.models.matching import Match, matches, parameters
from vision_evals.models.weights_file import examine, sha256_of


class Fit(Record):
    """A network that the file belongs to, or nearly does."""

    name: str
    """As ``--evals-model`` takes it, or the name of a card."""
    exact: bool
    """Whether every tensor agrees in name and shape."""
    share: float
    """Of the tensors that either has, those that agree."""
    differs: tuple[str, ...] = ()
    """What differs, in words."""


class FileInspection(Record):
    """What one file is. Numbers are null where the file could not be read that far."""

    path: str
    """As it was named."""
    judged: bool
    """Whether its weights can be judged: read without running code, and all of them finite."""
    refused: str | None = None
    """Why they cannot."""
    format: str | None = None
    """``safetensors``, ``zip of torch.save``, ``TorchScript``, ...; null for none of them."""
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
    """Numbers that are no statistics of normalisation layers."""
    dtypes: dict[str, int] = Field(default_factory=dict)
    """Type of number to how many numbers."""
    not_finite: dict[str, int] = Field(default_factory=dict)
    """Tensor to how many of its numbers are NaN or infinite, where any is."""
    wrappers: tuple[str, ...] = ()
    """Keys that the weights lay under, the outer one first."""
    prefixes: tuple[str, ...] = ()
    """What was taken off the names."""
    fits: tuple[Fit, ...] = ()
    """Every known network that it fits, else the nearest one, else none."""
    head: str | None = None
    """The last layer, where a network is known that has one."""
    classes: int | None = None
    """How many outputs that has."""


def inspect_file(path: Path, cards: Mapping[str, tuple[Card, Path]]) -> FileInspection:
    """Return what a file is, whatever it holds; nothing in it is executed.

    Args:
        path: of the file.
        cards: networks of the user's own that it may belong to.
    """
    found = FileInspection(path=str(path), judged=False)
    try:
        form = examine(path, None)
    except UserError as error:
        return found.model_copy(update={**_bytes(path), "refused": _without(path, error)})
    kind, code = code_in(path, form)
    found = found.model_copy(update={**_bytes(path), "format": kind, "code": code})
    if code.could_run == "cannot tell":  # a few bytes may ask for much memory: not even tried
        refused = f"damaged, or not written by torch.save: {code.reasons[0]}"
        return found.model_copy(update={"refused": refused})
    try:
        read = contents(path)
    except UserError as error:
        return found.model_copy(update={"refused": _without(path, error)})
    found = found.model_copy(update=_weights(read, cards))
    if code.could_run == "yes" and found.judged:
        hidden = "its weights can be read safely here, but another reader would run code of it"
        found = found.model_copy(update={"judged": False, "refused": hidden})
    return found


def _without(path: Path, error: UserError) -> str:
    return str(error).removeprefix(f"{path}: ")


def _bytes(path: Path) -> dict[str, object]:
    """Return size and hash of an ordinary file that can be read, and nothing of another."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return {}
        return {"size": path.stat().st_size, "sha256": sha256_of(path)}
    except (OSError, ValueError):
        return {}


def _weights(read: Contents, cards: Mapping[str, tuple[Card, Path]]) -> dict[str, object]:
    state = read.state
    dtypes: Counter[str] = Counter()
    for tensor in state.values():
        dtypes[str(tensor.dtype).removeprefix("torch.")] += tensor.numel()
    bad = dict(not_finite(state))
    near = matches(state, cards)
    head, classes = _head(read, near)
    return {
        "judged": not bad,
        "refused": _diverged(bad) if bad else None,
        "tensors": len(state),
        "numbers": sum(dtypes.values()),
        "parameters": parameters(state),
        "dtypes": dict(dtypes.most_common()),
        "not_finite": bad,
        "wrappers": read.wrappers,
        "prefixes": read.prefixes,
        "fits": tuple(
            Fit(name=m.name, exact=m.share == 1, share=m.share, differs=m.differs) for m in near
        ),
        "head": head,
        "classes": classes,
    }


def _diverged(bad: Mapping[str, int]) -> str:
    of = f"{len(bad)} tensors hold" if len(bad) > 1 else f"{next(iter(bad))!r} holds"
    return f"{of} {sum(bad.values()):,} NaN or Inf; the training diverged or the file is damaged"


def _head(read: Contents, near: tuple[Match, ...]) -> tuple[str | None, int | None]:
    for match in near:
        weight = read.state.get(f"{match.head}.weight")
        if match.head and weight is not None and weight.dim() > 1:
            return match.head, weight.shape[0]
    return None, None
