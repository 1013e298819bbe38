"""What an attack is after, as values: any wrong answer, or one chosen answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from vision_evals.models.answers import first_is_right


class Criterion(Protocol):
    """When n images count as broken, and which loss leads there."""

    @property
    def classes(self) -> torch.Tensor:
        """(n, a) class indices whose loss is moved, padded with -1: right answers or targets."""
        ...

    @property
    def sign(self) -> float:
        """+1 where the loss at ``classes`` is climbed, -1 where it is descended."""
        ...

    def met(self, logits: torch.Tensor) -> torch.Tensor:
        """Return (n,) whether logits (n, classes) are what the attack is after."""
        ...

    def of(self, rows: torch.Tensor) -> Criterion:
        """Return the criterion of some of the images, by indices or by a mask."""
        ...


@dataclass(frozen=True, slots=True)
class Misclassification:
    """The network's first answer is none of the right ones."""

    label: torch.Tensor
    """(n,) the one right answer, for attacks that know no others."""
    accepted: torch.Tensor
    """(n, a) every right answer, padded with -1: their loss is climbed together."""

    @property
    def classes(self) -> torch.Tensor:
        """(n, a) the right answers."""
        return self.accepted

    @property
    def sign(self) -> float:
        """The loss of the right answers is climbed."""
        return 1.0

    def met(self, logits: torch.Tensor) -> torch.Tensor:
        """Return (n,) whether the first answer is wrong."""
        return ~first_is_right(logits, self.accepted)

    def of(self, rows: torch.Tensor) -> Misclassification:
        """Return the criterion of some of the images."""
        return Misclassification(self.label[rows], self.accepted[rows])


@dataclass(frozen=True, slots=True)
class TargetedMisclassification:
    """The network's first answer is the target."""

    target: torch.Tensor
    """(n,) the target, whose loss is descended."""

    @property
    def classes(self) -> torch.Tensor:
        """(n, 1) the targets."""
        return self.target[:, None]

    @property
    def sign(self) -> float:
        """The target's loss is descended."""
        return -1.0

    def met(self, logits: torch.Tensor) -> torch.Tensor:
        """Return (n,) whether the first answer is the target."""
        return logits.argmax(dim=1) == self.target

    def of(self, rows: torch.Tensor) -> TargetedMisclassification:
        """Return the criterion of some of the images."""
        return TargetedMisclassification(self.target[rows])
