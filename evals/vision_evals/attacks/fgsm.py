"""One step along the steepest ascent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from vision_evals.attacks.attack import Attacked, Draws, Victim
from vision_evals.attacks.balls import BALLS, Ball
from vision_evals.attacks.criteria import Criterion
from vision_evals.attacks.gradients import cross_entropy, see, see_last


@dataclass(frozen=True, slots=True)
class FastGradientSign:
    """``x + epsilon * sign(dJ/dx)``, clipped to [0, 1] (Goodfellow et al. 2015, section 4).

    In other norms than linf, the steepest ascent of that norm replaces the sign.
    """

    name: ClassVar[str] = "fgsm"
    norms: ClassVar[frozenset[str]] = frozenset(BALLS)
    iterated: ClassVar[bool] = False

    def __call__(
        self,
        victim: Victim,
        pixels: torch.Tensor,
        criterion: Criterion,
        ball: Ball,
        draws: Draws,  # noqa: ARG002 - nothing is random
    ) -> Attacked:
        """Attack n images. See :class:`vision_evals.attacks.attack.Attack`."""
        before = see(victim, pixels, criterion, cross_entropy)
        moved = ball.project(pixels + ball.epsilon * ball.steepest(before.uphill), pixels)
        after = see_last(victim, moved, criterion, cross_entropy)
        return Attacked(
            moved,
            before.met | after.met,
            before.blind,
            torch.ones(len(pixels), dtype=torch.int64, device=pixels.device),
            torch.stack([before.objective, after.objective]),
        )
