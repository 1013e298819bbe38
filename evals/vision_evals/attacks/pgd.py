"""Projected gradient descent: many small steps, each brought back into the ball."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from vision_evals.attacks.attack import Attacked, Draws, Victim
from vision_evals.attacks.balls import BALLS, Ball
from vision_evals.attacks.criteria import Criterion
from vision_evals.attacks.defaults import LOSS, PGD_REL_STEPSIZE, PGD_STEPS, RANDOM_START, RESTARTS
from vision_evals.attacks.iterates import see, see_last
from vision_evals.attacks.losses import LOSSES
from vision_evals.attacks.restarts import Try, best_try


@dataclass(frozen=True, slots=True)
class ProjectedGradientDescent:
    """Madry et al. 2018, section 2.1; from the image itself, Kurakin et al. 2017, section 2.2.

    The forward of each gradient is also the check whether the image is broken, so that only the
    last iterate needs a forward of its own.
    """

    name: ClassVar[str] = "pgd"
    norms: ClassVar[frozenset[str]] = frozenset(BALLS)
    iterated: ClassVar[bool] = True

    steps: int = PGD_STEPS
    """Gradient steps at most, of each restart."""
    rel_stepsize: float = PGD_REL_STEPSIZE
    """Length of a step as a share of epsilon."""
    restarts: int = RESTARTS
    """Starts at most; only images that are not broken yet go on to the next."""
    random_start: bool = RANDOM_START
    """Whether the first start is drawn from the ball too, as all others are."""
    loss: str = LOSS
    """A name of ``LOSSES``."""
    early_stop: bool = True
    """Whether an image leaves at the first iterate that meets the criterion, which is then handed
    back. Without, it is the last iterate, whatever the network says there."""

    def longer(self) -> ProjectedGradientDescent:
        """Return the same attack with twice the steps."""
        return replace(self, steps=2 * self.steps)

    def with_restarts(self, n: int) -> ProjectedGradientDescent:
        """Return the same attack with n starts."""
        return replace(self, restarts=n)

    def __call__(
        self, victim: Victim, pixels: torch.Tensor, criterion: Criterion, ball: Ball, draws: Draws
    ) -> Attacked:
        """Attack n images. See :class:`vision_evals.attacks.attack.Attack`."""

        def once(number: int, rows: torch.Tensor) -> Try:
            centre = pixels[rows]
            start = centre.clone()
            if number or self.random_start:
                drawn = draws.of(rows.tolist()).generators(self.name, "start", str(number))
                start = ball.sample(centre, drawn)
            return self._climb(victim, start, centre, criterion.of(rows.to(pixels.device)), ball)

        return best_try(self.restarts, once, len(pixels))

    def _climb(
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
        found, at = start.clone(), start  # only who still climbs is ever copied
        for step in range(self.steps + 1):
            look = see if step < self.steps else see_last
            seen = look(victim, at, criterion, loss)
            losses.append(_scattered(seen.objective, active, n))
            objective[active], met[active] = losses[-1][active].to(objective), seen.met
            ever |= met
            blind[active] |= seen.blind
            uphill = seen.uphill
            if self.early_stop and seen.met.any():
                found[active[seen.met]] = at[seen.met]
                left = ~seen.met
                active, at, centre = active[left], at[left], centre[left]
                criterion, uphill = criterion.of(left), uphill[left]
            if step == self.steps or not len(active):
                break
            at = ball.project(at.add(ball.steepest(uphill), alpha=stride), centre)
            steps[active] += 1
        found[active] = at
        return Try(found, met, objective, ever, blind, steps, torch.stack(losses))


def _scattered(values: torch.Tensor, rows: torch.Tensor, n: int) -> torch.Tensor:
    """(m,) values of some rows to (n,), NaN elsewhere."""
    whole = values.new_full((n,), float("nan"))
    whole[rows] = values
    return whole
