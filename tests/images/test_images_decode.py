"""Every kind of picture file against arithmetic that does not go through PIL."""

import hashlib
import io
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, TiffImagePlugin

from vision_evals.core.errors import UnreadableError, UserError
from vision_evals.images.decode import MAX_BYTES, MAX_PIXELS, decode, read

Array = npt.NDArray[Any]

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
RNG = np.random.default_rng(0)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(levels: Array, colour: int, depth: int, *extra: bytes) -> bytes:
    """A PNG written by hand: levels (height, width, channels)."""
    height, width, _ = levels.shape
    rows = []
    for row in levels.reshape(height, -1):
        if depth == 16:
            rows.append(row.astype(">u2").tobytes())
        else:
            bits = "".join(f"{level:0{depth}b}" for level in row)
            bits += "0" * (-len(bits) % 8)
            rows.append(bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", body), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def on_white(rgb: Array, alpha: Array) -> Array:
    opacity = alpha.astype(float) / 255
    return np.rint(rgb * opacity + 255 * (1 - opacity)).astype(int)


def decoded(tmp_path: Path, data: bytes, name: str = "picture.png") -> Array:
    path = tmp_path / name
    path.write_bytes(data)
    picture = read(path).picture
    assert picture.mode == "RGB"
    return np.asarray(picture).astype(int)


def saved(tmp_path: Path, picture: Image.Image, name: str, **options: Any) -> Path:
    path = tmp_path / name
    picture.save(path, **options)
    return path


def to_8_bits(levels: Array, depth: int) -> Array:
    scaled: Array = np.rint(levels.astype(float) * 255 / (2**depth - 1))
    return scaled.astype(int)


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_png(tmp_path: Path, depth: int, transparent: bool) -> None:
    levels = RNG.integers(0, 2**depth, (9, 7, 1))
    key = int(levels[4, 3, 0])
    extra = [chunk(b"tRNS", struct.pack(">H", key))] if transparent else []
    want = to_8_bits(levels, depth).repeat(3, axis=2)
    if transparent:
        want[levels[..., 0] == key] = 255
    assert (decoded(tmp_path, png(levels, 0, depth, *extra)) == want).all()


def test_every_16_bit_level_is_divided_by_257_and_rounded(tmp_path: Path) -> None:
    levels = np.arange(65536).reshape(256, 256, 1)
    got = decoded(tmp_path, png(levels, 0, 16))
    assert (got == np.rint(levels / 257)).all()


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("depth", [8, 16])
def test_colour_png(tmp_path: Path, depth: int, transparent: bool) -> None:
    levels = RNG.integers(0, 2**depth, (9, 7, 3))
    key = levels[4, 3]
    extra = [chunk(b"tRNS", struct.pack(">3H", *key.tolist()))] if transparent else []
    want = levels >> (depth - 8)
    if transparent:
        want[(levels == key).all(axis=2)] = 255
    assert (decoded(tmp_path, png(levels, 2, depth, *extra)) == want).all()


@pytest.mark.parametrize("alphas", [None, [255, 0], [255, 90, 0, 200], [0, 0]])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palette_png(tmp_path: Path, depth: int, alphas: list[int] | None) -> None:
    palette = RNG.integers(0, 256, (2**depth, 3))
    opacity = np.full(2**depth, 255)
    extra = [chunk(b"PLTE", palette.astype(np.uint8).tobytes())]
    if alphas is not None:
        alphas = alphas[: 2**depth]
        opacity[: len(alphas)] = alphas
        extra.append(chunk(b"tRNS", bytes(alphas)))
    levels = RNG.integers(0, 2**depth, (9, 7, 1))
    index = levels[..., 0]
    want = on_white(palette[index], opacity[index][..., None])
    assert np.abs(decoded(tmp_path, png(levels, 3, depth, *extra)) - want).max() <= 1


@pytest.mark.parametrize(("colour", "depth"), [(4, 8), (4, 16), (6, 8), (6, 16)])
def test_alpha_png(tmp_path: Path, colour: int, depth: int) -> None:
    levels = RNG.integers(0, 2**depth, (9, 7, CHANNELS[colour]))
    levels[0, :, -1], levels[1, :, -1] = 0, 2**depth - 1
    high = levels >> (depth - 8)
    rgb = np.broadcast_to(high[..., :-1], (9, 7, 3))
    got = decoded(tmp_path, png(levels, colour, depth))
    assert (got[0] == 255).all()
    assert (got[1] == rgb[1]).all()
    assert np.abs(got - on_white(rgb, high[..., -1:])).max() <= 1


def blocks(*colours: tuple[int, ...]) -> Array:
    """16 x 16 pixels of each colour: JPEG keeps a flat block."""
    return np.concatenate([np.full((16, 16, len(c)), c, np.uint8) for c in colours], axis=1)


def cmyk(inks: Array) -> Image.Image:
    return Image.frombytes("CMYK", (inks.shape[1], inks.shape[0]), inks.tobytes())


INKS = blocks((0, 0, 0, 0), (255, 0, 0, 0), (0, 200, 30, 40), (9, 80, 170, 128), (0, 0, 0, 255))


def test_cmyk_jpeg(tmp_path: Path) -> None:
    path = saved(tmp_path, cmyk(INKS), "a.jpg", quality=100, subsampling=0)
    ink = INKS.astype(float)
    want = (255 - ink[..., :3]) * (255 - ink[..., 3:]) / 255
    assert np.abs(np.asarray(read(path).picture) - want).max() <= 3


def test_ycck_jpeg(tmp_path: Path) -> None:
    ycck = blocks((255, 128, 128, 255), (120, 90, 170, 200), (60, 140, 100, 255))
    path = saved(tmp_path, cmyk(255 - ycck), "a.jpg", quality=100, subsampling=0)
    data = bytearray(path.read_bytes())
    transform = data.index(b"Adobe") + 11
    assert data[transform] == 0
    # the stored samples are now luma, chroma and black
    data[transform] = 2
    luma, blue, red, black = (ycck[..., i].astype(float) for i in range(4))
    blue, red = blue - 128, red - 128
    inks = [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue]
    want = (255 - np.stack(inks, axis=2).clip(0, 255)) * black[..., None] / 255
    assert np.abs(decoded(tmp_path, bytes(data), "b.jpg") - want).max() <= 3


# PIL refuses the fourth combination, big-endian with white as zero
@pytest.mark.parametrize(("order", "white_is_zero"), [("<", False), ("<", True), (">", False)])
def test_16_bit_tiff(tmp_path: Path, order: str, white_is_zero: bool) -> None:
    levels = np.arange(0, 65536, 64).reshape(32, 32)
    got = decoded(tmp_path, grey_tiff(levels, 16, order, 0 if white_is_zero else 1), "a.tif")
    want = np.rint((65535 - levels if white_is_zero else levels) / 257)
    assert (got == want[..., None]).all()


def test_12_bit_tiff(tmp_path: Path) -> None:
    levels = np.arange(4096).reshape(64, 64)
    pairs = levels.reshape(-1, 2)
    packed = np.stack(
        [pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], axis=1
    )
    got = decoded(tmp_path, grey_tiff(levels, 12, "<", 1, packed.astype(np.uint8)), "a.tif")
    assert (got == np.rint(levels * 255 / 4095)[..., None]).all()


def grey_tiff(
    levels: Array, depth: int, order: str, photometric: int, strip: Array | None = None
) -> bytes:
    """An uncompressed TIFF written by hand."""
    height, width = levels.shape
    body = (levels.astype(f"{order}u2") if strip is None else strip).tobytes()
    tags = [(256, width), (257, height), (258, depth), (259, 1), (262, photometric)]
    tags += [(273, 8 + 2 + 12 * 9 + 4), (277, 1), (278, height), (279, len(body))]
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(tags))
    return head + entries + struct.pack(order + "I", 0) + body


