"""What in a folder is an image of the set, and what is left out and said."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pil

from vision_evals.core.errors import UnreadableError, UserError
from vision_evals.images.decode import read
from vision_evals.images.image_set import ImageSet
from vision_evals.images.kinds import NOT_DATA
from vision_evals.images.sources import load

RAMP = np.linspace(0, 255, 24 * 16 * 3).reshape(16, 24, 3).astype(np.uint8)


def picture(kind: str, **options: object) -> bytes:
    file = BytesIO()
    mode = {"PGM": "L", "PBM": "1"}.get(kind, "RGB")
    pil.fromarray(RAMP).convert(mode).save(
        file, "PPM" if kind in {"PGM", "PBM"} else kind, **options
    )
    return file.getvalue()


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def ids(image_set: ImageSet) -> list[str]:
    return [image.id for image in image_set.images]


def left_out(image_set: ImageSet) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {group.reason: (group.n, group.names) for group in image_set.left_out}


FORMATS = {
    "a.jfif": "JPEG", "a.jpe": "JPEG", "a.JPG": "JPEG", "a.apng": "PNG", "a.pgm": "PGM",
    "a.pnm": "PPM", "a.pbm": "PBM", "a.avif": "AVIF", "a.jp2": "JPEG2000", "a.jpx": "JPEG2000",
    "a.webp": "WEBP", "a.bmp": "BMP", "no-extension": "JPEG", "a.jpg_large": "JPEG", "b.": "PNG",
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_what_pillow_reads_is_read(name: str, tmp_path: Path) -> None:
    """Whatever the name says: a file is a picture by its name or by its first bytes."""
    kind = FORMATS[name]
    write(tmp_path / name, picture(kind, **({"quality": 100} if kind == "AVIF" else {})))
    found = load(str(tmp_path), tmp_path)
    assert ids(found) == [name]
    seen = np.asarray(read(found.images[0].path).picture, dtype=int)
    exact = np.asarray(pil.fromarray(RAMP).convert({"PGM": "L", "PBM": "1"}.get(kind, "RGB")))
    plain = np.asarray(pil.fromarray(exact).convert("RGB"), dtype=int)
    assert np.abs(seen - plain).max() <= (12 if kind == "JPEG" else 40 if kind == "WEBP" else 2)


def test_deep_and_transparent_pictures_of_the_new_formats(tmp_path: Path) -> None:
    deep = pil.fromarray(RAMP[..., 0].astype(np.uint16) * 257)
    deep.save(tmp_path / "deep.jp2")
    assert np.array_equal(np.asarray(read(tmp_path / "deep.jp2").picture)[..., 0], RAMP[..., 0])
    glass = pil.fromarray(RAMP).convert("RGBA")
    glass.putalpha(0)
    for name in ("glass.jp2", "glass.avif"):
        glass.save(tmp_path / name)
        assert np.asarray(read(tmp_path / name).picture).min() == 255


UNREAD = {
    "a.heic": (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC is not read; save it as PNG or JPEG"),
    "a.HEIF": (b"\0\0\0\x18ftypmif1\0\0\0\0", "HEIC is not read"),
    "a.svg": (b'<?xml version="1.0"?>\n<svg xmlns="x">', "SVG is not read"),
    "a.eps": (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript is not read"),
    "a.jxl": (b"\xff\x0a\xfa\x7f", "JPEG XL is not read"),
    "a.psd": (b"8BPS\0\1", "Photoshop is not read"),
    "a.tga": (b"\0\0\2" + bytes(40), "not a picture: none of JPEG, PNG"),
    "a.jpg": (b"%PDF-1.7", "PDF is not read"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_pictures_that_are_not_read_belong_to_the_set(name: str, tmp_path: Path) -> None:
    """So that they are counted, named, and fail their check, as damaged ones do."""
    data, reason = UNREAD[name]
    write(tmp_path / name, data)
    write(tmp_path / "b.png", picture("PNG"))
    found = load(str(tmp_path), tmp_path)
    assert set(ids(found)) == {name, "b.png"}
    with pytest.raises(UnreadableError, match=reason):
        read(tmp_path / name)


@pytest.mark.parametrize("tag", [(254, 1), (50706, b"\1\4\0\0")])
def test_a_raw_file_is_not_taken_for_its_thumbnail(tag: tuple[int, object], tmp_path: Path) -> None:
    """A camera's TIFF begins with a small copy: that is not the picture."""
    pil.fromarray(RAMP).save(tmp_path / "a.tif", tiffinfo={tag[0]: tag[1]})
    with pytest.raises(UnreadableError, match="a small copy comes first"):
        read(tmp_path / "a.tif")


