"""The worst that several attacks can do to each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from vision_evals.attacks.attack import Attack, Draws, Victim, hold
from vision_evals.attacks.balls import Ball
from vision_evals.attacks.criteria import Criterion

NONE, CLEAN = -1, -2
"""In ``Worst.by``: no attack broke the image; it met the criterion before any."""


Look = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From pixels (r, 3, H, W) and the rows (r,) they are of to logits (r, classes)."""


class Worst(NamedTuple):
    """What became of n images."""

    pixels: torch.Tensor
    """(n, 3, H, W) the first point found that meets the criterion, else the last attack's."""
    broken: torch.Tensor
    """(n,) whether a forward on exactly these pixels meets the criterion."""
    by: torch.Tensor
    """(n,) int64 index of the attack that broke it, ``NONE`` or ``CLEAN``."""
    ever: torch.Tensor
    """(n,) whether an attack saw the criterion met anywhere on its path."""
    blind: torch.Tensor
    """(n,) whether an attack met a gradient that is not finite."""


def worst_case(
    victim: Victim,
    pixels: torch.Tensor,
    criterion: Criterion,
    ball: Ball,
    attacks: Sequence[Attack],
    draws: Draws,
    look: Look | None = None,
) -> Worst:
    """Attack with one after another; only images that still stand go on to the next.

    No attack is believed: what it hands back is projected here, and a fresh forward decides.

    Args:
        victim: frozen.
        pixels: (n, 3, H, W) in [0, 1].
        criterion: of the n images.
        ball: how far they may move.
        attacks: in their order.
        draws: of the n images.
        look: gives the logits that decide; by default the victim's.

    Raises:
        UserError: an attack does not know the norm of the ball.
        NotApplicableError: an attack cannot work towards the criterion.
        InvalidError: the victim cuts the graph, so it has no gradient.
    """
    for attack in attacks:
        hold(attack, ball.norm)
    see = look or (lambda pixels, _: victim.logits(pixels))
    found, every = pixels.clone(), torch.arange(len(pixels), device=pixels.device)
    broken = _met(see, pixels, every, criterion)
    ever, blind = torch.zeros_like(broken), torch.zeros_like(broken)
    by = torch.where(broken, CLEAN, NONE)
    for index, attack in enumerate(attacks):
        rows = torch.nonzero(~broken)[:, 0]
        if not len(rows):
            break
        aim, centre = criterion.of(rows), pixels[rows]
        attacked = attack(victim, centre, aim, ball, draws.of(rows.tolist()))
        found[rows] = ball.project(attacked.pixels, centre)
        met = _met(see, found[rows], rows, aim)
        ever[rows] |= attacked.ever
        blind[rows] |= attacked.blind
        by[rows[met]], broken[rows[met]] = index, True
    return Worst(found, broken, by, ever, blind)


def _met(
    look: Look, pixels: torch.Tensor, rows: torch.Tensor, criterion: Criterion
) -> torch.Tensor:
    with torch.no_grad():
        return criterion.met(look(pixels, rows))
