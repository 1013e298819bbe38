"""What an attack takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch

from vision_evals.attacks.balls import Ball
from vision_evals.attacks.criteria import Criterion
from vision_evals.core.errors import UserError
from vision_evals.core.rng import generator


class Victim(Protocol):
    """What is attacked: a classifier, or anything that turns pixels into logits."""

    @property
    def alias(self) -> str:
        """Its name in messages."""
        ...

    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (n, classes) of pixels (n, 3, H, W) in [0, 1], differentiable."""
        ...


class Attacked(NamedTuple):
    """What an attack made of n images."""

    pixels: torch.Tensor
    """(n, 3, H, W) what is handed back."""
    ever: torch.Tensor
    """(n,) whether a forward anywhere on the path met the criterion."""
    blind: torch.Tensor
    """(n,) whether a gradient anywhere on the path was not finite."""
    steps: torch.Tensor
    """(n,) gradient steps that were taken, all restarts together."""
    losses: torch.Tensor
    """(k, n) the objective at each iterate that was looked at, sign times loss, so that it is
    climbed; NaN after an image left the batch. Of the restart whose point is handed back."""


@dataclass(frozen=True, slots=True)
class Draws:
    """Where an attack's random numbers come from: a generator an image, whatever its batch."""

    seed: int
    """Of the run."""
    ids: tuple[str, ...]
    """Of the images."""

    def of(self, rows: Sequence[int]) -> Draws:
        """Return the draws of some of the images."""
        return Draws(self.seed, tuple(self.ids[row] for row in rows))

    def generators(self, *names: str) -> list[torch.Generator]:
        """Return a CPU generator an image of (seed, "attack", names, image)."""
        return [generator(self.seed, "attack", *names, image) for image in self.ids]


class Attack(Protocol):
    """A way to look for a point of a ball that meets a criterion."""

    @property
    def name(self) -> str:
        """In tables and messages."""
        ...

    @property
    def norms(self) -> frozenset[str]:
        """Names of the balls that it knows how to stay in."""
        ...

    @property
    def iterated(self) -> bool:
        """Whether it takes more than one step."""
        ...

    def __call__(
        self,
        victim: Victim,
        pixels: torch.Tensor,
        criterion: Criterion,
        ball: Ball,
        draws: Draws,
    ) -> Attacked:
        """Attack n images.

        Args:
            victim: frozen.
            pixels: (n, 3, H, W) in [0, 1], n at least 1.
            criterion: of the n images.
            ball: how far they may move.
            draws: of the n images.

        Raises:
            NotApplicableError: the criterion is none that it can work on.
            InvalidError: the victim cuts the graph, so it has no gradient.
        """
        ...


def hold(attack: Attack, norm: str) -> None:
    """Refuse an attack that does not know a norm.

    Raises:
        UserError: with the norms that it does know.
    """
    if norm not in attack.norms:
        known = " or ".join(f'"{one}"' for one in sorted(attack.norms))
        raise UserError(
            f'the attack "{attack.name}" does not stay in balls of norm "{norm}"; '
            f"write norm = {known}, or name another attack"
        )
