"""Networks built for their names and shapes, without memory for their weights."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torchvision import models

from vision_evals.models import user_modules
from vision_evals.models.card import Card
from vision_evals.models.registry import PACKAGED, torchvision_names
from vision_evals.models.source import Blueprint


@dataclass(frozen=True, slots=True)
class Network:
    """A network that can be built without memory for its weights."""

    name: str
    build: Callable[[], nn.Module]
    published: int | None
    """Number of its parameters; None if unpublished: then it must be built to count them."""

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
            build = partial(user_modules.network, Blueprint(card, base, None, 0, name))
            yield Network(name, build, None)
