"""JPEGs to pixels by a device, a batch at once: nvJPEG on CUDA, libjpeg on a processor."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vision_evals.images.gpu.jpeg import header, plain


def decoded(datas: Sequence[bytes], device: torch.device | str) -> list[torch.Tensor | None]:
    """Decode the files that all decoders read alike, as stored (EXIF orientation not applied).

    Args:
        datas: n files.
        device: where to decode and where the pixels stay.

    Returns:
        For each file uint8 (3, h, w), RGB, on the device; None where PIL has to read it, be it no
        plain JPEG or one of a batch that the device gave up.
    """
    decoded_files: list[torch.Tensor | None] = [None] * len(datas)
    sizes = {
        i: (3, about.height, about.width)
        for i, data in enumerate(datas)
        if (about := header(data)) is not None and plain(about)
    }
    pictures = _decoded([datas[i] for i in sizes], torch.device(device))
    for (i, size), picture in zip(sizes.items(), pictures, strict=False):
        if picture.shape == size:
            decoded_files[i] = picture
    return decoded_files


def _decoded(datas: Sequence[bytes], device: torch.device) -> Sequence[torch.Tensor]:
    if not datas:
        return []
    from torchvision.io import ImageReadMode

    # copied, as torch warns of memory that cannot be written
    files = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in datas]
    mode = ImageReadMode.RGB.value
    try:
        # what torchvision.io.decode_jpeg calls, which since 0.29 warns at each call
        if device.type == "cuda":
            pictures: Sequence[torch.Tensor] = torch.ops.image.decode_jpegs_cuda(
                files, mode, device
            )
            return pictures
        return [torch.ops.image.decode_jpeg(file, mode, False).to(device) for file in files]
    except (RuntimeError, AttributeError):  # a broken file among them, or a build without either
        return []
