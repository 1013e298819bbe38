"""Class maps of a user's own."""

from pathlib import Path

import pytest

from vision_evals.core.errors import UserError
from vision_evals.images.labels import ClassMap, class_map


def read(tmp_path: Path, name: str, text: str) -> ClassMap:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return class_map(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "cat\ndog, small\n"),
        ("a.txt", "\ufeffcat\ndog, small\n\n\n"),
        ("a.csv", 'cat\n"dog, small"\n'),
        ("a.csv", 'name\ncat\n"dog, small"\n'),
        ("a.csv", 'index,name\n0,cat\n1,"dog, small"\n'),
    ],
)
def test_names(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, name, text) == ClassMap(name, ("cat", "dog, small"), None)


def test_names_and_synsets(tmp_path: Path) -> None:
    got = read(tmp_path, "a.csv", "synset,name\nn02123045,tabby\nn02099601,golden retriever\n")
    assert got.synsets == ("n02123045", "n02099601")
    assert got.index("n02099601") == got.index("golden retriever") == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", r"a\.txt, line 1: \[''\] is not one class \(name\)"),
        ("a.csv", "", r"a\.csv: no class in it; write one a line"),
        ("a.csv", "name\n", r"a\.csv: no class in it"),
        ("a.txt", "cat\n\ndog\n", r"a\.txt, line 2: \[''\] is not one class"),
        ("a.csv", "cat\n\ndog\n", r"a\.csv, line 2: \[\] is not one class"),
        (
            "a.csv",
            "dog, small\n",
            r"line 1: \['dog', 'small'\] .*a comma inside a name needs quotes",
        ),
        (
            "a.csv",
            "name,synset\ncat,\n",
            r"line 2: \['cat', ''\] is not one class \(name, synset\)",
        ),
        (
            "a.csv",
            "name,sinset\ncat,n1\n",
            'line 1: unknown column "sinset"; did you mean "synset"?',
        ),
        ("a.csv", "name,name\ncat,cat\n", 'column "name" comes twice; remove one'),
        (
            "a.csv",
            "index,name\n1,cat\n",
            'line 2: index "1", expected 0; classes come in the order',
        ),
        ("a.csv", "name,synset\na,n1\nb,n2\nc,n1\n", 'line 4: synset "n1" is also in line 2'),
    ],
)
def test_lines_that_are_no_class(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, name, text)


def test_no_such_map(tmp_path: Path) -> None:
    (tmp_path / "pets.txt").write_text("cat\n")
    with pytest.raises(
        UserError, match=r'"pet\.txt" is neither the built-in "imagenet" nor .*pets'
    ):
        class_map("pet.txt", tmp_path)
    (tmp_path / "pets").mkdir()
    with pytest.raises(UserError, match="pets: cannot be read: Is a directory"):
        class_map("pets", tmp_path)
    with pytest.raises(UserError, match='did you mean "imagenet"'):
        class_map("imagnet", tmp_path)
