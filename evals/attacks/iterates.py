"""What an attack sees where it stands."""

from __future__ import annotations

from typing import NamedTuple

import torch

from evals.attacks.attack import Victim
from evals.attacks.criteria import Criterion
from evals.attacks.gradients import slope
from evals.attacks.losses import Loss


class Seen(NamedTuple):
    """Of n images."""

    objective: torch.Tensor
    """(n,) sign times loss: every attack climbs it."""
    met: torch.Tensor
    """(n,) whether the criterion is met here."""
    uphill: torch.Tensor
    """(n, 3, H, W) gradient of the objective."""


def see(victim: Victim, pixels: torch.Tensor, criterion: Criterion, loss: Loss) -> Seen:
    """Look at images and at the way up, with a single forward.

    Raises:
        InvalidError: the network cuts the graph.
    """
    found = slope(victim, pixels, criterion.classes, loss)
    objective = criterion.sign * loss(found.logits, criterion.classes)
    return Seen(objective, criterion.met(found.logits), found.gradient.mul_(criterion.sign))


def see_last(victim: Victim, pixels: torch.Tensor, criterion: Criterion, loss: Loss) -> Seen:
    """Look at images from which no step will be taken: the way up is left at zero."""
    with torch.no_grad():
        logits = victim.logits(pixels)
    objective = criterion.sign * loss(logits, criterion.classes)
    return Seen(objective, criterion.met(logits), torch.zeros_like(pixels))
