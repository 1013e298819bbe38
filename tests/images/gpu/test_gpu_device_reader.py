"""The CUDA way from files to batches, here on a processor, against the way through PIL alone."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as PIL
from PIL import ImageFile

from vision_evals.core.errors import UserError
from vision_evals.images.geometry import Geometry
from vision_evals.images.gpu import device_pixels, device_reader, file_reading
from vision_evals.images.gpu.device_reader import device_batches
from vision_evals.images.gpu.resample import resample
from vision_evals.images.image_set import Image
from vision_evals.images.reader import BATCHES_AHEAD, Batch, batches

SMALL = Geometry(48, 40)
OTHER = Geometry((37, 53), None, "bicubic")
ROUGH = Geometry(48, 40, antialias=False)
TURNED = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"


@pytest.fixture
def mixed(photographs: tuple[Path, ...], tmp_path: Path) -> tuple[Image, ...]:
    """Return photographs, with whatever is none among them."""
    picture = PIL.open(photographs[0]).convert("RGB").resize((90, 60))
    folder = tmp_path / "mixed"
    folder.mkdir()

    def written(name: str, data: bytes | None = None, **options: Any) -> Path:
        if data is None:
            file = io.BytesIO()
            kind = "png" if name.endswith("png") else "jpeg"
            (picture.convert("CMYK") if "cmyk" in name else picture).save(file, kind, **options)
            data = file.getvalue()
        (folder / name).write_bytes(data)
        return folder / name

    good = photographs[3].read_bytes()
    (folder / "folder").mkdir()
    odd = [
        written("a.png"),
        written("cmyk.jpg"),
        written("cut.jpg", good[: len(good) // 2]),
        folder / "missing",
        folder / "folder",
        written("empty", b""),
        written("turned.jpg", exif=TURNED),
        written("odd\udcff.jpg"),
        written("page", b"<html>"),
    ]
    paths: list[Path] = []
    for i, photograph in enumerate(photographs[:12]):
        paths += [photograph, *odd[i : i + 1]]
    return tuple(Image(path.name, path) for path in paths)


def spans_of(images: Sequence[Image], size: int) -> list[range]:
    return [range(start, min(start + size, len(images))) for start in range(0, len(images), size)]


def assert_same(found: Batch, want: Batch, limit: float = 0.0) -> None:
    for name in ("span", "positions", "ids", "digests", "hashes", "unreadable", "oriented"):
        assert getattr(found, name) == getattr(want, name), name
    assert found.pixels.keys() == want.pixels.keys()
    for geometry, pixels in want.pixels.items():
        assert found.pixels[geometry].dtype == torch.uint8
        assert found.pixels[geometry].shape == pixels.shape
        difference = found.pixels[geometry].cpu().float() - pixels.float()
        assert difference.abs().mean() <= limit


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where scratch files go."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(file_reading, "_place", lambda: folder)
    return folder


@pytest.mark.parametrize(
    "geometries",
    [(SMALL, OTHER), (SMALL, ROUGH), (ROUGH,), ()],
    ids=["two", "one", "none", "nobody"],
)
@pytest.mark.parametrize("size", [1, 5, 64])
def test_as_through_pil(
    mixed: tuple[Image, ...], geometries: tuple[Geometry, ...], size: int
) -> None:
    spans = spans_of(mixed, size)
    want = list(batches(mixed, spans, geometries))
    found = list(device_batches(mixed, spans, geometries, "cpu"))
    assert len(found) == len(want)
    for one, other in zip(found, want, strict=True):
        assert_same(one, other)
        assert one.plain is None
        assert one.spent.read > 0
    # the photographs, the turned one and the one of an odd name
    decoded = 14 if SMALL in geometries else 0
    assert sum(len(batch.by_device) for batch in found) == decoded


@pytest.mark.parametrize(
    "geometries", [(SMALL, OTHER), (SMALL, ROUGH), (ROUGH,)], ids=["two", "one", "none"]
)
def test_the_first_have_the_pixels_of_pil_too(
    mixed: tuple[Image, ...], geometries: tuple[Geometry, ...]
) -> None:
    spans = spans_of(mixed, 4)
    want = list(batches(mixed, spans, geometries))
    found = list(device_batches(mixed, spans, geometries, "cpu", plain=5))
    for one, other in zip(found, want, strict=True):
        assert_same(one, other)
    assert [one.plain is not None for one in found] == [True, True] + [False] * (len(found) - 2)
    for one, other in zip(found[:2], want[:2], strict=True):
        assert one.plain is not None
        assert one.plain.keys() == other.pixels.keys()
        assert all(torch.equal(one.plain[g], pixels) for g, pixels in other.pixels.items())


def test_an_oblong_one_is_refused_as_ever(tmp_path: Path, photographs: tuple[Path, ...]) -> None:
    oblong = tmp_path / "oblong.jpg"
    PIL.new("RGB", (9000, 2)).save(oblong)
    images = [Image(path.name, path) for path in (oblong, *photographs[:2])]
    wide = Geometry(224, 4)
    geometries = (Geometry(8, 8), wide)
    (want,) = batches(images, [range(3)], geometries)
    (found,) = device_batches(images, [range(3)], geometries, "cpu")
    assert "oblong.jpg" in want.unreadable
    assert_same(found, want)


def test_a_device_that_fails_leaves_all_to_pil(
    mixed: tuple[Image, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(100))

    def fails(*arguments: Any) -> torch.Tensor:
        if next(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return resample(*arguments)

    monkeypatch.setattr(device_pixels, "resample", fails)
    spans = spans_of(mixed, 8)
    found = list(device_batches(mixed, spans, [SMALL], "cpu"))
    assert [len(batch.by_device) > 0 for batch in found] == [True, False, True]
    for one, other in zip(found, batches(mixed, spans, [SMALL]), strict=True):
        assert_same(one, other)


def test_large_pictures_are_decoded_a_few_at_a_time(
    mixed: tuple[Image, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_pixels, "MAX_GROUP_BYTES", 2**20)
    monkeypatch.setattr(file_reading, "MAX_BATCH_BYTES", 2**20)  # some files are left out
    monkeypatch.setattr(device_pixels, "_USUAL_HEADER_BYTES", 8)
    spans = [range(len(mixed))]
    (found,) = device_batches(mixed, spans, [SMALL, OTHER], "cpu")
    (want,) = batches(mixed, spans, [SMALL, OTHER])
    assert_same(found, want)


def test_pil_that_fills_up_pictures_is_an_error(
    photographs: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch, scratch: Path
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    images = [Image(path.name, path) for path in photographs]
    with pytest.raises(UserError, match="LOAD_TRUNCATED_IMAGES"):
        list(device_batches(images, spans_of(images, 4), [SMALL], "cpu"))
    assert not [*scratch.iterdir()]


def test_nothing_to_see() -> None:
    assert list(device_batches([], [], [SMALL], "cpu")) == []


def test_memory_is_bounded_and_an_early_end_leaves_nothing(
    photographs: tuple[Path, ...], scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, opened = [], []

    def counted(*arguments: Any) -> device_pixels.DevicePixels:
        made.append(1)
        return device_pixels.device_pixels(*arguments)

    class Watched(file_reading.Readers):
        def __init__(self, count: int) -> None:
            super().__init__(count)
            opened.append(self)

    monkeypatch.setattr(device_reader, "device_pixels", counted)
    monkeypatch.setattr(device_reader, "Readers", Watched)
    images = [Image(str(i), photographs[i % 20]) for i in range(60)]
    walk = device_batches(images, spans_of(images, 1), [SMALL], "cpu")
    assert next(walk).ids == ("0",)
    assert next(walk).ids == ("1",)
    walk.close()  # type: ignore[attr-defined]
    assert len(made) <= 2 + BATCHES_AHEAD + 1
    assert not [*scratch.iterdir()]
    (readers,) = opened
    assert all(not process.runs for process in readers.processes)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("size", [5, 64])
def test_as_through_pil_on_cuda(mixed: tuple[Image, ...], size: int) -> None:
    spans = spans_of(mixed, size)
    geometries = (SMALL, OTHER, ROUGH)
    want = list(batches(mixed, spans, geometries))
    with torch.autocast("cuda"):  # which is for networks
        found = list(device_batches(mixed, spans, geometries, "cuda", plain=6))
    assert sum(len(batch.by_device) for batch in found) > 10
    for one, other in zip(found, want, strict=True):
        assert_same(one, other, limit=0.6)
        assert all(pixels.device.type == "cuda" for pixels in one.pixels.values())
        assert torch.equal(one.pixels[ROUGH].cpu(), other.pixels[ROUGH])
    assert found[0].plain is not None
    for geometry, pixels in want[0].pixels.items():
        assert torch.equal(found[0].plain[geometry].cpu(), pixels)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pixels_stay_while_the_device_is_busy(photographs: tuple[Path, ...]) -> None:
    images = [Image(str(i), photographs[i % 20]) for i in range(400)]
    spans = spans_of(images, 20)
    sums, busy = [], torch.randn(4096, 4096, device="cuda")
    for batch in device_batches(images, spans, [SMALL], "cuda"):
        for _ in range(20):
            busy = (busy @ busy).clamp(-1, 1)
        sums.append(batch.pixels[SMALL].long().sum())  # long after this was asked for
        del batch
    assert len({int(one) for one in sums}) == 1
