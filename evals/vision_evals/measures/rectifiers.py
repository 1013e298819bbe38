"""Counts of a rectifier's units in a batch: how often above 0, the highest and the lowest."""

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
    """One rectifier's units in this batch, on the device."""

    path: str
    number: int
    kind: Activation
    positions: int
    """Of one image."""
    positive: torch.Tensor
    """(units,) on how many images and positions above 0; the highest and the lowest output."""
    highest: torch.Tensor
    lowest: torch.Tensor


def counted(call: Call, number: int, kind: Activation, output: torch.Tensor, n: int) -> Counted:
    """Count a rectifier's output of n images over images and positions.

    Args:
        call: of the rectifier.
        number: how many calls of this layer there were, itself included.
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


def columns_of(seen: list[Counted]) -> Columns:
    """Return a row a unit, from the calls of a batch in their order."""
    sizes = [len(one.positive) for one in seen]

    def each(values: Sequence[str | int], kind: type) -> NDArray[Any]:
        return np.repeat(np.array(values, dtype=kind), sizes)

    return {
        "layer": each([one.path or "network" for one in seen], object),
        "call": each([one.number for one in seen], int),
        "family": each([one.kind.family for one in seen], object),
        "unit": np.concatenate([np.arange(size) for size in sizes]),
        "positive": torch.cat([one.positive for one in seen]),
        "positions": each([one.positions for one in seen], int),
        "highest": torch.cat([one.highest for one in seen]),
        "lowest": torch.cat([one.lowest for one in seen]),
        "saturated": torch.cat([_saturated(one) for one in seen]),
        # joining by max and min would drop a NaN
        "finite": torch.cat([(one.highest - one.lowest).isfinite().long() for one in seen]),
    }


def _saturated(one: Counted) -> torch.Tensor:
    """Return 1 where a unit is at its ceiling everywhere, 0 where not, -1 where there is none."""
    if one.kind.ceiling is None:
        return torch.full_like(one.positive, -1)
    return (one.lowest >= one.kind.ceiling).long()
