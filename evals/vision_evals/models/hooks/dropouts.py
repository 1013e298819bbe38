"""Dropout switched on alone, in eval mode, with masks from given random generators."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    """What a dropout function drops, and what it writes there."""

    channels: bool = False
    """Whether it drops whole channels, not single values."""
    alpha: bool = False
    """Whether it writes the lowest value of a SELU, not 0."""
    in_place: bool = False
    on: bool = False
    """The default of ``training``."""
    lone: int = 0
    """Number of dimensions of one image without a batch: then the first one holds channels."""


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
"""Modules that only call one of these functions."""

_FUSED: dict[Function, tuple[tuple[int, str], tuple[int, str] | None]] = {
    F.scaled_dot_product_attention: ((4, "dropout_p"), None),
    F.multi_head_attention_forward: ((10, "dropout_p"), (13, "training")),
    **dict.fromkeys(
        (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu), ((5, "dropout"), None)
    ),
}
"""Functions that drop inside: the argument of the rate, and of ``training`` where it has one."""

_HIDDEN_CLASS_PREFIXES = (
    *("stochasticdepth", "droppath", "dropblock", "dropconnect"),
    *("droplayer", "shakedrop", "patchdropout"),
)
"""How names of classes begin that drop branches, blocks, weights or tokens, without case and _."""

SELU_FLOOR = -1.7580993408473766
"""Limit of a SELU far below 0: -lambda alpha (Klambauer et al. 2017, section 2)."""


class MaskedDropouts(NamedTuple):
    """One forward with one mask for each image."""

    logits: Tensor
    """(n, classes)."""
    calls: int
    """How often the forward called dropout with a rate above 0."""


def masked_logits(
    classifier: Classifier, pixels: Tensor, rngs: Sequence[torch.Generator]
) -> MaskedDropouts:
    """Return the logits of a classifier with dropout, and dropout alone, switched on.

    Inverted dropout (Srivastava et al. 2014): what is kept is divided by 1 - p. BatchNorm and
    everything else stay in eval mode. At p = 0 nothing changes, bit for bit.

    Args:
        classifier: in eval mode.
        pixels: (n, 3, H, W) in [0, 1].
        rngs: one CPU generator an image, used by its calls in their order: no batch and no device
            changes a mask.

    Raises:
        InvalidError: dropout is on although the network is in eval mode, a call does not have
            the images in its first dimension, or the network hides its calls.
    """
    masks = _Masks(rngs)
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
    """Handles calls of dropout."""

    rngs: Sequence[torch.Generator]
    calls: int = 0
    on: list[str] = field(default_factory=list)
    """The calls that drop although the network is in eval mode."""

    def __call__(self, call: Call) -> Tensor:
        kind = _KINDS[call.function]
        x: Tensor = call.argument(0, "input")
        p = float(call.argument(1, "p", default=0.5))
        if p == 0:
            return x
        self.calls += 1
        if call.argument(2, "training", "train", default=kind.on):
            self.on.append(f"{call} (p = {p:g})")
        dropped = _drop(x, self._keep(call, kind, x, p), p, alpha=kind.alpha)
        return x.copy_(dropped) if call.argument(3, "inplace", default=kind.in_place) else dropped

    def _keep(self, call: Call, kind: _Kind, x: Tensor, p: float) -> Tensor:
        """Return a mask of 0 and 1 that multiplies x."""
        if x.dim() == 0 or len(x) != len(self.rngs):
            raise InvalidError(
                f"{call} drops from a tensor of shape {tuple(x.shape)} for {len(self.rngs)} "
                "images, so the image of each value is unknown; let the network keep "
                "the images in the first dimension"
            )
        shape = list(x.shape[1:])
        if kind.channels:
            channels = [1] if x.dim() == kind.lone else shape[:1]
            shape = channels + [1] * (len(shape) - 1)
        keep = torch.stack([torch.rand(shape, generator=rng) >= p for rng in self.rngs])
        return keep.to(x)


def _drop(x: Tensor, keep: Tensor, p: float, *, alpha: bool) -> Tensor:
    if p == 1:
        return x * keep
    if not alpha:
        return x * keep / (1 - p)
    # keeps mean 0 and variance 1 (Klambauer et al. 2017, section 3, "New Dropout Technique")
    scale = 1 / math.sqrt((1 - p) * (1 + p * SELU_FLOOR**2))
    return scale * (x * keep + SELU_FLOOR * (1 - keep)) - scale * p * SELU_FLOOR


def hidden_dropouts(network: nn.Module) -> tuple[str, ...]:
    """Return the modules that drop at random in training without calling a dropout function.

    Stochastic depth and its family are known by class name; attention and recurrent layers,
    whose dropout happens inside one function, by type.
    """
    hidden = []
    for path, module in network.named_modules():
        if isinstance(module, nn.MultiheadAttention | nn.RNNBase):
            rate = module.dropout
        elif type(module).__name__.lower().replace("_", "").startswith(_HIDDEN_CLASS_PREFIXES):
            rates = (getattr(module, name, None) for name in ("p", "drop_prob", "prob"))
            rate = next((rate for rate in rates if rate is not None), None)
        else:
            continue
        if rate != 0:
            hidden.append(f"{path} ({type(module).__name__})")
    return tuple(hidden)


class LeftOff(NamedTuple):
    """What drops at random in training and is not switched on by `masked_logits`."""

    uncalled: tuple[str, ...]
    """Dropout modules with a rate whose forward does not run, in modules whose forward does."""
    fused: tuple[str, ...]
    """Modules that pass a rate to a function which drops inside, such as a fused attention."""


def left_off(classifier: Classifier, pixels: Tensor) -> LeftOff:
    """Return the dropouts that a forward in eval mode does not show.

    A rate such as ``self.p if self.training else 0.0`` shows only in training mode. So the modules
    that call a fused function, and these alone, are put into it for one more forward, in which
    nothing drops.

    Args:
        classifier: in eval mode.
        pixels: (1, 3, H, W) in [0, 1].
    """
    network, seen, ran = classifier.network, _Seen(), set[int]()
    hook = nn.modules.module.register_module_forward_pre_hook(lambda m, _: ran.add(id(m)))
    try:
        with torch.inference_mode(), watching(network, FUNCTIONS | _FUSED.keys(), seen):
            classifier.logits(pixels)
    finally:
        hook.remove()
    owners = [module for path, module in network.named_modules() if path in seen.fused]
    try:
        for module in owners:
            module.training = True
        with torch.inference_mode(), watching(network, FUNCTIONS | _FUSED.keys(), seen):
            if owners:
                classifier.logits(pixels)
    except Exception:  # noqa: BLE001 - a network may refuse a mode with any error
        seen.rates |= dict.fromkeys(seen.fused, math.nan)
    finally:
        for module in owners:
            module.training = False
    return LeftOff(
        tuple(
            path
            for path, module in network.named_modules()
            if isinstance(module, MODULES) and module.p > 0 and path not in seen.paths
            if id(_owner(network, path)) in ran
        ),
        tuple(path or "network" for path, rate in seen.rates.items() if rate != 0),
    )


def _owner(network: nn.Module, path: str) -> nn.Module:
    """Return the module in whose forward a part stands: the nearest one that is no container."""
    while path:
        path = path.rpartition(".")[0]
        owner = network.get_submodule(path)
        if not isinstance(owner, nn.Sequential | nn.ModuleList | nn.ModuleDict):
            return owner
    return network


class _Seen:
    """Remembers calls and lets nothing drop."""

    def __init__(self) -> None:
        self.paths = set[str]()
        self.fused = set[str]()
        self.rates = dict[str, float]()

    def __call__(self, call: Call) -> Any:
        if call.function not in _FUSED:
            self.paths.add(call.path)
            return call.argument(0, "input")
        rate, training = _FUSED[call.function]
        self.fused.add(call.path)
        p = call.argument(*rate, default=0.0)
        self.rates[call.path] = max(float(p), self.rates.get(call.path, 0.0))
        quiet = {rate: 0.0} | ({training: False} if training else {})
        return call.changed(quiet).run()
