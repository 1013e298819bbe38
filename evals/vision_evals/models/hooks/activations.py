"""Activation functions as calls: which one each is, its units, and where it is flat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
_TABLE: tuple[tuple[Activation, tuple[Function, ...]], ...] = (
    (_RELU, (F.relu, F.relu_, torch.relu, torch.relu_, _T.relu, _T.relu_)),
    (Activation("relu6", "rectifier", 6.0), (F.relu6,)),
    (Activation("leaky_relu", "leaky"), (F.leaky_relu, F.leaky_relu_)),
    (Activation("prelu", "leaky"), (F.prelu, torch.prelu, _T.prelu)),
    (Activation("rrelu", "leaky"), (F.rrelu, F.rrelu_, torch.rrelu)),
    (Activation("elu", "leaky"), (F.elu, F.elu_)),
    (Activation("selu", "leaky"), (F.selu, torch.selu)),
    (Activation("celu", "leaky"), (F.celu, torch.celu)),
    (
        Activation("sigmoid", "smooth"),
        (F.sigmoid, torch.sigmoid, torch.sigmoid_, _T.sigmoid, _T.sigmoid_),
    ),
    (Activation("tanh", "smooth"), (F.tanh, torch.tanh, torch.tanh_, _T.tanh, _T.tanh_)),
    *(
        (Activation(function.__name__, "smooth"), (function,))
        for function in (F.gelu, F.silu, F.mish, F.softplus, F.hardswish, F.hardsigmoid)
    ),
)
_PLAIN = {function: kind for kind, functions in _TABLE for function in functions}
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
"""Functions that are rectifiers if the lower bound is 0: names and defaults of the bounds."""
_THRESHOLDS: set[Function] = {F.threshold, torch.threshold, torch.threshold_}

FUNCTIONS: frozenset[Function] = frozenset({*_PLAIN, *_BOUNDED, *_THRESHOLDS})
"""Every activation function that is recognised."""


def activation(call: Call) -> Activation | None:
    """Return the activation of a call; None for a clamp such as to [-1, 1], not a rectifier."""
    if call.function in _PLAIN:
        return _PLAIN[call.function]
    if call.function in _THRESHOLDS:
        edge, value = call.argument(1, "threshold"), call.argument(2, "value")
        return _RELU if edge == 0 and value == 0 else None
    bounds = [
        call.argument(place, name, default=default)
        for place, (name, default) in enumerate(_BOUNDED[call.function], 1)
    ]
    low, high = bounds[0], bounds[1] if len(bounds) > 1 else None
    if isinstance(low, Tensor) or isinstance(high, Tensor) or low is None or low != 0:
        return None
    if high is None:
        return _RELU
    return Activation("relu6" if high == 6 else f"relu up to {high:g}", "rectifier", float(high))


def of_images(output: Tensor, n: int) -> bool:
    """Return whether an output has rows for each of n images; a rectified weight does not."""
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
