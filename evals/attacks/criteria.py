"""What an attack is after, as values: any wrong answer, or one chosen answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch


class Criterion(Protocol):
    """When n images count as broken, and which loss leads there."""

    @property
    def classes(self) -> torch.Tensor:
        """(n,) class indices whose loss is moved: labels or targets."""
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
    """(n,) the label, whose loss is climbed."""
    accepted: torch.Tensor
    """(n, a) every right answer, padded with -1."""

    @property
    def classes(self) -> torch.Tensor:
        """(n,) the labels."""
        return self.label

    @property
    def sign(self) -> float:
        """The label's loss is climbed."""
        return 1.0

    def met(self, logits: torch.Tensor) -> torch.Tensor:
        """Return (n,) whether the first answer is wrong."""
        return (logits.argmax(dim=1, keepdim=True) != self.accepted).all(dim=1)

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
        """(n,) the targets."""
        return self.target

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
