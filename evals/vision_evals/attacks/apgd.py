"""Auto-PGD (Croce & Hein 2020): projected gradient ascent that chooses its own step size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch

from vision_evals.attacks.attack import Victim
from vision_evals.attacks.balls import Ball
from vision_evals.attacks.criteria import Criterion
from vision_evals.attacks.defaults import APGD_STEPS
from vision_evals.attacks.gradients import LOSSES, Seen, see, see_last
from vision_evals.attacks.restarts import RestartedAttack, Try

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


@dataclass(frozen=True, slots=True)
class AutoPGD(RestartedAttack):
    """Croce & Hein 2020 (parameter-free attacks), section 3 and algorithm 1.

    Each start is a random point of the ball. Each image has its own step size: 2 epsilon at first,
    halved at checkpoints without enough progress; the climb then continues from the best point.
    """

    name: ClassVar[str] = "apgd"
    steps: int = APGD_STEPS

    def climb(
        self,
        victim: Victim,
        start: torch.Tensor,
        centre: torch.Tensor,
        criterion: Criterion,
        ball: Ball,
    ) -> Try:
        """Climb from ``start`` within the ball around ``centre``."""
        n, loss, marks, last = len(start), LOSSES[self.loss], checkpoints(self.steps), 0
        active = torch.arange(n, device=start.device)
        seen = see(victim, start, criterion, loss)
        at, result = begun(start, seen, 2 * ball.epsilon), _untried(start, seen, self.steps)
        for k in range(self.steps):
            if self.early_stop:
                _settle(result, active[at.best_met], at.of(at.best_met))
                active, at = active[~at.best_met], at.of(~at.best_met)
            if not len(active):
                break
            point = further(at, centre[active], ball) if k else uphill(at, centre[active], ball)
            evaluate = see if k + 1 < self.steps else see_last
            seen = evaluate(victim, point, criterion.of(active), loss)
            result.losses[k + 1, active] = seen.objective
            result.steps[active] += 1
            result.ever[active] |= seen.met
            result.blind[active] |= seen.blind
            halved = fruitless(at, k - last) if k in marks else torch.zeros_like(seen.met)
            if k in marks:
                last, at = k, marked(at, halved)
            better = seen.objective > at.best_objective
            at = arrived(at, point, seen, better | seen.met if self.early_stop else better)
            at = restarted(at, halved)
        _settle(result, active, at)
        return result


def checkpoints(steps: int) -> tuple[int, ...]:
    """Return w_1, w_2, ... below ``steps``: w_j = ceil(p_j * steps) (section 3.1).

    The shares p_j are 0, 0.22, and then each period is 0.03 shorter than the one before, down to
    0.06. They are in whole hundredths: with the float 0.41, 41.0 would be rounded up to 42.
    """
    before, share, marks = 0, 22, []
    while share < 100:
        marks.append(-(-share * steps // 100))
        before, share = share, share + max(share - before - 3, 6)
    return tuple(mark for mark in dict.fromkeys(marks) if mark < steps)


def _untried(start: torch.Tensor, seen: Seen, steps: int) -> Try:
    """Return the result before the first step, which the climb updates in place."""
    n = len(start)
    losses = seen.objective.new_full((steps + 1, n), float("nan"))
    losses[0] = seen.objective
    taken = torch.zeros(n, dtype=torch.int64, device=start.device)
    return Try(
        start.clone(), seen.met.clone(), seen.objective.clone(), seen.met.clone(),
        seen.blind.clone(), taken, losses,
    )  # fmt: skip


def _settle(result: Try, rows: torch.Tensor, at: Climb) -> None:
    result.pixels[rows], result.met[rows] = at.best_point, at.best_met
    result.objective[rows] = at.best_objective
