"""Counts of a rectifier's units in a batch: how often above 0, highest and lowest output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vision_evals.models.hooks.activations import by_unit

if TYPE_CHECKING:
    from vision_evals.measures.measure import Columns
    from vision_evals.models.hooks.activations import Activation
    from vision_evals.models.hooks.watch import Call


def counted(call: Call, number: int, kind: Activation, output: torch.Tensor, n: int) -> Columns:
    """Return a row per unit of a rectifier, counted over n images and all positions.

    Args:
        call: of the rectifier.
        number: of the call in this layer, from 1.
        kind: which rectifier.
        output: of the call.
        n: images.
    """
    values = by_unit(output, call.axis)
    over = (0, 2) if values.dim() == 3 else (0,)
    highest, lowest, units = values.amax(over), values.amin(over), values.shape[1]
    return {
        "layer": np.full(units, call.path or "network", dtype=object),
        "call": np.full(units, number),
        "family": np.full(units, kind.family, dtype=object),
        "unit": np.arange(units),
        "positive": (values > 0).sum(over),
        "positions": np.full(units, values.numel() // (n * units)),
        "highest": highest,
        "lowest": lowest,
        "saturated": _saturated(lowest, kind.ceiling),
        # joining batches by max and min loses a NaN
        "finite": (highest - lowest).isfinite().long(),
    }


def _saturated(lowest: torch.Tensor, ceiling: float | None) -> torch.Tensor:
    """Return 1 if a unit is at its ceiling everywhere, 0 if not, -1 without a ceiling."""
    if ceiling is None:
        return torch.full_like(lowest, -1, dtype=torch.int64)
    return (lowest >= ceiling).long()


def joined(calls: Sequence[Columns]) -> Columns:
    """Return the rows of the calls of a batch, one call after the other."""
    columns: dict[str, list[Any]] = {name: [call[name] for call in calls] for name in calls[0]}
    return {
        name: np.concatenate(parts) if isinstance(parts[0], np.ndarray) else torch.cat(parts)
        for name, parts in columns.items()
    }