def test_16_bit_pgm(tmp_path: Path) -> None:
    levels = np.arange(0, 65536, 256)
    data = b"P5 16 16 65535\n" + levels.astype(">u2").tobytes()
    got = decoded(tmp_path, data, "a.ppm")
    assert (got[..., 0].ravel() == np.rint(levels / 257)).all()


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (Image.fromarray(np.full((4, 4), 70000, np.int32)), "32-bit integers have no agreed range"),
        (Image.fromarray(np.full((4, 4), 7, np.int32)), "32-bit integers have no agreed range"),
        (Image.fromarray(np.full((4, 4), 0.5, np.float32)), "32-bit floating point has no agreed"),
        (Image.new("LAB", (4, 4)), "CIELAB colours are not read; save it as RGB"),
    ],
)
def test_values_without_agreed_meaning(tmp_path: Path, picture: Image.Image, reason: str) -> None:
    with pytest.raises(UnreadableError, match=f"^a.tif: .*{reason}"):
        read(saved(tmp_path, picture, "a.tif"))


def test_1_bit(tmp_path: Path) -> None:
    bits = RNG.integers(0, 2, (9, 7)).astype(bool)
    path = saved(tmp_path, Image.fromarray(bits), "a.tif")
    assert (np.asarray(read(path).picture) == 255 * bits[..., None]).all()


