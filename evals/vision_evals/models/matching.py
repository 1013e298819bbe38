"""Which known network weights belong to, by the names and shapes of the tensors alone.

The known networks are built for that without memory for their weights.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vision_evals.core.errors import UserError
from vision_evals.images.light_torchvision import models
from vision_evals.log.record import Record
from vision_evals.models import user_modules
from vision_evals.models.card import Card
from vision_evals.models.fit import State, fitting, kind
from vision_evals.models.registry import PACKAGED, torchvision_names
from vision_evals.models.weight_names import endings, plain_names, prefixes

MIN_SHARE_NEAR = 0.5
"""Share of the tensors that must agree for a network to be reported as the nearest."""

MIN_SHARE_TRIED = 0.3
"""Share from which a known network loads the file: some load names that they no longer have."""

MIN_SHARE_SURE = 0.8
"""Share from which no other network is compared; alexnet with another head agrees in more."""

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")

Shapes = dict[str, str]
"""Name of a tensor to its shape, as ``fit`` compares them."""


class Match(Record):
    """A network that a file belongs to, or nearly does."""

    name: str
    """As ``--evals-model`` takes it, or the name of a card."""
    exact: bool
    """Whether the network loads the weights as they are judged."""
    prefix: str = ""
    """What is taken off all names for it."""
    share: float
    """Of the tensors that either has, those that agree."""
    differs: tuple[str, ...] = ()
    """What differs, in words."""
    head: str | None = Field(default=None, exclude=True)
    """The network's last layer."""


def matches(
    state: Mapping[str, Tensor], cards: Mapping[str, tuple[Card, Path]] | None = None
) -> tuple[Match, ...]:
    """Return the networks that weights fit exactly, else the nearest one, else nothing.

    At first only networks are built whose published number of parameters is the file's, whatever
    the number of classes; all are where none of those fits.

    Args:
        state: tensors by name, as ``load_state_dict`` returns them.
        cards: networks of the user's own; their functions are called.
    """
    own, by_ending = shapes(state), endings(state)
    counts = _counts(state)
    candidates = networks(cards or {})
    likely = [n for n in candidates if n.published is None or n.published in counts]
    compared = [match for network in likely for match in _match(state, own, by_ending, network)]
    if not any(match.exact or match.share >= MIN_SHARE_SURE for match in compared):
        rest = (network for network in candidates if network not in likely)
        compared += [match for network in rest for match in _match(state, own, by_ending, network)]
    exact = {match.name: match for match in compared if match.exact}
    if exact:
        return tuple(exact.values())
    best = max(compared, key=lambda match: match.share, default=None)
    return (best,) if best is not None and best.share >= MIN_SHARE_NEAR else ()


def shapes(state: State) -> Shapes:
    """Return names and shapes of weights, without the counters of batches."""
    tensors = zip(plain_names(state), state.values(), strict=True)
    return {n: kind(t) for n, t in tensors if not n.endswith("num_batches_tracked")}


def parameters(state: State) -> int:
    """Return how many numbers are weights: all but the statistics of normalisation layers."""
    named = (t for name, t in state.items() if not name.endswith(_STATISTICS))
    return sum(tensor.numel() for tensor in named if isinstance(tensor, Tensor))


def sentence(matches: Sequence[Match]) -> str:
    """Return which networks a file fits, or nearly fits, in words."""
    if not matches:
        return "it is near no known network"
    if matches[0].exact:
        return f"it fits {' and '.join(match.name for match in matches)}"
    return f"nearest is {matches[0].name}, except for {'; '.join(matches[0].differs)}"


def _counts(state: State) -> set[int]:
    """Return how many parameters there are, and would be if any one layer had 1,000 outputs."""
    total, classes = parameters(state), 1000
    counts = {total}
    for tensor in state.values():
        if not isinstance(tensor, Tensor):
            continue
        if tensor.dim() == 2 or (tensor.dim() == 4 and tensor.shape[2:] == (1, 1)):
            outputs, inputs = tensor.shape[:2]
            counts.add(total + (classes - outputs) * (inputs + 1))
    return counts


