"""What an attack sees where it stands."""

from __future__ import annotations

from typing import NamedTuple

import torch

from vision_evals.attacks.attack import Victim
from vision_evals.attacks.criteria import Criterion
from vision_evals.attacks.gradients import slope
from vision_evals.attacks.losses import Loss


class Seen(NamedTuple):
    """Of n images."""

    objective: torch.Tensor
    """(n,) sign times loss: every attack climbs it."""
    met: torch.Tensor
    """(n,) whether the criterion is met here."""
    uphill: torch.Tensor
    """(n, 3, H, W) gradient of the objective; 0 where it is not finite."""
    blind: torch.Tensor
    """(n,) whether it is not finite: an attack then stays where it is, and must not be believed."""


def see(victim: Victim, pixels: torch.Tensor, criterion: Criterion, loss: Loss) -> Seen:
    """Look at images and at the way up, with a single forward.

    Raises:
        InvalidError: the network cuts the graph.
    """
    found = slope(victim, pixels, criterion.classes, loss)
    objective = criterion.sign * loss(found.logits, criterion.classes)
    uphill = found.gradient.mul_(criterion.sign)
    blind = ~uphill.flatten(1).sum(dim=1).isfinite()
    uphill.masked_fill_(blind[:, None, None, None], 0)
    return Seen(objective, criterion.met(found.logits), uphill, blind)


def see_last(victim: Victim, pixels: torch.Tensor, criterion: Criterion, loss: Loss) -> Seen:
    """Look at images from which no step will be taken: the way up is left at zero."""
    with torch.no_grad():
        logits = victim.logits(pixels)
    objective = criterion.sign * loss(logits, criterion.classes)
    met = criterion.met(logits)
    return Seen(objective, met, torch.zeros_like(pixels), torch.zeros_like(met))
