"""Structural similarity of pictures."""

from __future__ import annotations

import torch
from torch.nn.functional import conv2d

WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03


def structural_similarity(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return (n,) the structural similarity of pictures (Wang et al. 2004, equation 13).

    Gaussian window of 11 x 11 with sigma 1.5, each colour channel on its own, averaged over the
    windows that lie inside.

    Args:
        a: (n, 3, H, W) in [0, 1], at least 11 x 11 pixels.
        b: the same shape.
    """
    a, b = a.double(), b.double()
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a, variance_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + K1**2) * (2 * covariance + K2**2)
    likeness /= (mean_a**2 + mean_b**2 + K1**2) * (variance_a + variance_b + K2**2)
    return likeness.flatten(1).mean(dim=1)


def _blur(pixels: torch.Tensor) -> torch.Tensor:
    offsets = torch.arange(WINDOW, dtype=pixels.dtype, device=pixels.device) - WINDOW // 2
    line: torch.Tensor = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    line = (line / line.sum()).expand(3, 1, 1, WINDOW)
    across = conv2d(pixels, line, groups=3)
    blurred: torch.Tensor = conv2d(across, line.transpose(2, 3), groups=3)
    return blurred
