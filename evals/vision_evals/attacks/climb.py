"""State of Auto-PGD (Croce & Hein 2020, algorithm 1), for each image of a batch."""

from __future__ import annotations

from typing import NamedTuple

import torch

from vision_evals.attacks.balls import Ball
from vision_evals.attacks.iterates import Seen

MOMENTUM, MIN_SHARE_OF_RISES = 0.75, 0.75
"""Section 3.1: alpha in the update, rho in condition 1."""


class Climb(NamedTuple):
    """State of the images that still climb; fields are (m,) or (m, 3, H, W)."""

    point: torch.Tensor
    before: torch.Tensor
    """The point one iteration ago, for the momentum."""
    uphill: torch.Tensor
    objective: torch.Tensor
    stride: torch.Tensor
    best_point: torch.Tensor
    best_uphill: torch.Tensor
    best_objective: torch.Tensor
    best_met: torch.Tensor
    rises: torch.Tensor
    """Steps since the last checkpoint that raised the objective."""
    mark: torch.Tensor
    """The best objective at the last checkpoint."""
    kept: torch.Tensor
    """Whether the step size was unchanged there."""

    def of(self, rows: torch.Tensor) -> Climb:
        """Return the state of some of the images."""
        return Climb(*(value[rows] for value in self))


def begun(start: torch.Tensor, seen: Seen, stride: float) -> Climb:
    """Return the state before the first step."""
    return Climb(
        start, start, seen.uphill, seen.objective, start.new_full((len(start),), stride),
        start, seen.uphill, seen.objective, seen.met,
        torch.zeros_like(seen.met, dtype=torch.int64), seen.objective, torch.ones_like(seen.met),
    )  # fmt: skip


def uphill(at: Climb, centre: torch.Tensor, ball: Ball) -> torch.Tensor:
    """Return z(k+1): a projected step without momentum."""
    stride = at.stride[:, None, None, None]
    return ball.project(at.point + stride * ball.steepest(at.uphill), centre)


def further(at: Climb, centre: torch.Tensor, ball: Ball) -> torch.Tensor:
    """Return x(k+1): a weighted sum of the step without momentum and the last step."""
    step = MOMENTUM * (uphill(at, centre, ball) - at.point)
    return ball.project(at.point + step + (1 - MOMENTUM) * (at.point - at.before), centre)


def fruitless(at: Climb, length: int) -> torch.Tensor:
    """Return (m,) whether condition 1 or 2 holds at a checkpoint, ``length`` steps after one."""
    too_few_rises = at.rises < MIN_SHARE_OF_RISES * length
    return too_few_rises | (at.kept & (at.best_objective == at.mark))


def marked(at: Climb, halved: torch.Tensor) -> Climb:
    """Return the state after a checkpoint, with half the step size where it is ``halved``."""
    return at._replace(
        rises=torch.zeros_like(at.rises), mark=at.best_objective, kept=~halved,
        stride=torch.where(halved, at.stride / 2, at.stride),
    )  # fmt: skip


def arrived(at: Climb, point: torch.Tensor, seen: Seen, better: torch.Tensor) -> Climb:
    """Return the state at a new point, which is the best so far where it is ``better``."""
    wide = better[:, None, None, None]
    return at._replace(
        point=point, before=at.point, uphill=seen.uphill, objective=seen.objective,
        best_point=torch.where(wide, point, at.best_point),
        best_uphill=torch.where(wide, seen.uphill, at.best_uphill),
        best_objective=torch.where(better, seen.objective, at.best_objective),
        best_met=torch.where(better, seen.met, at.best_met),
        rises=at.rises + (seen.objective > at.objective),
    )  # fmt: skip


def restarted(at: Climb, halved: torch.Tensor) -> Climb:
    """Continue from the best point where ``halved``; condition 1 does not count this as a step."""
    if not halved.any():
        return at
    wide = halved[:, None, None, None]
    return at._replace(
        point=torch.where(wide, at.best_point, at.point),
        uphill=torch.where(wide, at.best_uphill, at.uphill),
        objective=torch.where(halved, at.best_objective, at.objective),
    )
