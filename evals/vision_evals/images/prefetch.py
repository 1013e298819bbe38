"""Pictures to a device: by PIL for a CPU, by nvJPEG for CUDA."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from vision_evals.images.geometry import Geometry
from vision_evals.images.reader import Batch, batches

if TYPE_CHECKING:
    from vision_evals.images.image_set import Image

IMAGES_COMPARED_WITH_PIL = 256
"""Images that PIL decodes too, to measure the error of the device's decoder."""


def prefetch(
    images: Sequence[Image],
    spans: Sequence[range],
    geometries: Collection[Geometry],
    device: torch.device,
) -> Iterator[Batch]:
    """Yield a batch a span, in order. See :func:`vision_evals.images.reader.batches`."""
    if device.type != "cuda":
        return batches(images, spans, geometries)
    from vision_evals.images.gpu.device_reader import device_batches

    return device_batches(images, spans, geometries, device, IMAGES_COMPARED_WITH_PIL)
