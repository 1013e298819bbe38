"""Losses that attacks move, one number an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch.nn import functional

from evals.errors import NotApplicableError

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of logits (n, classes) and class indices (n,), the loss (n,) of each image."""


def cross_entropy(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return (n,) the cross-entropy at ``classes``."""
    return functional.cross_entropy(logits, classes, reduction="none")


def dlr(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return (n,) the difference of logits ratio at ``classes`` (Croce & Hein 2020, equation 6).

    ``-(z_y - max z_i for i != y) / (z_1 - z_3)`` with z_1 >= z_2 >= z_3 the largest logits. Unlike
    the cross-entropy, it does not vanish when a network scales its logits up. Descending it at a
    target pulls the target above all others.

    Raises:
        NotApplicableError: there are fewer than three classes.
    """
    if logits.shape[1] < 3:
        raise NotApplicableError(
            f'the loss "dlr" divides by the gap to the third likeliest class, and there are '
            f'{logits.shape[1]} classes; write loss = "cross_entropy"'
        )
    at = classes[:, None]
    others = logits.scatter(1, at, float("-inf")).amax(dim=1)
    best = logits.topk(3, dim=1).values
    # all of the three tie: any positive number keeps the ratio finite, none is right
    gap = (best[:, 0] - best[:, 2]).clamp(min=1e-12)
    return (others - logits.gather(1, at)[:, 0]) / gap


LOSSES: Mapping[str, Loss] = MappingProxyType({"cross_entropy": cross_entropy, "dlr": dlr})
"""By the names that people write."""
