"""Small changes of a picture that should not change the predicted class."""

from __future__ import annotations

import io
from collections.abc import Iterator

import torch
from PIL import Image


def shifted_by(pixels: torch.Tensor, by: int) -> Iterator[torch.Tensor]:
    """Yield (n, 3, H, W) moved left, right, up and down; border pixels are repeated."""
    height, width = pixels.shape[2:]
    wide = torch.nn.functional.pad(pixels, (by, by, by, by), mode="replicate")
    for top, left in ((by, 2 * by), (by, 0), (2 * by, by), (0, by)):
        yield wide[:, :, top : top + height, left : left + width]


def through_jpeg(pixels: torch.Tensor, quality: int) -> torch.Tensor:
    """Return (n, 3, H, W) after encoding as JPEG with a quality from 1 to 100, and decoding."""
    from vision_evals.images.light_torchvision import functional

    # on the CPU: a GPU's encoder writes other bytes, and results must not depend on the device
    pictures = pixels.mul(255).round().to(torch.uint8).cpu()
    decoded = []
    for picture in pictures:
        file = io.BytesIO()
        functional.to_pil_image(picture).save(file, "JPEG", quality=quality)
        decoded.append(functional.pil_to_tensor(Image.open(file)))
    return torch.stack(decoded).to(pixels).div(255)
