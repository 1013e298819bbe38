"""What makes another entry in the cache."""

from __future__ import annotations

import torch
from torch import nn

from vision_evals.models.training import store

CPU = torch.device("cpu")


class Scaled(nn.Module):
    """The same weights and source whatever the factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.dense, self.factor = nn.Linear(3, 2), factor
        nn.init.ones_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.dense(pixels.mean(dim=(2, 3))) * self.factor
        return logits


def test_what_a_network_was_built_with_makes_another_entry() -> None:
    one, other = (store.output_digest(Scaled(factor), (8, 8), CPU) for factor in (1.0, 0.001))
    assert one == store.output_digest(Scaled(1.0), (8, 8), CPU)
    assert one != other
