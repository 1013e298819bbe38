"""Interface of an attack: what it takes and returns."""

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
    """Target of an attack: a classifier, or anything that turns pixels into logits."""

    @property
    def alias(self) -> str:
        """Its name in messages."""
        ...

    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (n, classes) of pixels (n, 3, H, W) in [0, 1], differentiable."""
        ...

    @property
    def climbed(self) -> Victim:
        """What attacks differentiate: itself, or a copy that is equal but for rounding."""
        ...


class Attacked(NamedTuple):
    """Result of an attack on n images."""

    pixels: torch.Tensor
    """(n, 3, H, W) the returned points."""
    ever: torch.Tensor
    """(n,) whether a forward anywhere on the path met the criterion."""
    blind: torch.Tensor
    """(n,) whether a gradient anywhere on the path was not finite."""
    steps: torch.Tensor
    """(n,) number of gradient steps of all restarts together."""
    losses: torch.Tensor
    """(k, n) the objective, sign times loss, at each iterate; the attack increases it. NaN after an
    image has stopped. Of the restart whose point is returned."""


@dataclass(frozen=True, slots=True)
class Draws:
    """Random numbers of an attack: one generator per image, whatever its batch."""

    seed: int
    """Of the run."""
    ids: tuple[str, ...]
    """Of the images."""

    def of(self, rows: Sequence[int]) -> Draws:
        """Return the draws of the images at these rows."""
        return Draws(self.seed, tuple(self.ids[row] for row in rows))

    def generators(self, *names: str) -> list[torch.Generator]:
        """Return a CPU generator per image, seeded by (seed, "attack", names, image)."""
        return [generator(self.seed, "attack", *names, image) for image in self.ids]


class Attack(Protocol):
    """A search for a point of a ball that meets a criterion."""

    @property
    def name(self) -> str:
        """Name in tables and messages."""
        ...

    @property
    def norms(self) -> frozenset[str]:
        """Names of the norms that it supports."""
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
            NotApplicableError: the attack does not support the criterion.
            InvalidError: the victim cuts the graph, so it has no gradient.
        """
        ...


def check_norm(attack: Attack, norm: str) -> None:
    """Refuse an attack that does not support a norm.

    Raises:
        UserError: with the norms that it supports.
    """
    if norm not in attack.norms:
        norms = " or ".join(f'"{name}"' for name in sorted(attack.norms))
        raise UserError(
            f'the attack "{attack.name}" does not support the norm "{norm}"; '
            f"write norm = {norms}, or name another attack"
        )