def test_folders_that_are_never_data_are_skipped_and_said(tmp_path: Path) -> None:
    names = [name.upper() if i % 2 else name for i, name in enumerate(NOT_DATA)]
    for name in ["cat", *names, ".thumbnails"]:
        write(tmp_path / "set" / name / "a.jpg", picture("JPEG"))
    write(tmp_path / "set" / "cat" / "@eaDir" / "a.jpg" / "SYNOPHOTO_THUMB_XL.jpg", picture("JPEG"))
    found = load(str(tmp_path / "set"), tmp_path)
    assert ids(found) == ["cat/a.jpg"]
    n, first = left_out(found)["folders that are never data"]
    assert n == len(NOT_DATA) + 1
    assert len(first) == 5
    assert left_out(found)["hidden"] == (1, (".thumbnails",))


LEFT_OUT = {
    "a.jpg~": "copies, thumbnails and unfinished downloads",
    "a.jpg.bak": "copies, thumbnails and unfinished downloads",
    "GOPR1.THM": "copies, thumbnails and unfinished downloads",
    "a.jpg.crdownload": "copies, thumbnails and unfinished downloads",
    "more.tar.gz": "archives, which are not unpacked",
    "a.mp4": "files of other types",
    "notes": "files of other types",
    "BMI": "files of other types",
    "._a.jpg": "hidden",
    "labels.csv": "texts, tables and settings",
    "Thumbs.db": "texts, tables and settings",
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_counted_and_named(name: str, tmp_path: Path) -> None:
    write(tmp_path / "b.png", picture("PNG"))
    data = picture("JPEG") if name.startswith(("a.jpg", "._", "GOPR")) else b"BM and other words"
    write(tmp_path / name, data)
    found = load(str(tmp_path), tmp_path)
    assert ids(found) == ["b.png"]
    (group,) = found.left_out
    assert (group.reason, group.n, group.names) == (LEFT_OUT[name], 1, (name,))
    assert group.usual == (group.reason in {"hidden", "texts, tables and settings"})


def test_a_name_in_no_encoding_is_named(tmp_path: Path) -> None:
    write(tmp_path / "b.png", picture("PNG"))
    try:
        (Path(str(tmp_path)) / "caf\udce9.mp4").write_bytes(b"x")
    except OSError:
        pytest.skip("this file system knows no such names")
    (group,) = load(str(tmp_path), tmp_path).left_out
    assert group.names == ("caf\\xe9.mp4",)


def test_a_class_without_a_picture_is_said(tmp_path: Path) -> None:
    write(tmp_path / "cat" / "a.png", picture("PNG"))
    write(tmp_path / "dog" / "a.txt", b"")
    found = load(str(tmp_path), tmp_path)
    assert left_out(found)["class folders without a picture"] == (1, ("dog",))


def test_nothing_but_other_files_says_what_there_was(tmp_path: Path) -> None:
    write(tmp_path / "all.zip", b"PK")
    with pytest.raises(
        UserError, match=r"left out: archives, which are not unpacked: 1 \(all.zip\)"
    ):
        load(str(tmp_path), tmp_path)


@pytest.mark.parametrize(
    "folders",
    [
        ["1/n01440764", "1/n02102040", "3/n01440764", "3/n02102040"],
        ["1/n01440764", "3/n02102040"],
        ["blur/1", "blur/3", "noise/1", "noise/3"],
        ["train/cat", "train/dog", "val/cat", "val/dog"],
        ["data/cat", "data/dog"],
        ["3/n01440764", "3/n02102040"],
        ["blur/1/n01440764", "blur/3/n01440764", "fog/1/n01440764", "fog/3/n01440764"],
    ],
)
def test_a_folder_of_folders_of_classes_is_refused(folders: list[str], tmp_path: Path) -> None:
    """The outer names would be labels: a severity of 3 the index of a class."""
    for place in folders:
        write(tmp_path / place / "a.png", picture("PNG"))
    outer, inner, *_ = folders[0].split("/")
    message = f'hold class folders themselves ."{outer}/{inner}".*, so "{outer}" is no label; name'
    with pytest.raises(UserError, match=message):
        load(str(tmp_path), tmp_path)
    if all(len(place.split("/")) == 2 for place in folders):
        assert load(str(tmp_path / outer), tmp_path).labels


@pytest.mark.parametrize(
    "folders",
    [
        ["n01440764/images", "n02102040/images"],
        ["cat/monday", "dog/tuesday", "dog/friday"],
        ["cat", "cat/monday", "dog/monday", "dog"],
        ["cat/monday"],
    ],
)
def test_folders_inside_class_folders_are_no_classes(folders: list[str], tmp_path: Path) -> None:
    for place in folders:
        write(tmp_path / place / "a.png", picture("PNG"))
    outer = {place.split("/")[0] for place in folders}
    assert set(load(str(tmp_path), tmp_path).labels) == outer