@pytest.mark.parametrize("extension", ["gif", "png", "webp", "tif"])
def test_first_frame_of_an_animation(tmp_path: Path, extension: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if extension == "webp" else {}
    path = saved(
        tmp_path, frames[0], f"a.{extension}", save_all=True, append_images=frames[1:], **options
    )
    assert read(path).picture.getcolors() == [(48, (255, 0, 0))]


def test_transparent_gif_and_webp(tmp_path: Path) -> None:
    half = Image.new("RGBA", (8, 8), (200, 0, 0, 255))
    half.paste((0, 0, 0, 0), (0, 0, 8, 4))
    palette = half.convert("RGB").quantize().convert("PA")
    palette.putalpha(half.getchannel("A"))
    for path in (
        saved(tmp_path, half, "a.gif"),
        saved(tmp_path, half, "a.webp", lossless=True),
        saved(tmp_path, palette, "a.tif"),
    ):
        colours = read(path).picture.getcolors()
        assert sorted(colours or []) == [(32, (200, 0, 0)), (32, (255, 255, 255))]


@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_orientation_is_counted_and_ignored(tmp_path: Path, extension: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = read(saved(tmp_path, Image.new("RGB", (8, 4)), f"a.{extension}", exif=exif))
    assert (turned.oriented, turned.picture.size) == (True, (8, 4))
    exif[0x0112] = 1
    upright = read(saved(tmp_path, Image.new("RGB", (8, 4)), f"b.{extension}", exif=exif))
    assert not upright.oriented
    assert not read(saved(tmp_path, Image.new("RGB", (8, 4)), f"c.{extension}")).oriented


def test_damaged_metadata_do_not_make_a_picture_unreadable(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (8, 4)), "a.jpg", exif=b"Exif\0\0nonsense")
    assert read(path).picture.size == (8, 4)


def test_sha256_is_that_of_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (8, 4)), "a.png")
    assert read(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><title>404</title>", "a web page, perhaps a failed download"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"hello", "none of JPEG, PNG"),
        (b"\xff\xd8\xff\xe0", "cannot be decoded: "),
        (b"GIF89a", "cannot be decoded: "),
    ],
)
def test_no_picture(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(data)
    with pytest.raises(UnreadableError, match=rf"^cat\.jpg: .*{reason}"):
        read(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"^cat\.jpg: cannot be read: No such file"):
        read(tmp_path / "cat.jpg")
    with pytest.raises(UnreadableError, match="not a file"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(UnreadableError, match=r"^pipe\.jpg: not a file"):
        read(tmp_path / "pipe.jpg")


PHOTOGRAPH = Image.fromarray(RNG.integers(0, 256, (23, 31, 3)).astype(np.uint8))
FORMATS = {"JPEG": {}, "PNG": {}, "WEBP": {"lossless": True}, "BMP": {}, "GIF": {}, "PPM": {}}
TIFFS = {"TIFF": {}, "TIFF lzw": {"compression": "tiff_lzw"}, "TIFF jpeg": {"compression": "jpeg"}}
PROGRESSIVE = {"JPEG progressive": {"progressive": True}}


def encoded(name: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    PHOTOGRAPH.save(buffer, name.split()[0], **options)
    return buffer.getvalue()


ENCODED = {n: encoded(n, o) for n, o in (FORMATS | TIFFS | PROGRESSIVE).items()}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch") / "picture"


@pytest.mark.parametrize("name", ENCODED)
@settings(max_examples=40)
@given(share=st.floats(0, 1, exclude_max=True))
def test_cut_short_is_refused_or_harmless(scratch: Path, name: str, share: float) -> None:
    data = ENCODED[name]
    scratch.write_bytes(data)
    whole = read(scratch).picture.tobytes()
    scratch.write_bytes(data[: int(share * len(data))])
    with suppress(UnreadableError):
        assert read(scratch).picture.tobytes() == whole


@pytest.mark.parametrize("name", ENCODED)
@settings(max_examples=40)
@given(st.data())
def test_damage_never_escapes(scratch: Path, name: str, data: st.DataObject) -> None:
    broken = bytearray(ENCODED[name])
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    scratch.write_bytes(broken)
    with suppress(UnreadableError):
        assert read(scratch).picture.mode == "RGB"


def test_a_huge_png_is_refused_from_its_header(tmp_path: Path) -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"never read"))
    with pytest.raises(UnreadableError, match=f"30000 x 30000 pixels are more than {MAX_PIXELS:,}"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("side", "colour", "refused"),
    [(13000, 6, True), (13000, 2, False), (13377, 3, False), (11000, 6, False), (11100, 6, False)],
)
def test_what_decoding_takes_is_bounded(
    side: int, colour: int, refused: bool, tmp_path: Path
) -> None:
    """With transparency PIL's picture and ours take 8 bytes a pixel; a palette takes 5, RGB 4."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, colour, 0, 0, 0))
    palette = chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", bytes(256)) if colour == 3 else b""
    data = b"\x89PNG\r\n\x1a\n" + header + palette + chunk(b"IDAT", b"never read")
    each = {6: 8, 2: 4, 3: 5}[colour]
    assert (side**2 * each + len(data) > MAX_BYTES) == refused
    taken: list[int] = []

    def take(size: int) -> None:
        taken.append(size)
        raise UnreadableError("enough")

    message = (
        f"{side} x {side} pixels take 1.4 GB to decode, more than 1.0 GB" if refused else "enough"
    )
    with pytest.raises(UnreadableError, match=message):
        decode(tmp_path / "a.png", data, take)
    assert taken == ([] if refused else [side**2 * each + len(data)])


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # a hole: it takes no space
    with pytest.raises(UnreadableError, match=r"a\.png: more than 1,000,000,000 bytes"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "1", "CMYK", "P"])
def test_strips_are_the_whole_picture(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 7 rows, of 4 and 3, and of one."""
    kind = "tif" if mode == "CMYK" else "png"
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 256, (7, 5, 4), dtype=np.uint8), "RGBA")
    picture = colours.convert("RGB").convert(mode) if mode != "RGBA" else colours
    path = saved(tmp_path, picture, f"a.{kind}", **({"transparency": 3} if mode == "P" else {}))
    whole = read(path).picture.tobytes()
    for pixels in (20, 5, 1):
        monkeypatch.setattr("vision_evals.images.decode.STRIP_PIXELS", pixels)
        assert read(path).picture.tobytes() == whole


