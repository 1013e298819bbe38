"""Projected gradient descent: many small steps, each projected back into the ball."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from vision_evals.attacks.attack import Draws, Victim
from vision_evals.attacks.balls import Ball
from vision_evals.attacks.criteria import Criterion
from vision_evals.attacks.defaults import PGD_REL_STEPSIZE, PGD_STEPS, RANDOM_START
from vision_evals.attacks.gradients import LOSSES, see, see_last
from vision_evals.attacks.restarts import RestartedAttack, Try


@dataclass(frozen=True, slots=True)
class ProjectedGradientDescent(RestartedAttack):
    """Madry et al. 2018, section 2.1; from the image itself, Kurakin et al. 2017, section 2.2.

    The forward of each gradient also checks whether the image is broken, so only the last iterate
    needs a forward of its own.
    """

    name: ClassVar[str] = "pgd"
    steps: int = PGD_STEPS
    rel_stepsize: float = PGD_REL_STEPSIZE
    """Length of a step as a share of epsilon."""
    random_start: bool = field(default=RANDOM_START, kw_only=True)
    """Whether the first start is a random point of the ball too, as all others are."""

    def start(self, number: int, centre: torch.Tensor, ball: Ball, draws: Draws) -> torch.Tensor:
        """Return the images themselves for the first start without ``random_start``."""
        random = number or self.random_start
        # not super(): slots make a new class, which zero-argument super() does not know
        return RestartedAttack.start(self, number, centre, ball, draws) if random else centre

    def climb(
        self,
        victim: Victim,
        start: torch.Tensor,
        centre: torch.Tensor,
        criterion: Criterion,
        ball: Ball,
    ) -> Try:
        """Climb from ``start`` within the ball around ``centre``."""
        n, stride, loss = len(start), self.rel_stepsize * ball.epsilon, LOSSES[self.loss]
        active = torch.arange(n, device=start.device)
        met, ever, blind = torch.zeros(3, n, dtype=torch.bool, device=start.device)
        objective, steps = start.new_full((n,), float("nan")), torch.zeros_like(active)
        losses = []
        result, at = start.clone(), start  # later copies are of images that still climb
        for step in range(self.steps + 1):
            evaluate = see if step < self.steps else see_last
            seen = evaluate(victim, at, criterion, loss)
            losses.append(_scattered(seen.objective, active, n))
            objective[active], met[active] = losses[-1][active].to(objective), seen.met
            ever |= met
            blind[active] |= seen.blind
            uphill = seen.uphill
            if self.early_stop and seen.met.any():
                result[active[seen.met]] = at[seen.met]
                climbing = ~seen.met
                active, at, centre = active[climbing], at[climbing], centre[climbing]
                criterion, uphill = criterion.of(climbing), uphill[climbing]
            if step == self.steps or not len(active):
                break
            at = ball.project(at.add(ball.steepest(uphill), alpha=stride), centre)
            steps[active] += 1
        result[active] = at
        return Try(result, met, objective, ever, blind, steps, torch.stack(losses))


def _scattered(values: torch.Tensor, rows: torch.Tensor, n: int) -> torch.Tensor:
    """(m,) values at rows to (n,), NaN elsewhere."""
    whole = values.new_full((n,), float("nan"))
    whole[rows] = values
    return whole
