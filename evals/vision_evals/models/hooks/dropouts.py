"""Dropout switched on, and nothing else: masks of our own at every call, in eval mode."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vision_evals.core.errors import InvalidError
from vision_evals.models.hooks.watch import Call, Function, watching

if TYPE_CHECKING:
    from vision_evals.models.classifier import Classifier


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a dropout function drops, and what it leaves there."""

    channels: bool = False
    """Whether whole channels go, not single values."""
    alpha: bool = False
    """Whether it leaves the floor of a SELU, not 0."""
    in_place: bool = False
    on: bool = False
    """Its ``training`` where the call does not say."""
    lone: int = 0
    """Dimensions at which it takes the first for channels: an image without a batch."""


_KINDS: dict[Function, _Kind] = {
    F.dropout: _Kind(on=True),
    F.dropout1d: _Kind(channels=True, on=True, lone=2),
    F.dropout2d: _Kind(channels=True, on=True),
    F.dropout3d: _Kind(channels=True, on=True, lone=4),
    **dict.fromkeys((F.alpha_dropout, torch.alpha_dropout), _Kind(alpha=True)),
    **dict.fromkeys(
        (F.feature_alpha_dropout, torch.feature_alpha_dropout), _Kind(channels=True, alpha=True)
    ),
    torch.dropout: _Kind(),
    torch.dropout_: _Kind(in_place=True),
    torch.feature_dropout: _Kind(channels=True),
    torch.feature_dropout_: _Kind(channels=True, in_place=True),
    torch.alpha_dropout_: _Kind(alpha=True, in_place=True),
    torch.feature_alpha_dropout_: _Kind(channels=True, alpha=True, in_place=True),
}

FUNCTIONS = frozenset(_KINDS)
"""Every dropout function that is recognised."""

MODULES = (
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.AlphaDropout, nn.FeatureAlphaDropout),
)
"""Modules that do nothing but call one of them."""

_HIDDEN_CLASS_PREFIXES = (
    *("stochasticdepth", "droppath", "dropblock", "dropconnect"),
    *("droplayer", "shakedrop", "patchdropout"),
)
"""How classes are named that drop branches, blocks, weights or tokens; lower case, no "_"."""

SELU_FLOOR = -1.7580993408473766
"""What a SELU tends to far below 0: -lambda alpha (Klambauer et al. 2017, section 2)."""


class MaskedDropouts(NamedTuple):
    """One forward under one mask an image."""

    logits: Tensor
    """(n, classes)."""
    calls: int
    """Of dropout, in this forward."""


def masked_logits(
    classifier: Classifier, pixels: Tensor, draws: Sequence[torch.Generator]
) -> MaskedDropouts:
    """Return what a classifier says with dropout, and dropout alone, switched on.

    Inverted dropout (Srivastava et al. 2014): what is kept is divided by 1 - p. BatchNorm and
    everything else stay in eval mode. At p = 0 nothing changes, bit for bit.

    Args:
        classifier: in eval mode.
        pixels: (n, 3, H, W) in [0, 1].
        draws: one CPU generator an image, used by its calls in their order: no batch and no device
            changes a mask.

    Raises:
        InvalidError: dropout is on although the network is in eval mode, a call does not have
            the images in its first dimension, or the network hides its calls.
    """
    masks = _Masks(draws)
    with torch.inference_mode(), watching(classifier.network, FUNCTIONS, masks):
        logits = classifier.logits(pixels)
    if masks.on:
        raise InvalidError(
            f"dropout stays on in eval mode: {'; '.join(masks.on)}; "
            "let the call ask for training=self.training"
        )
    return MaskedDropouts(logits, masks.calls)


@dataclass
class _Masks:
    """Answers calls of dropout."""

    draws: Sequence[torch.Generator]
    calls: int = 0
    on: list[str] = field(default_factory=list)
    """The calls that drop although the network is in eval mode."""

    def __call__(self, call: Call) -> Tensor:
        kind = _KINDS[call.function]
        x: Tensor = _given(call, 0, ("input",), None)
        p = float(_given(call, 1, ("p",), 0.5))
        self.calls += 1
        if p == 0:
            return x
        if _given(call, 2, ("training", "train"), kind.on):
            self.on.append(f"{call} (p = {p:g})")
        dropped = _drop(x, self._keep(call, kind, x, p), p, alpha=kind.alpha)
        return x.copy_(dropped) if _given(call, 3, ("inplace",), kind.in_place) else dropped

    def _keep(self, call: Call, kind: _Kind, x: Tensor, p: float) -> Tensor:
        """Return a mask of 0 and 1 that multiplies x."""
        if x.dim() == 0 or len(x) != len(self.draws):
            raise InvalidError(
                f"{call} drops from a tensor of shape {tuple(x.shape)} for {len(self.draws)} "
                "images: which value belongs to which image cannot be seen; let the network keep "
                "the images in the first dimension"
            )
        shape = list(x.shape[1:])
        if kind.channels:
            kept = [1] if x.dim() == kind.lone else shape[:1]
            shape = kept + [1] * (len(shape) - 1)
        keep = torch.stack([torch.rand(shape, generator=draw) >= p for draw in self.draws])
        return keep.to(x)


def _drop(x: Tensor, keep: Tensor, p: float, *, alpha: bool) -> Tensor:
    if p == 1:
        return x * keep
    if not alpha:
        return x * keep / (1 - p)
    # keeps mean 0 and variance 1 (Klambauer et al. 2017, section 3, "New Dropout Technique")
    scale = 1 / math.sqrt((1 - p) * (1 + p * SELU_FLOOR**2))
    return scale * (x * keep + SELU_FLOOR * (1 - keep)) - scale * p * SELU_FLOOR


def _given(call: Call, place: int, names: tuple[str, ...], default: Any) -> Any:
    if len(call.arguments) > place:
        return call.arguments[place]
    return next((call.keywords[name] for name in names if name in call.keywords), default)


def hidden_dropouts(network: nn.Module) -> tuple[str, ...]:
    """Name the modules that drop at random in training and call no dropout that could be seen.

    Told by class name: stochastic depth and its family; and by type: attention and recurrent
    layers, whose dropout happens inside one function.
    """
    return tuple(f"{name} ({type(module).__name__})" for name, module in _hidden(network))


def _hidden(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for path, module in network.named_modules():
        if isinstance(module, nn.MultiheadAttention | nn.RNNBase):
            rate = module.dropout
        elif type(module).__name__.lower().replace("_", "").startswith(_HIDDEN_CLASS_PREFIXES):
            rates = (getattr(module, name, None) for name in ("p", "drop_prob", "prob"))
            rate = next((rate for rate in rates if rate is not None), None)
        else:
            continue
        if rate != 0:
            yield path, module
