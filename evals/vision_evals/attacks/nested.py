"""The worst case in balls within balls: what breaks an image in one is stretched into the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch

from vision_evals.attacks.attack import Attack, Draws, Victim
from vision_evals.attacks.balls import Ball
from vision_evals.attacks.criteria import Criterion
from vision_evals.attacks.worst import CLEAN, NONE, Forward, Worst, worst_case


class Nested(NamedTuple):
    """Result for n images in one of several balls."""

    worst: Worst
    """Of this ball alone: a point of a smaller ball is not among its ``pixels``."""
    broken_at: torch.Tensor
    """(n,) radius of the ball whose point breaks the image: this one, or a smaller one, which it
    contains. 0 where it is broken without an attack, -1 where it stands."""


class _Held(NamedTuple):
    """The points of the largest ball so far in which an image is broken."""

    pixels: torch.Tensor
    radius: torch.Tensor
    """(n,) 0 where the image is not broken yet."""
    by: torch.Tensor


def nested_worst_cases(
    victim: Victim,
    pixels: torch.Tensor,
    criterion: Criterion,
    balls: Sequence[Ball],
    attacks: Sequence[Attack],
    draws: Draws,
    look: Forward,
) -> Iterator[Nested]:
    """Yield the worst case in each ball, from the smallest to the largest.

    An image that is broken in one ball is broken in every larger one. Its perturbation is stretched
    to the next radius and projected, and a forward decides. Where it does not break the image
    there, the image is attacked there; where that fails too, the smaller ball's point is the reason
    why it counts as broken.

    Args:
        victim: frozen.
        pixels: (n, 3, H, W) in [0, 1].
        criterion: of the n images.
        balls: of one norm, their radii rising; a ball of radius 0 needs no attack.
        attacks: in their order.
        draws: of the n images.
        look: computes the logits that decide.

    Raises:
        UserError: an attack does not support the norm of the balls.
        NotApplicableError: an attack does not support the criterion.
        InvalidError: the victim cuts the graph, so it has no gradient.
    """
    n = len(pixels)
    held = _Held(pixels.clone(), pixels.new_zeros(n), torch.full((n,), NONE, device=pixels.device))
    for ball in balls:
        worst = _stretched(pixels, criterion, ball, held, look)
        rows = torch.nonzero(~worst.broken)[:, 0]
        if len(rows):
            images = victim, pixels[rows], criterion.of(rows), ball, attacks if ball.epsilon else ()
            look_at = partial(_look_at, look, rows)
            attacked = worst_case(*images, draws.of(rows.tolist()), look_at)
            for whole, part in zip(worst, attacked, strict=True):
                whole[rows] = part
        moved = worst.broken & (worst.by != CLEAN)
        radius = torch.where(moved, ball.epsilon, held.radius)
        points = torch.where(moved[:, None, None, None], worst.pixels, held.pixels)
        held = _Held(points, radius, torch.where(moved, worst.by, held.by))
        stands = ~worst.broken & (radius == 0)
        yield Nested(
            worst._replace(by=torch.where(worst.broken, worst.by, held.by)),
            radius.masked_fill(stands, -1),
        )


def _look_at(
    look: Forward, rows: torch.Tensor, pixels: torch.Tensor, part: torch.Tensor
) -> torch.Tensor:
    """Return the logits of pixels of a part of some rows."""
    return look(pixels, rows[part])


def _stretched(
    pixels: torch.Tensor, criterion: Criterion, ball: Ball, held: _Held, look: Forward
) -> Worst:
    """Return what held points break in a larger ball; of other images, the images themselves."""
    result, broken = pixels.clone(), torch.zeros(len(pixels), dtype=torch.bool).to(pixels.device)
    by = torch.full_like(held.by, NONE)
    rows = torch.nonzero(held.radius > 0)[:, 0]
    if len(rows):
        centre = pixels[rows]
        factor = (ball.epsilon / held.radius[rows])[:, None, None, None]
        points = ball.project(centre + factor * (held.pixels[rows] - centre), centre)
        with torch.no_grad():
            met = criterion.of(rows).met(look(points, rows))
        won = rows[met]
        result[won], by[won], broken[won] = points[met], held.by[won], True
    return Worst(result, broken, by, broken.clone(), torch.zeros_like(broken))
