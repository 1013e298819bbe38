"""Counts of a rectifier's units in a batch: how often above 0, highest and lowest output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vision_evals.models.hooks.activations import by_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vision_evals.measures.measure import Columns
    from vision_evals.models.hooks.activations import Activation
    from vision_evals.models.hooks.watch import Call


@dataclass(frozen=True)
class Counted:
    """Counts of one rectifier's units in a batch, on the device."""

    path: str
    number: int
    """Which call of its layer."""
    kind: Activation
    positions: int
    """Of one image."""
    positive: torch.Tensor
    """(units,) number of images and positions above 0."""
    highest: torch.Tensor
    lowest: torch.Tensor


def counted(call: Call, number: int, kind: Activation, output: torch.Tensor, n: int) -> Counted:
    """Count a rectifier's output of n images over images and positions.

    Args:
        call: of the rectifier.
        number: of the call in this layer, from 1.
        kind: which rectifier.
        output: of the call.
        n: images.
    """
    values = by_unit(output, call.axis)
    over = (0, 2) if values.dim() == 3 else (0,)
    return Counted(
        call.path,
        number,
        kind,
        values.numel() // (n * values.shape[1]),
        (values > 0).sum(over),
        values.amax(over),
        values.amin(over),
    )


def columns_of(calls: list[Counted]) -> Columns:
    """Return a row per unit, from the calls of a batch in their order."""
    sizes = [len(call.positive) for call in calls]

    def per_unit(values: Sequence[str | int], kind: type) -> NDArray[Any]:
        return np.repeat(np.array(values, dtype=kind), sizes)

    return {
        "layer": per_unit([call.path or "network" for call in calls], object),
        "call": per_unit([call.number for call in calls], int),
        "family": per_unit([call.kind.family for call in calls], object),
        "unit": np.concatenate([np.arange(size) for size in sizes]),
        "positive": torch.cat([call.positive for call in calls]),
        "positions": per_unit([call.positions for call in calls], int),
        "highest": torch.cat([call.highest for call in calls]),
        "lowest": torch.cat([call.lowest for call in calls]),
        "saturated": torch.cat([_saturated(call) for call in calls]),
        # joining batches by max and min loses a NaN
        "finite": torch.cat([(call.highest - call.lowest).isfinite().long() for call in calls]),
    }


def _saturated(call: Counted) -> torch.Tensor:
    """Return 1 if a unit is at its ceiling everywhere, 0 if not, -1 without a ceiling."""
    if call.kind.ceiling is None:
        return torch.full_like(call.positive, -1)
    return (call.lowest >= call.kind.ceiling).long()
