"""The device's decoder, here a processor, against PIL."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vision_evals.images.gpu.device_pixels import decoded


def written(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def assert_alike(found: torch.Tensor | None, data: bytes, limit: float) -> None:
    assert found is not None
    want = np.array(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1)
    assert found.dtype == torch.uint8
    assert found.shape == want.shape
    assert np.abs(found.cpu().numpy().astype(int) - want).mean() < limit


def test_photographs_in_order(photographs: tuple[Path, ...]) -> None:
    datas = [path.read_bytes() for path in photographs]
    for found, data in zip(decoded(datas, "cpu"), datas, strict=True):
        assert_alike(found, data, 0.6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_photographs_on_cuda(photographs: tuple[Path, ...]) -> None:
    datas = [path.read_bytes() for path in photographs]
    for found, data in zip(decoded(datas, torch.device("cuda")), datas, strict=True):
        assert found is not None
        assert found.device.type == "cuda"
        assert_alike(found, data, 0.6)


def test_what_pil_has_to_read_is_left_out(photographs: tuple[Path, ...]) -> None:
    good = photographs[0].read_bytes()
    picture = Image.open(photographs[1]).convert("RGB").resize((64, 48))
    grey = written(picture.convert("L"), progressive=True)
    turned = written(picture, exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0")
    others = [
        written(picture.convert("CMYK")),
        written(picture, keep_rgb=True),
        written(picture, "PNG"),
        written(picture, "GIF"),
        b"garbage",
        b"",
        good[: len(good) // 2],
        good[:-2],
    ]
    found = decoded([others[0], good, *others[1:], grey, turned], "cpu")
    assert [i for i, one in enumerate(found) if one is not None] == [1, 9, 10]
    for one, data in zip([found[1], *found[-2:]], [good, grey, turned], strict=True):
        assert_alike(one, data, 0.6)


def test_nothing_to_decode() -> None:
    assert decoded([], "cpu") == []
    assert decoded([b"", b"GIF89a"], "cpu") == [None, None]


def test_a_batch_that_the_decoder_gives_up_is_for_pil(photographs: tuple[Path, ...]) -> None:
    good = photographs[0].read_bytes()
    scan = good.index(b"\xff\xda")
    table = good.index(b"\xff\xc4")
    broken = good[:table] + good[scan:]  # without its Huffman tables
    damaged = good[: table + 4] + b"\x7f" + good[table + 5 :]  # for a table there cannot be
    assert decoded([good, damaged], "cpu") == [None, None]
    assert decoded([good], "cpu")[0] is not None
    assert len(decoded([broken], "cpu")) == 1
