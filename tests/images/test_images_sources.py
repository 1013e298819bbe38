"""What a source stands for, and what is said when it stands for nothing."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image as Pictures

from vision_evals.core.errors import UserError
from vision_evals.images.image_set import ImageSet
from vision_evals.images.sources import load


def put(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("notes")
        else:
            Pictures.new("RGB", (2, 2)).save(path, "PNG")
    return root


def ids(image_set: ImageSet) -> list[str]:
    return [image.id for image in image_set.images]


def labels(image_set: ImageSet) -> list[str | None]:
    return [image.label for image in image_set.images]


def test_imagenet_samples() -> None:
    samples = load("imagenet_samples", Path("/nowhere"))
    assert samples.total == 20
    assert ids(samples)[:2] == ["imagenet_00_243.jpg", "imagenet_01_559.jpg"]
    assert samples.images[0].label == "n02108422"
    assert all(image.path.is_file() for image in samples.images)


def test_class_folders_in_natural_order(tmp_path: Path) -> None:
    put(tmp_path, "10/a.jpg", "2/b10.JPG", "2/b9.jpeg", "1/deep/er/c.png")
    found = load(str(tmp_path), Path("/nowhere"))
    assert ids(found) == ["1/deep/er/c.png", "2/b9.jpeg", "2/b10.JPG", "10/a.jpg"]
    assert labels(found) == ["1", "2", "2", "10"]
    assert found.labels == ("1", "2", "10")


def test_flat_folder_leaves_other_and_hidden_files_out(tmp_path: Path) -> None:
    put(tmp_path, "b.webp", "a.tiff", ".c.png", "notes.txt", ".git/d.png", "empty/notes.txt")
    found = load(str(tmp_path), tmp_path)
    assert ids(found) == ["a.tiff", "b.webp"]
    assert not found.labelled


def test_one_picture(tmp_path: Path) -> None:
    put(tmp_path, "Cat.PNG")
    found = load("Cat.PNG", tmp_path)
    assert ids(found) == ["Cat.PNG"]
    assert found.source == "Cat.PNG"
    assert not found.labelled


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "pets/a.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ids(load("~/pets", Path("/nowhere"))) == ["a.png"]


def test_links_are_followed_but_not_round_in_circles(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "a.png")
    pets = put(tmp_path / "pets", "cat/b.png")
    (pets / "cat" / "c.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    (pets / "cat" / "again").symlink_to(pets)
    (pets / "cat" / "self").symlink_to(".")
    (pets / "dog").symlink_to(tmp_path / "elsewhere")
    (pets / "fox").symlink_to("fox")
    assert ids(load("pets", tmp_path)) == ["cat/b.png", "cat/c.png", "dog/a.png"]


def test_a_broken_link_is_not_left_out(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to("gone.png")
    assert ids(load(".", tmp_path)) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("pest", 'or "digits_test" nor does .*/pest exist; did you mean "pets"'),
        ("imagenet_sample", 'did you mean "imagenet_samples"'),
        (
            "no/where/at/all",
            'built-in "imagenet_samples" or "art_samples" or "digits_test" nor does .*all exist',
        ),
        ("", "nor does .* exist"),
        ("~nobody-of-that-name/pets", "cannot be reached: Could not determine home"),
        ("pets/a.txt", r"a\.txt: neither a folder, a manifest \(csv, tsv, parquet\) nor a picture"),
        ("all.tar.gz", r"all\.tar\.gz: an archive; unpack it, and name the folder"),
        ("bare", "bare: an empty folder; looked for JPEG, PNG, WebP"),
        ("notes", "notes: no picture in it; looked for JPEG"),
        ("hollow", "hollow: no picture in it; looked for JPEG"),
        ("mixed", r'"a\.png"\) and class folders \("cat"\) side by side; move the pictures'),
    ],
)
def test_what_cannot_be_loaded(tmp_path: Path, source: str, message: str) -> None:
    put(tmp_path, "pets/a.png", "pets/a.txt", "notes/a.txt", "mixed/a.png", "mixed/cat/b.png")
    (tmp_path / "all.tar.gz").write_bytes(b"packed")
    for name in ("bare", "hollow/cat", "hollow/dog"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(UserError, match=message):
        load(source, tmp_path)


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    try:
        os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.png", os.O_CREAT))
    except OSError:
        pytest.skip("this file system knows no such names")
    with pytest.raises(UserError, match=r"file name b'caf\\xe9.png' is not UTF-8; rename it"):
        load(str(tmp_path), tmp_path)


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder with a class folder that this process must not list."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        put(root, "cat/a.png")
        (root / "cat").chmod(0)
        user = os.geteuid()
        # root may list anything
        os.seteuid(user or 65534)
        yield root
        os.seteuid(user)
        (root / "cat").chmod(0o755)


def test_a_folder_that_cannot_be_listed(locked: Path) -> None:
    with pytest.raises(UserError, match="cat: cannot be listed: Permission denied"):
        load(str(locked), locked)
    with pytest.raises(UserError, match=r"a\.png.* cannot be reached: .*Permission denied"):
        load(str(locked / "cat" / "a.png"), locked)
