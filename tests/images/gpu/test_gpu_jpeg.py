"""Headers against PIL, on files that PIL writes and on damaged ones."""

import io
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from vision_evals.images.decode import MAX_PIXELS
from vision_evals.images.gpu.jpeg import Header, header, plain

LEVELS = np.random.default_rng(0).integers(0, 256, (37, 50, 4)).astype(np.uint8)
PICTURES = {
    "L": Image.fromarray(LEVELS[..., 0]),
    "RGB": Image.fromarray(LEVELS[..., :3].copy()),
    "CMYK": Image.fromarray(LEVELS, "CMYK"),
}


def jpeg(mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    PICTURES[mode].save(file, "JPEG", **options)
    return file.getvalue()


def seen(data: bytes) -> Header:
    found = header(data)
    assert found is not None
    return found


def exif(order: str, orientation: int) -> bytes:
    """An EXIF segment of two tags, the second of them the orientation."""
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    tags = struct.pack(f"{order}IH", 8, 2)
    tags += struct.pack(f"{order}HHIHH", 0x100, 3, 1, 50, 0)
    tags += struct.pack(f"{order}HHIHH", 0x112, 3, 1, orientation, 0)
    return b"Exif\0\0" + start + tags + bytes(4)


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def spliced(data: bytes, *segments: bytes) -> bytes:
    """The file with segments after its first two bytes."""
    return data[:2] + b"".join(segments) + data[2:]


MANY: list[dict[str, Any]] = [
    {"mode": mode, "quality": quality, "progressive": progressive}
    for mode in PICTURES
    for quality in (30, 75, 95)
    for progressive in (False, True)
]
MANY += [{"subsampling": name} for name in ("4:4:4", "4:2:2", "4:2:0")]
MANY += [{"restart_marker_blocks": 2}, {"optimize": True}, {"comment": b"\xff\xd9 is no end"}]


@pytest.mark.parametrize("options", MANY)
def test_as_pil_reads_it(options: dict[str, Any]) -> None:
    data = jpeg(**options)
    picture = Image.open(io.BytesIO(data))
    found = seen(data)
    assert (found.width, found.height) == picture.size
    assert {1: "L", 3: "RGB", 4: "CMYK"}[found.components] == picture.mode
    assert (found.frame == 0xC2) == bool(picture.info.get("progressive"))
    assert found.adobe == picture.info.get("adobe_transform")
    assert found.jfif == ("jfif" in picture.info)
    assert found.bits == 8
    assert found.whole
    assert found.orientation == 1
    assert plain(found) == (picture.mode != "CMYK")


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation: int, order: str, mode: str) -> None:
    data = jpeg(mode, exif=exif(order, orientation))
    assert Image.open(io.BytesIO(data)).getexif()[ExifTags.Base.Orientation] == orientation
    assert seen(data).orientation == orientation
    assert plain(seen(data))


def test_orientation_of_xmp_counts_where_exif_has_none_as_with_pil() -> None:
    xmp = segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>')
    data = spliced(jpeg(), xmp)
    assert Image.open(io.BytesIO(data)).getexif()[ExifTags.Base.Orientation] == 6
    assert seen(data).orientation == 6
    assert seen(spliced(jpeg(exif=exif(">", 3)), xmp)).orientation == 3


@pytest.mark.parametrize("length", range(6, 42))
def test_damaged_exif_is_upright(length: int) -> None:
    data = jpeg(exif=exif("<", 6)[:length])
    assert seen(data).orientation in ({1} if length < 40 else {6})
    assert plain(seen(data))


def test_what_is_coded_as_rgb_is_not_plain() -> None:
    data = jpeg(keep_rgb=True)
    assert seen(data).ids == (82, 71, 66)
    assert seen(data).components == 3
    assert not plain(seen(data))
    none, ycc, odd = (segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([i])) for i in (0, 1, 2))
    assert seen(spliced(jpeg(), none)).adobe == 0
    assert not plain(seen(spliced(jpeg(), none)))
    assert plain(seen(spliced(jpeg(), ycc)))
    assert not plain(seen(spliced(jpeg(), odd)))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [(i, i in (0xC0, 0xC1, 0xC2)) for i in range(0xC0, 0xD0) if i not in (0xC4, 0xC8, 0xCC)],
)
def test_only_huffman_coded_ones_are_plain(frame: int, expected: bool) -> None:
    data = jpeg().replace(b"\xff\xc0\0\x11", bytes([0xFF, frame]) + b"\0\x11")
    assert seen(data).frame == frame
    assert plain(seen(data)) == expected


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (4, b"\x0c"),  # 12 bits
        (5, b"\0\0"),  # no rows
        (5, b"\xff\xff\xff\xff"),  # too many pixels
        (10, b"\x07"),  # an unusual component
        (11, b"\x31"),  # unusual sampling
        (14, b"\x12"),
    ],
)
def test_unusual_frames_are_not_plain(at: int, value: bytes) -> None:
    data = jpeg()
    at += data.index(b"\xff\xc0\0\x11")
    assert not plain(seen(data[:at] + value + data[at + len(value) :]))


def test_pixels_up_to_the_limit_are_plain() -> None:
    data = jpeg("L")
    at = data.index(b"\xff\xc0\0\x0b") + 5
    for height, width in [(MAX_PIXELS // 65535, 65535), (MAX_PIXELS // 65535 + 1, 65535)]:
        found = seen(data[:at] + struct.pack(">HH", height, width) + data[at + 4 :])
        assert plain(found) == (height * width <= MAX_PIXELS)


@pytest.mark.parametrize("progressive", [False, True])
def test_truncated_ones_are_not_whole(progressive: bool) -> None:
    # a thumbnail with an end of its own in the EXIF segment
    data = spliced(jpeg(progressive=progressive), segment(0xE1, b"Exif\0\0" + jpeg("L")))
    assert plain(seen(data))
    for length in range(len(data)):
        found = header(data[:length])
        assert found is None or not found.whole
        assert found is None or not plain(found)


def test_what_follows_the_end_changes_nothing() -> None:
    for junk in (b"\0" * 9, b"\xff" * 9, jpeg("CMYK"), b"\r\n"):
        assert seen(jpeg() + junk) == seen(jpeg())


def test_runs_of_ff_take_no_time() -> None:
    start = time.perf_counter()
    for data in (jpeg()[:-2] + b"\xff" * 2_000_000, b"\xff\xd8" + b"\xff" * 2_000_000):
        found = header(data)
        assert found is None or not found.whole
    assert time.perf_counter() - start < 2


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1"]))
def test_nothing_raises(data: bytes, start: bytes) -> None:
    assert header(start + data) is None or plain(seen(start + data)) in (True, False)


SOURCES = [jpeg(exif=exif("<", 6)), jpeg("L", progressive=True), jpeg("CMYK", quality=30)]


@settings(max_examples=300)
@given(
    st.sampled_from(SOURCES),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=6),
    st.integers(0, 9000),
)
def test_nothing_raises_on_mutations(
    data: bytes, changes: list[tuple[int, int]], length: int
) -> None:
    mutated = bytearray(data)
    for at, value in changes:
        mutated[at] = value
    for whole in (bytes(mutated), bytes(mutated[:length])):
        found = header(whole)
        assert found is None or plain(found) in (True, False)


def test_photographs_are_plain(photographs: tuple[Path, ...]) -> None:
    for path in photographs:
        found = seen(path.read_bytes())
        assert plain(found)
        with Image.open(path) as picture:
            assert (found.width, found.height) == picture.size
