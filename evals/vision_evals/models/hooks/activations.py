"""Activation functions as calls: what each is, its units, and where it has no slope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vision_evals.models.hooks.watch import Call, Function

Family = Literal["rectifier", "leaky", "smooth"]


@dataclass(frozen=True, slots=True)
class Activation:
    """What an activation function does."""

    name: str
    """Such as ``relu``, ``relu6``, ``leaky_relu``, ``tanh``."""
    family: Family
    """A ``rectifier`` is 0 below 0 and so can die; ``leaky`` has a slope there; ``smooth`` ones
    have no such side."""
    ceiling: float | None = None
    """Highest output of a rectifier that has one."""


_RELU = Activation("relu", "rectifier")
_T = torch.Tensor
_PLAIN: dict[Function, Activation] = {
    **dict.fromkeys((F.relu, F.relu_, torch.relu, torch.relu_, _T.relu, _T.relu_), _RELU),
    F.relu6: Activation("relu6", "rectifier", 6.0),
    **dict.fromkeys((F.leaky_relu, F.leaky_relu_), Activation("leaky_relu", "leaky")),
    **dict.fromkeys((F.prelu, torch.prelu, _T.prelu), Activation("prelu", "leaky")),
    **dict.fromkeys((F.rrelu, F.rrelu_, torch.rrelu), Activation("rrelu", "leaky")),
    **dict.fromkeys((F.elu, F.elu_), Activation("elu", "leaky")),
    **dict.fromkeys((F.selu, torch.selu), Activation("selu", "leaky")),
    **dict.fromkeys((F.celu, torch.celu), Activation("celu", "leaky")),
    **dict.fromkeys(
        (F.sigmoid, torch.sigmoid, torch.sigmoid_, _T.sigmoid, _T.sigmoid_),
        Activation("sigmoid", "smooth"),
    ),
    **dict.fromkeys(
        (F.tanh, torch.tanh, torch.tanh_, _T.tanh, _T.tanh_), Activation("tanh", "smooth")
    ),
    F.gelu: Activation("gelu", "smooth"),
    F.silu: Activation("silu", "smooth"),
    F.mish: Activation("mish", "smooth"),
    F.softplus: Activation("softplus", "smooth"),
    F.hardswish: Activation("hardswish", "smooth"),
    F.hardsigmoid: Activation("hardsigmoid", "smooth"),
}
_BOUNDED: dict[Function, tuple[tuple[str, float | None], ...]] = {
    **dict.fromkeys((F.hardtanh, F.hardtanh_), (("min_val", -1.0), ("max_val", 1.0))),
    **dict.fromkeys(
        (torch.clamp, torch.clamp_, _T.clamp, _T.clamp_, torch.clip, _T.clip, _T.clip_),
        (("min", None), ("max", None)),
    ),
    **dict.fromkeys(
        (torch.clamp_min, torch.clamp_min_, _T.clamp_min, _T.clamp_min_), (("min", None),)
    ),
}
"""Rectifiers where the lower bound is 0, and where that and the ceiling are found."""
_THRESHOLDS: set[Function] = {F.threshold, torch.threshold, torch.threshold_}

FUNCTIONS: frozenset[Function] = frozenset({*_PLAIN, *_BOUNDED, *_THRESHOLDS})
"""Every activation function that is recognised."""


def activation(call: Call) -> Activation | None:
    """Return what a call is; None for a clamp that is no rectifier, such as to [-1, 1]."""
    if call.function in _PLAIN:
        return _PLAIN[call.function]
    if call.function in _THRESHOLDS:
        edge, value = (
            _given(call, place, name) for place, name in ((1, "threshold"), (2, "value"))
        )
        return _RELU if edge == 0 and value == 0 else None
    bounds = [
        _given(call, place, name, default)
        for place, (name, default) in enumerate(_BOUNDED[call.function], 1)
    ]
    low, high = bounds[0], bounds[1] if len(bounds) > 1 else None
    if isinstance(low, Tensor) or isinstance(high, Tensor) or low is None or low != 0:
        return None
    if high is None:
        return _RELU
    return Activation("relu6" if high == 6 else f"relu up to {high:g}", "rectifier", float(high))


def _given(call: Call, place: int, name: str, default: Any = None) -> Any:
    if len(call.arguments) > place:
        return call.arguments[place]
    return call.keywords.get(name, default)


def of_images(output: Tensor, n: int) -> bool:
    """Return whether an output has rows for each of n images; a rectified weight has none."""
    return output.dim() > 1 and output.shape[0] % n == 0


def by_unit(output: Tensor, axis: int | None = None) -> Tensor:
    """Return an activation's output as (n, units) or (n, units, positions).

    Args:
        output: (n, neurons), (n, channels, ...), or with neurons last.
        axis: where its units are; by default 1, and the last of three: (n, tokens, neurons).
    """
    if output.dim() < 3:
        return output
    axis = axis if axis is not None else -1 if output.dim() == 3 else 1
    return output.movedim(axis, 1).flatten(2)


def where_flat(kind: Activation, output: Tensor) -> Tensor | None:
    """Return where the function's slope is under 1 % of its steepest; None where that is not known.

    A rectifier has none at 0 and at its ceiling. sigmoid' = y (1 - y), steepest 1/4;
    tanh' = 1 - y^2, steepest 1 (LeCun et al. 1998, Efficient BackProp, section 4.4).
    """
    if kind.family == "rectifier":
        below = output <= 0
        return below if kind.ceiling is None else below | (output >= kind.ceiling)
    if kind.family == "leaky":
        return torch.zeros_like(output, dtype=torch.bool)
    if kind.name == "sigmoid":
        return 4 * output * (1 - output) < 0.01
    if kind.name == "tanh":
        return 1 - output**2 < 0.01
    return None
