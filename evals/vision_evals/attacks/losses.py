"""Losses that attacks move, one number an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch

from vision_evals.core.errors import NotApplicableError
from vision_evals.models.answers import one_of

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of logits (n, classes) and class indices (n, a) padded with -1, the loss (n,) of each image. Of
several classes it is that of the likeliest of them, or of all together: moving the one that a
label names would hand the image over to another right answer."""


def cross_entropy(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return (n,) the negative log probability of being one of ``classes`` (n, a)."""
    among = logits.masked_fill(~one_of(logits, classes), float("-inf"))
    return logits.logsumexp(dim=1) - among.logsumexp(dim=1)


def dlr(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return (n,) the difference of logits ratio at ``classes`` (Croce & Hein 2020, equation 6).

    ``-(z_y - max z_i for i != y) / (z_1 - z_3)`` with z_1 >= z_2 >= z_3 the largest logits. Unlike
    the cross-entropy, it does not vanish when a network scales its logits up. Descending it at a
    target pulls the target above all others. Of a classes (n, a), z_y is their largest, and the
    divisor reaches to z_(a+2): to z_3, the ratio would be -1 wherever two right answers lead.

    Raises:
        NotApplicableError: there are fewer than a + 2 classes.
    """
    rank = (classes >= 0).sum(dim=1) + 2
    most = int(classes.shape[1]) + 2
    if logits.shape[1] < most:
        raise NotApplicableError(
            f'the loss "dlr" divides by the gap to the likeliest class but {most - 1}, and there '
            f'are {logits.shape[1]} classes; write loss = "cross_entropy"'
        )
    mine = one_of(logits, classes)
    here = logits.masked_fill(~mine, float("-inf")).amax(dim=1)
    others = logits.masked_fill(mine, float("-inf")).amax(dim=1)
    best = logits.topk(most, dim=1).values
    # where all of them tie, any positive number keeps the ratio finite, and none is right
    gap = (best[:, 0] - best.gather(1, rank[:, None] - 1)[:, 0]).clamp(min=1e-12)
    return (others - here) / gap


LOSSES: Mapping[str, Loss] = MappingProxyType({"cross_entropy": cross_entropy, "dlr": dlr})
"""By the names that people write."""
