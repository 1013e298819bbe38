"""Auto-PGD: projected gradient ascent that chooses its own step size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from vision_evals.attacks.attack import Victim
from vision_evals.attacks.balls import Ball
from vision_evals.attacks.climb import (
    Climb,
    arrived,
    begun,
    fruitless,
    further,
    marked,
    restarted,
    uphill,
)
from vision_evals.attacks.criteria import Criterion
from vision_evals.attacks.defaults import APGD_STEPS
from vision_evals.attacks.iterates import Seen, see, see_last
from vision_evals.attacks.losses import LOSSES
from vision_evals.attacks.restarts import RestartedAttack, Try


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
