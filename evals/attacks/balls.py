"""Norm balls as values: what an attack may do to an image."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class LinfBall:
    """Every pixel value moves by at most ``epsilon``, on the pixel scale [0, 1]."""

    epsilon: float

    def steepest(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return the direction of steepest ascent of length 1 in this norm: the sign."""
        return gradient.sign()

    def project(self, moved: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Return the nearest points to ``moved`` in the ball around ``start`` and in [0, 1].

        Args:
            moved: (n, 3, H, W).
            start: (n, 3, H, W) in [0, 1].
        """
        low, high = (start - self.epsilon).clamp(min=0), (start + self.epsilon).clamp(max=1)
        return torch.minimum(torch.maximum(moved, low), high)

    def distance(self, moved: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Return (n,) how far each image was moved."""
        return (moved - start).abs().flatten(1).amax(dim=1)
