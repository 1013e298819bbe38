"""Losses that attacks change, one number per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch

from vision_evals.core.errors import NotApplicableError
from vision_evals.models.answers import one_of

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of logits (n, classes) and class indices (n, a) padded with -1, the loss (n,) of each image. Of
several classes it is the loss of the likeliest one, or of all together: the loss of the label alone
would make another right class likeliest."""


def cross_entropy(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return (n,) the negative log probability of being one of ``classes`` (n, a)."""
    among = logits.masked_fill(~one_of(logits, classes), float("-inf"))
    return logits.logsumexp(dim=1) - among.logsumexp(dim=1)


def dlr(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return (n,) the difference of logits ratio at ``classes`` (Croce & Hein 2020, equation 6).

    ``-(z_y - max z_i for i != y) / (z_1 - z_3)`` with z_1 >= z_2 >= z_3 the largest logits. Unlike
    the cross-entropy, it does not vanish when a network scales its logits up. Decreasing it at a
    target raises the target above all others. For classes (n, a), z_y is their largest logit, and
    the divisor is z_1 - z_(a+2): with z_3, the ratio is -1 wherever two right classes lead.

    Raises:
        NotApplicableError: there are fewer than a + 2 classes.
    """
    rank = (classes >= 0).sum(dim=1) + 2
    most = int(classes.shape[1]) + 2
    if logits.shape[1] < most:
        raise NotApplicableError(
            f'the loss "dlr" needs at least {most} classes, and there are {logits.shape[1]}; '
            'write loss = "cross_entropy"'
        )
    mine = one_of(logits, classes)
    largest = logits.masked_fill(~mine, float("-inf")).amax(dim=1)
    others = logits.masked_fill(mine, float("-inf")).amax(dim=1)
    best = logits.topk(most, dim=1).values
    # if all of them are equal, a positive number keeps the ratio finite
    gap = (best[:, 0] - best.gather(1, rank[:, None] - 1)[:, 0]).clamp(min=1e-12)
    return (others - largest) / gap


LOSSES: Mapping[str, Loss] = MappingProxyType({"cross_entropy": cross_entropy, "dlr": dlr})
"""By their names in suites."""
