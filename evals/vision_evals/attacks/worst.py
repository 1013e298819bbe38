"""The worst case of each image over several attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from vision_evals.attacks.attack import Attack, Draws, Victim, check_norm
from vision_evals.attacks.balls import Ball
from vision_evals.attacks.criteria import Criterion

NONE, CLEAN = -1, -2
"""In ``Worst.by``: no attack broke the image; it met the criterion before the attacks."""


Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From pixels (r, 3, H, W) and their rows (r,) in the batch to logits (r, classes)."""


class Worst(NamedTuple):
    """Result for n images."""

    pixels: torch.Tensor
    """(n, 3, H, W) the first point that meets the criterion, otherwise that of the last attack."""
    broken: torch.Tensor
    """(n,) whether a forward on exactly these pixels meets the criterion."""
    by: torch.Tensor
    """(n,) int64 index of the attack that broke it, ``NONE`` or ``CLEAN``."""
    ever: torch.Tensor
    """(n,) whether the criterion was met anywhere on the path of an attack."""
    blind: torch.Tensor
    """(n,) whether an attack met a gradient that is not finite."""


def worst_case(
    victim: Victim,
    pixels: torch.Tensor,
    criterion: Criterion,
    ball: Ball,
    attacks: Sequence[Attack],
    draws: Draws,
    look: Forward | None = None,
) -> Worst:
    """Run attacks one after another, each on the images that are not broken yet.

    Results are checked: the returned points are projected here, and a new forward decides.

    Args:
        victim: frozen.
        pixels: (n, 3, H, W) in [0, 1].
        criterion: of the n images.
        ball: how far they may move.
        attacks: in their order.
        draws: of the n images.
        look: computes the logits that decide; by default the victim.

    Raises:
        UserError: an attack does not support the norm of the ball.
        NotApplicableError: an attack does not support the criterion.
        InvalidError: the victim cuts the graph, so it has no gradient.
    """
    for attack in attacks:
        check_norm(attack, ball.norm)
    see = look or (lambda pixels, _: victim.logits(pixels))
    result, every = pixels.clone(), torch.arange(len(pixels), device=pixels.device)
    broken = _met(see, pixels, every, criterion)
    ever, blind = torch.zeros_like(broken), torch.zeros_like(broken)
    by = torch.where(broken, CLEAN, NONE)
    for index, attack in enumerate(attacks):
        rows = torch.nonzero(~broken)[:, 0]
        if not len(rows):
            break
        aim, centre = criterion.of(rows), pixels[rows]
        attacked = attack(victim, centre, aim, ball, draws.of(rows.tolist()))
        result[rows] = ball.project(attacked.pixels, centre)
        met = _met(see, result[rows], rows, aim)
        ever[rows] |= attacked.ever
        blind[rows] |= attacked.blind
        by[rows[met]], broken[rows[met]] = index, True
    return Worst(result, broken, by, ever, blind)


def _met(
    look: Forward, pixels: torch.Tensor, rows: torch.Tensor, criterion: Criterion
) -> torch.Tensor:
    with torch.no_grad():
        return criterion.met(look(pixels, rows))
