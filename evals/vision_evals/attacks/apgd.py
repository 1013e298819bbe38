"""Auto-PGD: a projected gradient ascent that finds its own step size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from vision_evals.attacks.attack import Attacked, Draws, Victim
from vision_evals.attacks.balls import BALLS, Ball
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
from vision_evals.attacks.defaults import APGD_STEPS, LOSS, RESTARTS
from vision_evals.attacks.iterates import Seen, see, see_last
from vision_evals.attacks.losses import LOSSES
from vision_evals.attacks.restarts import Try, best_try


@dataclass(frozen=True, slots=True)
class AutoPGD:
    """Croce & Hein 2020 (parameter-free attacks), section 3 and algorithm 1.

    Each start is drawn from the ball. The step size is an image's own: 2 epsilon at first, halved
    at checkpoints where it led nowhere, and then the climb goes on from the best point so far.
    """

    name: ClassVar[str] = "apgd"
    norms: ClassVar[frozenset[str]] = frozenset(BALLS)
    iterated: ClassVar[bool] = True

    steps: int = APGD_STEPS
    """Gradient steps at most, of each restart."""
    restarts: int = RESTARTS
    """Starts at most; only images that are not broken yet go on to the next."""
    loss: str = LOSS
    """A name of ``LOSSES``."""
    early_stop: bool = True
    """Whether an image leaves at the first iterate that meets the criterion, which is then handed
    back. Without, it is the point of the highest objective."""

    def longer(self) -> AutoPGD:
        """Return the same attack with twice the steps."""
        return replace(self, steps=2 * self.steps)

    def with_restarts(self, n: int) -> AutoPGD:
        """Return the same attack with n starts."""
        return replace(self, restarts=n)

    def __call__(
        self, victim: Victim, pixels: torch.Tensor, criterion: Criterion, ball: Ball, draws: Draws
    ) -> Attacked:
        """Attack n images. See :class:`vision_evals.attacks.attack.Attack`."""

        def once(number: int, rows: torch.Tensor) -> Try:
            drawn = draws.of(rows.tolist()).generators(self.name, "start", str(number))
            start, aim = ball.sample(pixels[rows], drawn), criterion.of(rows.to(pixels.device))
            return self._climb(victim, start, pixels[rows], aim, ball)

        return best_try(self.restarts, once, len(pixels))

    def _climb(
        self,
        victim: Victim,
        start: torch.Tensor,
        centre: torch.Tensor,
        criterion: Criterion,
        ball: Ball,
    ) -> Try:
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
            look = see if k + 1 < self.steps else see_last
            seen = look(victim, point, criterion.of(active), loss)
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
    0.06. In whole hundredths: 0.41 as a float would round 41.0 up to 42.
    """
    before, share, found = 0, 22, []
    while share < 100:
        found.append(-(-share * steps // 100))
        before, share = share, share + max(share - before - 3, 6)
    return tuple(mark for mark in dict.fromkeys(found) if mark < steps)


def _untried(start: torch.Tensor, seen: Seen, steps: int) -> Try:
    """Return a result to be written to."""
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