def _match(
    state: State, own: Shapes, by_ending: Mapping[str, list[str]], network: Network
) -> Iterator[Match]:
    try:
        built = network.on_meta_device()
        other = shapes(built.state_dict())
    except Exception:  # noqa: BLE001 - a network that cannot be built here is no match
        return
    head = next((n.rpartition(".")[0] for n in reversed(other) if n.endswith(".weight")), None)
    prefix = next(iter(prefixes(other, by_ending)), "")
    if prefix and 2 * len(own.keys() & other.keys()) >= len(other):
        prefix = ""
    if prefix:
        own = {n.removeprefix(prefix): s for n, s in own.items() if n.startswith(prefix)}
    same = sum(own.get(name) == shape for name, shape in other.items())
    share = same / max(len(own.keys() | other.keys()), 1)
    match = Match(name=network.name, exact=False, share=share, head=head, prefix=prefix)
    if share >= MIN_SHARE_TRIED or network.of_user:
        try:
            fits = fitting(built, state, network.name, by_ending)
        except UserError:
            pass
        else:
            yield match.model_copy(update={"exact": True, "prefix": fits.prefix})
            return
    yield match.model_copy(update={"differs": tuple(_differences(own, other, head))})


def _differences(own: Shapes, other: Shapes, head: str | None) -> Iterator[str]:
    changed = [name for name in other if name in own and own[name] != other[name]]
    last = f"{head}.weight"
    if changed and last in changed and all(n.rpartition(".")[0] == head for n in changed):
        mine, theirs = (re.sub(r"\D.*", "", s[last].partition("(")[2]) for s in (own, other))
        yield f"{head} ({mine} classes instead of {theirs})"
    elif changed:
        name = changed[0]
        yield f"{len(changed)} shapes ({name} is {own[name]} instead of {other[name]})"
    for words, names in (
        ("that the file lacks", [name for name in other if name not in own]),
        ("that only the file has", [name for name in own if name not in other]),
    ):
        if names:
            more = ", ..." if len(names) > 2 else ""
            yield f"{len(names)} tensors {words} ({', '.join(names[:2])}{more})"


@dataclass(frozen=True, slots=True)
class Network:
    """A network that can be built without memory for its weights."""

    name: str
    build: Callable[[], nn.Module]
    published: int | None
    """Number of its parameters; None if unpublished: then it must be built to count them."""
    of_user: bool = False
    """Whether a card names it: it may load names and shapes that are not its own."""

    def on_meta_device(self) -> nn.Module:
        """Return the network with names and shapes and hardly a number; its errors pass through."""
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), _EmptyOnMeta():
            warnings.simplefilter("ignore")
            return self.build()


class _EmptyOnMeta(TorchFunctionMode):
    """Lets layers be made without memory; other numbers stay real, which some builders need."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Put what ``torch.empty`` makes on the meta device."""
        del types
        device = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **{**(kwargs or {}), **device})


def networks(cards: Mapping[str, tuple[Card, Path]]) -> list[Network]:
    """Return torchvision's networks for classification, the packaged ones, and those of cards.

    Args:
        cards: the user's own; their functions are called when they are built.
    """
    return [*_torchvision(), *_packaged(), *_own(cards)]


def _torchvision() -> Iterator[Network]:
    for name in torchvision_names():
        published = [weights.meta for weights in models.get_model_weights(name)]
        count = published[0]["num_params"] if published else None
        for options in _variants(name, [meta.get("min_size") for meta in published]):
            build = partial(models.get_model, name, weights=None, **options)
            yield Network(name, build, None if options else count)


def _variants(name: str, sizes: list[Any]) -> list[dict[str, Any]]:
    """Return the options with which the published weights' networks are built."""
    if name in {"googlenet", "inception_v3"}:
        return [
            {"init_weights": False, "aux_logits": auxiliary, "transform_input": True}
            for auxiliary in (True, False)
        ]
    if name.startswith("vit_"):
        other = {size[0] for size in sizes if size and size[0] != 224}
        return [{}, *({"image_size": size} for size in sorted(other))]
    return [{}]


def _packaged() -> Iterator[Network]:
    yield Network("squeezenet1_1_caffe", partial(models.squeezenet1_1, weights=None), None)
    if importlib.util.find_spec("efficientnet_lite_pytorch") is None:
        return
    package = importlib.import_module("efficientnet_lite_pytorch")
    for name in PACKAGED:
        if name.startswith("efficientnet"):
            written = name.replace("_", "-")
            yield Network(name, partial(package.EfficientNet.from_name, written), None)


def _own(cards: Mapping[str, tuple[Card, Path]]) -> Iterator[Network]:
    for name, (card, base) in cards.items():
        if card.recipe is None and card.source not in {"torchvision", "packaged", "timm"}:
            build = partial(user_modules.without_weights, card, base, name)
            yield Network(name, build, None, of_user=True)
