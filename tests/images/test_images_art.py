"""Art sets: what the list says of each work, and what is said of a list that does not fit."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest
from PIL import Image as Pictures

from vision_evals.core.errors import UserError
from vision_evals.core.paths import data_folder
from vision_evals.images import sources
from vision_evals.images.image_set import Image

OBJECT = (
    '[[work]]\nfile = "object.png"\ntitle = "Object"\nartist = "Meret Oppenheim"\nyear = 1936\n'
)
GIFT = '[[work]]\nfile = "gift.png"\ntitle = "Gift"\nartist = "Man Ray"\nyear = "1921"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, shade in (("gift", 10), ("object", 20)):
        Pictures.new("RGB", (4, 4), (shade, 0, 0)).save(tmp_path / f"{name}.png")
    return tmp_path


def works(folder: Path, text: str) -> tuple[Image, ...]:
    (folder / "art.toml").write_text(text, encoding="utf-8")
    return sources.load(str(folder), Path()).images


def refused(folder: Path, text: str) -> str:
    with pytest.raises(UserError) as caught:
        works(folder, text)
    return str(caught.value)


def test_works_come_in_the_order_of_the_list_with_what_is_known(folder: Path) -> None:
    more = 'shift = "semantic"\nsource = "a catalogue"\n'
    first, second = works(folder, OBJECT + more + GIFT)
    assert (first.id, first.path, first.label) == ("object.png", folder / "object.png", None)
    assert dict(first.about) == {
        "title": "Object",
        "artist": "Meret Oppenheim",
        "year": "1936",
        "shift": "semantic",
        "source": "a catalogue",
    }
    assert dict(second.about) == {"title": "Gift", "artist": "Man Ray", "year": "1921"}


def test_a_right_sha256_and_labels_for_all(folder: Path) -> None:
    digest = hashlib.sha256((folder / "object.png").read_bytes()).hexdigest()
    found = works(folder, f'{OBJECT}sha256 = "{digest}"\nlabel = "cup"\n{GIFT}label = "iron"\n')
    assert [image.label for image in found] == ["cup", "iron"]


def test_pictures_in_subfolders_have_their_path_as_file(folder: Path) -> None:
    (folder / "dada").mkdir()
    for name in ("gift", "object"):
        (folder / f"{name}.png").rename(folder / "dada" / f"{name}.png")
    found = works(folder, (OBJECT + GIFT).replace('file = "', 'file = "dada/'))
    assert [(image.id, image.label) for image in found] == [
        ("dada/object.png", None),
        ("dada/gift.png", None),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            OBJECT + GIFT.replace("gift.png", "gifts.png"),
            'file = "gifts.png" is not there; did you mean "gift.png"?; put the picture next to',
        ),
        (OBJECT, 'says nothing of "gift.png"; add an entry to art.toml: [[work]] file = "gift'),
        (OBJECT + OBJECT + GIFT, 'file = "object.png" is listed 2 times; keep one entry'),
        (
            OBJECT + GIFT.replace("artist", "artits"),
            'work 2 "gift.png": unknown key "artits"; did you mean "artist"',
        ),
        (
            OBJECT + GIFT.replace('title = "Gift"\n', ""),
            'work 2 "gift.png": key "title" is missing',
        ),
        (OBJECT + 'shift = "stile"\n' + GIFT, "work 1 \"object.png\": shift = 'stile'"),
        (OBJECT + 'sha256 = "0"\n' + GIFT, "must be 64 lower-case hexadecimal digits"),
        (OBJECT + 'label = "cup"\n' + GIFT, '"gift.png" has no label and others do'),
        ('[[works]]\nfile = "x"\n', 'unknown key "works"; did you mean "work"'),
        ("work = 3\n", "work = 3: must be a list"),
        ("[[work]\n", "not valid TOML"),
        (
            OBJECT.replace("object.png", "../x.png") + GIFT,
            'file = "../x.png" is not there',
        ),
    ],
)
def test_a_list_that_does_not_fit(folder: Path, text: str, said: str) -> None:
    message = refused(folder, text)
    assert all(line.startswith(f"{folder / 'art.toml'}") for line in message.split("\n"))
    assert said in message


def test_another_picture_under_its_name_is_refused_with_both_hashes(folder: Path) -> None:
    found = hashlib.sha256((folder / "object.png").read_bytes()).hexdigest()
    message = refused(folder, f'{OBJECT}sha256 = "{"0" * 64}"\n{GIFT}')
    assert "0" * 64 in message
    assert found in message


def test_every_mistake_is_named_at_once(folder: Path) -> None:
    message = refused(folder, OBJECT.replace("object", "cup"))
    assert len(message.split("\n")) == 3  # one entry without file, two files without entry


def test_the_shipped_works() -> None:
    shipped = sources.load("art_samples", Path("/nowhere"))
    assert (len(shipped.images), shipped.labelled) == (18, False)
    root = data_folder("fixtures") / "art"
    entries = tomllib.loads((root / "art.toml").read_text(encoding="utf-8"))["work"]
    assert [image.id for image in shipped.images] == [entry["file"] for entry in entries]
    for image, entry in zip(shipped.images, entries, strict=True):
        assert hashlib.sha256(image.path.read_bytes()).hexdigest() == entry["sha256"]
        assert dict(image.about) == {
            key: entry[key] for key in ("title", "artist", "year", "shift", "source")
        }


def test_a_folder_of_that_name_is_reached_as_a_path(tmp_path: Path) -> None:
    (tmp_path / "art_samples").mkdir()
    Pictures.new("RGB", (4, 4)).save(tmp_path / "art_samples" / "a.png")
    assert len(sources.load("./art_samples", tmp_path).images) == 1
    assert len(sources.load("art_samples", tmp_path).images) == 18
