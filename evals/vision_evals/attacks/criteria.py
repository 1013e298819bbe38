"""Goals of attacks, as values: any wrong answer, or one chosen answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch

from vision_evals.models.answers import first_is_right


class Criterion(Protocol):
    """When n images count as broken, and which loss an attack changes."""

    @property
    def classes(self) -> torch.Tensor:
        """(n, a) class indices whose loss is changed, padded with -1: right classes or targets."""
        ...

    @property
    def sign(self) -> float:
        """+1 if the attack increases the loss at ``classes``, -1 if it decreases it."""
        ...

    def met(self, logits: torch.Tensor) -> torch.Tensor:
        """Return (n,) whether logits (n, classes) meet the goal."""
        ...

    def of(self, rows: torch.Tensor) -> Criterion:
        """Return the criterion of some of the images, by indices or by a mask."""
        ...


@dataclass(frozen=True, slots=True)
class Misclassification:
    """The likeliest class is wrong."""

    label: torch.Tensor
    """(n,) the label, for attacks that support one right class only."""
    accepted: torch.Tensor
    """(n, a) every right class, padded with -1: the attack increases their common loss."""

    sign: ClassVar[float] = 1.0
    """The attack increases the loss of the right classes."""

    @property
    def classes(self) -> torch.Tensor:
        """(n, a) the right classes."""
        return self.accepted

    def met(self, logits: torch.Tensor) -> torch.Tensor:
        """Return (n,) whether the likeliest class is wrong."""
        return ~first_is_right(logits, self.accepted)

    def of(self, rows: torch.Tensor) -> Misclassification:
        """Return the criterion of some of the images."""
        return Misclassification(self.label[rows], self.accepted[rows])


@dataclass(frozen=True, slots=True)
class TargetedMisclassification:
    """The likeliest class is the target."""

    target: torch.Tensor
    """(n,) the target, whose loss the attack decreases."""
    sign: ClassVar[float] = -1.0
    """The attack decreases the loss of the target."""

    @property
    def classes(self) -> torch.Tensor:
        """(n, 1) the targets."""
        return self.target[:, None]

    def met(self, logits: torch.Tensor) -> torch.Tensor:
        """Return (n,) whether the likeliest class is the target."""
        return logits.argmax(dim=1) == self.target

    def of(self, rows: torch.Tensor) -> TargetedMisclassification:
        """Return the criterion of some of the images."""
        return TargetedMisclassification(self.target[rows])
