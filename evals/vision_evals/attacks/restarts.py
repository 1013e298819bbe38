"""Attacks that climb from several starts, and keep the best of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import torch

from vision_evals.attacks.attack import Attacked, Draws, Victim
from vision_evals.attacks.balls import BALLS, Ball
from vision_evals.attacks.criteria import Criterion
from vision_evals.attacks.defaults import LOSS, RESTARTS


class Try(NamedTuple):
    """Result of one climb for n images."""

    pixels: torch.Tensor
    """(n, 3, H, W) the returned points."""
    met: torch.Tensor
    """(n,) whether the returned point meets the criterion."""
    objective: torch.Tensor
    """(n,) at the returned point."""
    ever: torch.Tensor
    """(n,) whether any forward met the criterion."""
    blind: torch.Tensor
    """(n,) whether any gradient was not finite."""
    steps: torch.Tensor
    """(n,) gradient steps."""
    losses: torch.Tensor
    """(k, n) objective along the path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartedAttack:
    """Gradient ascent from several starts; subclasses define one climb."""

    name: ClassVar[str]
    norms: ClassVar[frozenset[str]] = frozenset(BALLS)
    iterated: ClassVar[bool] = True

    steps: int
    """Largest number of gradient steps of each restart."""
    restarts: int = RESTARTS
    """Largest number of starts; the next start is only for images that are not broken yet."""
    loss: str = LOSS
    """A name of ``LOSSES``."""
    early_stop: bool = True
    """Whether an image stops at the first iterate that meets the criterion, which is then returned.
    Otherwise projected gradient descent returns the last iterate, and Auto-PGD the one with the
    highest objective."""

    def longer(self) -> Self:
        """Return the same attack with twice the steps."""
        return replace(self, steps=2 * self.steps)

    def with_restarts(self, n: int) -> Self:
        """Return the same attack with n starts."""
        return replace(self, restarts=n)

    def start(self, number: int, centre: torch.Tensor, ball: Ball, draws: Draws) -> torch.Tensor:
        """Return a random point of the ball around each image, for one of the restarts."""
        return ball.sample(centre, draws.generators(self.name, "start", str(number)))

    def climb(
        self,
        victim: Victim,
        start: torch.Tensor,
        centre: torch.Tensor,
        criterion: Criterion,
        ball: Ball,
    ) -> Try:
        """Climb from ``start`` within the ball around ``centre``, both (n, 3, H, W)."""
        raise NotImplementedError

    def __call__(
        self, victim: Victim, pixels: torch.Tensor, criterion: Criterion, ball: Ball, draws: Draws
    ) -> Attacked:
        """Attack n images. See :class:`vision_evals.attacks.attack.Attack`."""

        def once(number: int, rows: torch.Tensor) -> Try:
            start = self.start(number, pixels[rows], ball, draws.of(rows.tolist()))
            aim = criterion.of(rows.to(pixels.device))
            return self.climb(victim, start, pixels[rows], aim, ball)

        # until an image is broken; otherwise the point with the highest objective is kept
        best = once(0, torch.arange(len(pixels)))
        for number in range(1, self.restarts):
            rows = torch.nonzero(~best.met.cpu())[:, 0]
            if not len(rows):
                break
            best = _merged(best, rows, once(number, rows))
        return Attacked(best.pixels, best.ever, best.blind, best.steps, best.losses)


def _merged(best: Try, rows: torch.Tensor, new: Try) -> Try:
    """Return ``best`` with the rows in which the new try is better; it changes ``best``."""
    rows = rows.to(best.met.device)
    best.ever[rows] |= new.ever
    best.blind[rows] |= new.blind
    best.steps[rows] += new.steps
    better = new.met | (new.objective > best.objective[rows])
    at = rows[better]
    losses = _padded(best.losses, len(new.losses))
    losses[:, at] = _padded(new.losses, len(losses))[:, better]
    best.pixels[at], best.met[at] = new.pixels[better], new.met[better]
    best.objective[at] = new.objective[better]
    return best._replace(losses=losses)


def _padded(losses: torch.Tensor, height: int) -> torch.Tensor:
    missing = max(height - len(losses), 0)
    return torch.cat([losses, losses.new_full((missing, losses.shape[1]), float("nan"))])
