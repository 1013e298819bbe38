"""Objective, criterion and gradient at an iterate of an attack."""

from __future__ import annotations

from typing import NamedTuple

import torch

from vision_evals.attacks.attack import Victim
from vision_evals.attacks.criteria import Criterion
from vision_evals.attacks.gradients import slope
from vision_evals.attacks.losses import Loss


class Seen(NamedTuple):
    """Values at the iterates of n images."""

    objective: torch.Tensor
    """(n,) sign times loss: attacks increase it."""
    met: torch.Tensor
    """(n,) whether the criterion is met."""
    uphill: torch.Tensor
    """(n, 3, H, W) gradient of the objective; 0 where it is not finite."""
    blind: torch.Tensor
    """(n,) whether it is not finite: the attack then does not move, and its result is not valid."""


def see(victim: Victim, pixels: torch.Tensor, criterion: Criterion, loss: Loss) -> Seen:
    """Return the values and the gradient at pixels (n, 3, H, W), with a single forward.

    Raises:
        InvalidError: the network cuts the graph.
    """
    forward = slope(victim, pixels, criterion.classes, loss)
    objective = criterion.sign * loss(forward.logits, criterion.classes)
    uphill = forward.gradient.mul_(criterion.sign)
    blind = ~uphill.flatten(1).sum(dim=1).isfinite()
    uphill.masked_fill_(blind[:, None, None, None], 0)
    return Seen(objective, criterion.met(forward.logits), uphill, blind)


def see_last(victim: Victim, pixels: torch.Tensor, criterion: Criterion, loss: Loss) -> Seen:
    """Return the values at the last iterate of n images, with a gradient of zero."""
    with torch.no_grad():
        logits = victim.logits(pixels)
    objective = criterion.sign * loss(logits, criterion.classes)
    met = criterion.met(logits)
    return Seen(objective, met, torch.zeros_like(pixels), torch.zeros_like(met))
