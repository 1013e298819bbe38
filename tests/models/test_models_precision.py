"""Logits are fp32, whatever the network computed in."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from vision_evals.models.classifier import Classifier


class Convolved(nn.Module):
    """Three logits from a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3).requires_grad_(False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layer(pixels).amax(dim=(2, 3))
        return logits


def test_bf16_ends_at_the_logits(small: Callable[..., Classifier]) -> None:
    classifier = small(Convolved())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = classifier.logits(torch.rand(2, 3, 16, 16))
    assert logits.dtype == torch.float32
    assert torch.equal(logits, logits.bfloat16().float())  # it was computed in bf16


def test_double_stays_double(small: Callable[..., Classifier]) -> None:
    classifier = small(Convolved().double())
    assert classifier.logits(torch.rand(2, 3, 16, 16).double()).dtype == torch.float64
