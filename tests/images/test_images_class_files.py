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


FORMS = {
    "list.json": '["tench", "goldfish, gold"]',
    "object.json": '{"0": "tench", "1": "goldfish, gold"}',
    "ten.json": '{"1": "goldfish, gold", "0": "tench"}',
    "folder.json": '{"tench": 0, "goldfish, gold": 1}',
    "config.json": '{"model_type": "vit", "id2label": {"0": "tench", "1": "goldfish, gold"}}',
    "list.yaml": "# classes\n- tench\n- 'goldfish, gold'\n",
    "data.yaml": "---\nnames:\n  0: tench\n  1: goldfish, gold\n",
    "colon.txt": "0: tench\n1: goldfish, gold\n",
    "space.txt": "0 tench\n1 goldfish, gold\n",
    "tab.txt": "0\ttench\n1\tgoldfish, gold\n",
    "list.txt": '["tench", "goldfish, gold"]',
    "python.txt": "{0: 'tench',\n 1: \"goldfish, gold\"}\n",
    "bare.csv": '0,tench\n1,"goldfish, gold"\n',
    "semicolon.csv": "index;name\n0;tench\n1;goldfish, gold\n",
    "tabs.tsv": "index\tname\n0\ttench\n1\tgoldfish, gold\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_that_others_write(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, name, FORMS[name]) == ClassMap(name, ("tench", "goldfish, gold"), None)


SYNSETS = {
    "keras.json": '{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish, gold"]}',
    "pairs.json": '[["n01440764", "tench"], ["n01443537", "goldfish, gold"]]',
    "synset_words.txt": "n01440764 tench\nn01443537 goldfish, gold\n",
    "words.txt": "n01440764\ttench\nn01443537\tgoldfish, gold\n",
    "three.txt": "0 n01440764 tench\n1 n01443537 goldfish, gold\n",
    "three.csv": '0,n01440764,tench\n1,n01443537,"goldfish, gold"\n',
}


@pytest.mark.parametrize("name", SYNSETS)
def test_synset_tables(name: str, tmp_path: Path) -> None:
    got = read(tmp_path, name, SYNSETS[name])
    assert got == ClassMap(name, ("tench", "goldfish, gold"), ("n01440764", "n01443537"))


def test_utf16(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("thé\ncafé\n", encoding="utf-16")
    assert class_map("a.txt", tmp_path).names == ("thé", "café")


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("digits.txt", "0\n1\n2\n", ("0", "1", "2")),
        ("some.txt", "3 musketeers\ncat\n", ("3 musketeers", "cat")),
        ("from-two.txt", "2 CV\n3 wheeler\n", ("2 CV", "3 wheeler")),
        ("dash.txt", "a - b\n- c\n", ("a - b", "- c")),
        ("ids.txt", "n01440764\nn01443537\n", ("n01440764", "n01443537")),
        ("quotes.txt", '"tench"\ncat\n', ('"tench"', "cat")),
    ],
)
def test_plain_names_stay_as_they_are(
    name: str, text: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    assert read(tmp_path, name, text).names == names


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '["tench",', r"a\.json: not readable as JSON: "),
        ("a.json", "[" * 9000, r"a\.json: not readable as JSON: "),
        ("a.json", "7", "neither a JSON list of names nor an object .*; write one class a line"),
        ("a.json", "[]", "neither a JSON list of names"),
        ("a.json", '["a", 3]', "neither a JSON list of names"),
        ("a.json", '["a", ["n01440764", "b"]]', "neither a JSON list of names"),
        ("a.json", '{"1": "a", "2": "b"}', "no class has the number 0; count from 0 without a gap"),
        ("a.json", '{"a": 0, "b": 0}', "two classes have one number"),
        ("a.json", '{"a": {"b": 1}}', "no class has the number 0"),
        ("a.yaml", "nc: 2\nnames: [a, b]\n", r'a\.yaml, line 1: of YAML only a list \("- tench"\)'),
        ("a.yaml", "- a\nb: c\n", r"a\.yaml, line 2: of YAML only a list"),
        ("a.txt", "0: tench\n2: goldfish\n", 'line 2: index "2", expected 1'),
        ("a.txt", "1: tench\n2: goldfish\n", 'line 1: index "1", expected 0'),
        ("a.txt", "0: tench\ngoldfish\n", "line 2: .* has no number, and line 1 has"),
        ("a.txt", "n01440764 tench\nn01440764 b\n", 'line 2: synset "n01440764" is also in line 1'),
        ("a.txt", "n02119789 1 kit_fox\nn02100735 2 setter\n", "a number between synset and name"),
    ],
)
def test_forms_that_are_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, name, text)
