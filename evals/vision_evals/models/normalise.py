"""Pixels in [0, 1] RGB to what a network was trained on: the last step before its first layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vision_evals.models.card import Input


class Normalise(nn.Module):
    """``(pixels * range - mean) / std`` in the network's order of channels.

    The same operations as torchvision's ``Normalize``, so that the numbers are equal bit for bit.
    Differentiable with respect to pixels. bfloat16 and float16 pixels are promoted to float32.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, input: Input) -> None:  # noqa: A002 - the card's word
        super().__init__()
        self.range = input.range
        self.bgr = input.channels == "bgr"
        self.register_buffer("mean", torch.tensor(input.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(input.std).view(3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return floats (n, 3, height, width) from pixels of that shape in [0, 1], RGB."""
        pixels = pixels.to(torch.promote_types(pixels.dtype, self.mean.dtype))
        if self.bgr:
            pixels = pixels.flip(1)
        if self.range != 1:
            pixels = pixels * self.range
        centred = pixels - self.mean
        # no third copy of the pixels where no gradient wants the second
        return centred / self.std if centred.requires_grad else centred.div_(self.std)