def test_our_limit_is_not_pils(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grey = Image.new("L", (40, 40))
    paths = [saved(tmp_path, grey, f"a.{kind}") for kind in ("png", "jpg", "webp", "gif", "bmp")]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert [read(path).picture.size for path in paths] == [(40, 40)] * 5


def test_a_large_tiff_is_refused_before_pil_warns(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("1", (10000, 9000)), "a.tif", compression="group4")
    with pytest.raises(UnreadableError, match="10000 x 9000 pixels are more than 89,478,485"):
        read(path)


def test_pil_told_to_fill_up_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, PHOTOGRAPH, "a.png")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(UserError, match="LOAD_TRUNCATED_IMAGES is set"):
        read(path)


def test_threads_change_nothing() -> None:
    spec = find_spec("foolbox")
    assert spec is not None
    assert spec.origin is not None
    paths = sorted((Path(spec.origin).parent / "data").glob("*.*")) * 2
    before = (Image.MAX_IMAGE_PIXELS, list(warnings.filters), TiffImagePlugin.READ_LIBTIFF)
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(read, paths))
    after = (Image.MAX_IMAGE_PIXELS, list(warnings.filters), TiffImagePlugin.READ_LIBTIFF)
    assert before == after
    for path, one in zip(paths, together, strict=True):
        with Image.open(path) as plain:
            assert one.picture.tobytes() == plain.convert("RGB").tobytes()
