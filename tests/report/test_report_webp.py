"""Width and height from the first bytes of a WebP picture, held against Pillow."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from vision_evals.report import files

SIZES = [(1, 1), (16, 9), (224, 224), (672, 224), (1000, 3)]


def encoded(size: tuple[int, int], mode: str = "RGB", **how: Any) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 90).convert(mode).save(out, "WEBP", **how)
    return out.getvalue()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("kind", "how"),
    [
        (b"VP8 ", {"quality": 65}),
        (b"VP8L", {"lossless": True}),
        (b"VP8X", {"quality": 65, "mode": "RGBA", "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
    ],
)
def test_each_kind_tells_its_size(size: tuple[int, int], kind: bytes, how: dict[str, Any]) -> None:
    content = encoded(size, **how)
    assert content[12:16] == kind
    assert files.extent(content) == size


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF....WEBPsecret", encoded((3, 3))[:25], b"GIF8" + encoded((3, 3))[4:], b"RIFF" * 9],
)
def test_other_bytes_have_no_size(content: bytes) -> None:
    assert files.extent(content) is None
