"""What is declared of pictures beside them, and what is said of a declaration that is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image as Pictures

from vision_evals.core.errors import UserError
from vision_evals.images.declared import declaration
from vision_evals.images.image_set import fingerprint, limited
from vision_evals.images.sources import BUILT_IN, load

SAMPLE = 'sample_of = "imagenet"\n'
WORK = '[[work]]\nfile = "{}.png"\ntitle = "T"\nartist = "A"\nyear = 1936\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        Pictures.new("RGB", (2, 2)).save(tmp_path / name)
    return tmp_path


def declare(folder: Path, text: str, name: str = "images.toml") -> None:
    (folder / name).write_text(text, encoding="utf-8")


def sample_of(folder: Path, source: str = ".") -> str | None:
    return load(source, folder).sample_of


def test_a_folder_says_what_it_is_a_sample_of(folder: Path) -> None:
    assert sample_of(folder) is None
    declare(folder, SAMPLE + 'about = "every tenth of the validation set"\n')
    found = load(".", folder)
    assert found.sample_of == "imagenet"
    assert [image.id for image in found.images] == ["a.png", "b.png"]  # it is no picture
    declare(folder, 'about = "holidays"\n')
    assert sample_of(folder) is None


def test_class_folders_are_declared_where_they_stand_together(folder: Path) -> None:
    for label in ("cat", "dog"):
        (folder / "set" / label).mkdir(parents=True)
        Pictures.new("RGB", (2, 2)).save(folder / "set" / label / "a.png")
    declare(folder, SAMPLE)  # above and below the folder that is named: about other pictures
    declare(folder / "set" / "cat", SAMPLE)
    assert sample_of(folder, "set") is None
    declare(folder / "set", SAMPLE)
    assert sample_of(folder, "set") == "imagenet"
    assert load("set", folder).labels == ("cat", "dog")


def test_works_of_art_are_declared_beside_their_list(folder: Path) -> None:
    declare(folder, WORK.format("b") + WORK.format("a"), "art.toml")
    declare(folder, 'sample_of = "paintings.txt"\n')
    found = load(".", folder)
    assert (found.sample_of, found.images[0].id) == ("paintings.txt", "b.png")


@pytest.mark.parametrize("name", ["val.csv", "VAL.CSV", "val.parquet", "images.csv", "a.b.csv"])
def test_a_manifest_has_a_file_of_its_own_name(folder: Path, name: str) -> None:
    table = pd.DataFrame({"path": ["a.png"]})
    if name.endswith("parquet"):
        table.to_parquet(folder / name)
    else:
        table.to_csv(folder / name, index=False)
    declare(folder, 'sample_of = "another"\n', "other.toml")
    assert sample_of(folder, name) is None
    declare(folder, SAMPLE, f"{name.rsplit('.', 1)[0]}.toml")
    assert sample_of(folder, name) == "imagenet"


def test_a_folder_does_not_speak_for_a_manifest_or_a_picture_in_it(folder: Path) -> None:
    declare(folder, SAMPLE)
    declare(folder, SAMPLE, "a.toml")
    (folder / "val.csv").write_text("path\na.png\n", encoding="utf-8")
    assert sample_of(folder, "val.csv") is None
    assert sample_of(folder, "a.png") is None


def test_files_of_the_same_name_that_are_something_else(folder: Path) -> None:
    for stem in ("nightly", "art"):
        (folder / f"{stem}.csv").write_text("path\na.png\n", encoding="utf-8")
    declare(folder, '# a suite\nevals = 1\ntitle = "Nightly"\n', "nightly.toml")
    declare(folder, WORK.format("a") + WORK.format("b"), "art.toml")
    assert sample_of(folder, "nightly.csv") is None
    assert sample_of(folder, "art.csv") is None
    assert declaration(folder / "art.csv") is None


@pytest.mark.parametrize("source", BUILT_IN)
def test_what_is_shipped_is_no_sample(source: str) -> None:
    assert load(source, Path("/nowhere")).sample_of is None


def test_a_limit_keeps_it_and_the_fingerprint_ignores_it(folder: Path) -> None:
    bare = load(".", folder)
    declare(folder, SAMPLE)
    sample = load(".", folder)
    assert limited(sample, 1).sample_of == "imagenet"
    assert limited(bare, 1).sample_of is None
    digests = {"a.png": "00", "b.png": "11"}
    assert fingerprint(sample, digests) == fingerprint(bare, digests)


@pytest.mark.parametrize("name", ["images.toml", "val.toml"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('sampel_of = "imagenet"\n', 'unknown key "sampel_of"; did you mean "sample_of"?'),
        ('classes = "imagenet"\n', 'unknown key "classes"; known are about, count, sample_of'),
        ("[[work]]\n", 'unknown key "work"; known are about, count, sample_of'),
        ("sample_of = true\n", "sample_of = True: should be a valid string"),
        ('sample_of = ["imagenet"]\n', "sample_of = ['imagenet']: should be a valid string"),
        ("about = 3\n", "about = 3: should be a valid string"),
        ("sample_of = imagenet\n", "not valid TOML: Invalid value (at line 1, column 13)"),
    ],
)
def test_a_wrong_declaration(folder: Path, name: str, text: str, said: str) -> None:
    (folder / "val.csv").write_text("path\na.png\n", encoding="utf-8")
    declare(folder, text, name)
    with pytest.raises(UserError, match=f"^{re.escape(f'{folder / name}: {said}')}$"):
        load("." if name == "images.toml" else "val.csv", folder)


def test_a_declaration_that_is_not_utf8(folder: Path) -> None:
    (folder / "images.toml").write_bytes('about = "café"\n'.encode("latin-1"))
    with pytest.raises(UserError, match=r"images\.toml: not UTF-8 .*; save it as UTF-8"):
        sample_of(folder)


def test_another_number_of_pictures_than_declared_is_refused(folder: Path) -> None:
    """Half of them may be missing, and nothing else would show it; a limit is no loss."""
    declare(folder, SAMPLE + "count = 2\n")
    assert limited(load(".", folder), 1).total == 2
    (folder / "b.png").unlink()
    with pytest.raises(UserError, match=r"images\.toml: count = 2, and there are 1 pictures; put"):
        load(".", folder)
    (folder / "val.csv").write_text("path\na.png\n")
    declare(folder, "count = 3\n", "val.toml")
    with pytest.raises(UserError, match=r"val\.toml: count = 3, and there are 1 pictures"):
        load("val.csv", folder)
    declare(folder, "count = 0\n", "val.toml")
    with pytest.raises(UserError, match="count"):
        load("val.csv", folder)
