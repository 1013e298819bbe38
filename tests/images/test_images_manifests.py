"""CSV and Parquet manifests, and what is said of broken ones."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pictures

from vision_evals.core.errors import UserError
from vision_evals.images.image_set import Image
from vision_evals.images.labels import class_map, targets
from vision_evals.images.sources import load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png", "in/c.png"):
        Pictures.new("RGB", (2, 2)).save(tmp_path / name)
    return tmp_path


def csv(folder: Path, text: str, encoding: str = "utf-8") -> tuple[Image, ...]:
    (folder / "m.csv").write_text(text, encoding=encoding)
    return load("m.csv", folder).images


def parquet(folder: Path, **columns: list[Any]) -> tuple[Image, ...]:
    pd.DataFrame(columns).to_parquet(folder / "m.parquet")
    return load("m.parquet", folder).images


def test_every_column(folder: Path) -> None:
    wanted = (
        Image("x", folder / "b.png", "001", ("1", "two words")),
        Image("y", folder / "in/c.png", "NA", ()),
    )
    text = 'id,path,label,accepted\nx,b.png,001,1|two words\ny,"in/c.png", NA,\n\n'
    assert csv(folder, text) == wanted
    assert csv(folder, text.replace("\n", "\r\n"), "utf-8-sig") == wanted
    columns = {"id": ["x", "y"], "path": ["b.png", "in/c.png"], "label": ["001", "NA"]}
    assert parquet(folder, **columns, accepted=["1|two words", None]) == wanted
    assert parquet(folder, **columns, accepted=[["1", "two words"], []]) == wanted


def test_path_alone_in_the_manifests_order(folder: Path) -> None:
    found = csv(folder, "path\nin/c.png\na.png\n")
    assert [(image.id, image.label) for image in found] == [("in/c.png", None), ("a.png", None)]


def test_paths_are_relative_to_the_manifest(folder: Path) -> None:
    (folder / "in" / "m.csv").write_text("path\nc.png\n../a.png\n")
    found = load("in/m.csv", folder).images
    assert [image.path.resolve() for image in found] == [folder / "in/c.png", folder / "a.png"]


def test_numbers_in_parquet_are_text(folder: Path) -> None:
    found = parquet(folder, path=["a.png", "b.png"], label=[7, 10])
    assert [image.label for image in found] == ["7", "10"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r'm\.csv: no column "path"; the first line names the columns: path, label'),
        ("label\ncat\n", 'm.csv: no column "path"'),
        ("path\n", "m.csv: lists no image"),
        ("path,lable\na.png,cat\n", 'm.csv: unknown column "lable"; did you mean "label"?'),
        ("path,path\na.png,a.png\n", 'column "path" comes twice; remove one'),
        (
            "path\na.png\ngone.png\n",
            'm.csv, line 3, column "path": no file "gone.png"; paths are relative to',
        ),
        (f"path\n{'x' * 5000}\n", 'm.csv, line 2, column "path": no file'),
        ("path\nin\n", 'm.csv, line 2, column "path": no file "in"'),
        (
            "path,label\n,cat\n",
            'm.csv, line 2, column "path": empty; name a picture or remove the line',
        ),
        ("path,label\na.png,cat\nb.png,\n", 'line 2 has the label "cat" and line 3 has none'),
        ("path,label\na.png,\nb.png,cat\n", 'line 3 has the label "cat" and line 2 has none'),
        ("path,accepted\na.png,cat\n", 'has "accepted" labels but no "label"; add the column'),
        ("path\na.png\nb.png\na.png\n", 'line 2 and line 4 both have the id "a.png"; give each'),
        ("path,label\na.png,dog, small\n", "line 2: 3 values for the 2 columns path, label"),
        ("path,label\na.png\n", "line 2: 1 values for the 2 columns path, label"),
        ('path\n"a.png\n', "m.csv, line 2: not readable as CSV: unexpected end of data"),
    ],
)
def test_broken_csv(folder: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        csv(folder, text)


def test_csv_that_is_not_utf8(folder: Path) -> None:
    with pytest.raises(UserError, match=r"m\.csv: not UTF-8 .*; save it as UTF-8"):
        csv(folder, "path,label\na.png,café\n", "latin-1")


def test_broken_parquet(folder: Path) -> None:
    (folder / "m.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(UserError, match=r"m\.parquet: not readable as Parquet: "):
        load("m.parquet", folder)
    with pytest.raises(UserError, match=r'm\.parquet: unknown column "paht"; did you mean "path"'):
        parquet(folder, paht=["a.png"])
    with pytest.raises(UserError, match=r"m\.parquet: lists no image"):
        parquet(folder, path=[])
    with pytest.raises(UserError, match=r'row 2, column "path": no file "gone\.png"'):
        parquet(folder, path=["a.png", "gone.png"])
    with pytest.raises(UserError, match=r'row 1, column "label": 3\.0; write it as text'):
        parquet(folder, path=["a.png", "b.png"], label=[3, None])


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)


@settings(max_examples=50)
@given(names=st.lists(NAMES.map(str.strip).filter(bool), min_size=1, max_size=5, unique=True))
def test_ids_survive_both_formats(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("names")
    Pictures.new("RGB", (2, 2)).save(folder / "a.png")
    table = pd.DataFrame({"path": "a.png", "id": names, "label": names})
    table.to_csv(folder / "m.csv", index=False)
    table.to_parquet(folder / "m.parquet")
    for name in ("m.csv", "m.parquet"):
        found = load(name, folder).images
        assert [(image.id, image.label) for image in found] == [(name, name) for name in names]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("end", ["", "\n\n", "\n \n"])
def test_what_excel_and_pandas_write(separator: str, encoding: str, end: str, folder: Path) -> None:
    """Separators of other countries, encodings by their mark, an index, and a blank last line."""
    rows = [["", "path", "label"], ["0", "a.png", "café"], ["7", "in/c.png", "thé, vert"]]
    text = "\n".join(separator.join(f'"{cell}"' for cell in row) for row in rows) + end
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    found = csv(folder, mark + text, encoding)
    assert [(i.id, i.label, i.where) for i in found] == [
        ("a.png", "café", "line 2"),
        ("in/c.png", "thé, vert", "line 3"),
    ]


def test_pandas_own_files(folder: Path) -> None:
    """With its index, in both formats, and with one that lost rows."""
    table = pd.DataFrame({"path": ["a.png", "b.png", "in/c.png"], "label": ["x", "y", "z"]})[1:]
    table.to_csv(folder / "m.csv")
    table.to_parquet(folder / "m.parquet")
    pd.read_csv(folder / "m.csv").to_csv(folder / "again.csv", index=False)
    table.to_csv(folder / "tabs.tsv", sep="\t", index=False)
    for name in ("m.csv", "m.parquet", "again.csv", "tabs.tsv"):
        found = load(name, folder).images
        assert [(i.id, i.label) for i in found] == [("b.png", "y"), ("in/c.png", "z")]


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\npath;label\na.png;x\n",
        "path,label,,\na.png,x,,\n,,,\n",
        "\n".join(["path;label;", "a.png;x;", ";;"]),
    ],
)
def test_what_excel_adds(text: str, folder: Path) -> None:
    assert csv(folder, text) == (Image("a.png", folder / "a.png", "x"),)


def test_paths_of_windows(folder: Path) -> None:
    found = csv(folder, "path,label\nin\\c.png,x\n.\\a.png,y\n")
    assert [(image.id, image.path) for image in found] == [
        ("in/c.png", folder / "in/c.png"),
        ("./a.png", folder / "a.png"),
    ]


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("n02108422|n02108551", ("n02108422", "n02108551")),
        ("n02108422;n02108551", ("n02108422", "n02108551")),
        ("n02108422 n02108551", ("n02108422", "n02108551")),
        ("243 | 7", ("243", "7")),
        ("243 7", ("243", "7")),
        ("['n02108422', 'n02108551']", ("n02108422", "n02108551")),
        ("[243, 7]", ("243", "7")),
        ("golden retriever", ("golden retriever",)),
        ("golden retriever; bull mastiff", ("golden retriever", "bull mastiff")),
        ("", ()),
    ],
)
def test_several_accepted_labels(cell: str, labels: tuple[str, ...], folder: Path) -> None:
    (image,) = csv(folder, f'path,label,accepted\na.png,1,"{cell}"\n')
    assert image.accepted == labels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",path\ncat,a.png\ndog,b.png\n", "m.csv: column 1 has no name, and is no index; name it"),
        (",path\n1,a.png\n1,b.png\n", "m.csv: column 1 has no name, and is no index; name it"),
        ("path,,label\na.png,1,x\n", 'm.csv: unknown column ""'),
        ("path;label\na.png;x;y\n", "line 2: 3 values for the 2 columns path, label; quote a"),
        ("p\0a\0t\0h\0\n\0", "m.csv: holds zero bytes; save it as UTF-8"),
    ],
)
def test_what_is_refused_still(text: str, message: str, folder: Path) -> None:
    with pytest.raises(UserError, match=message):
        csv(folder, text)


def test_a_broken_utf16(folder: Path) -> None:
    (folder / "m.csv").write_bytes("\ufeffpath\n".encode("utf-16-le")[:-1])
    with pytest.raises(UserError, match=r"m\.csv: not UTF-16 .*; save it as UTF-8"):
        load("m.csv", folder)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "a.png,cat,",
            r'm\.csv: line 2, column "label", label "cat" could mean|"cat" is not a class',
        ),
        (
            "a.png,n02108422,nosuch",
            r'm\.csv: line 2, column "accepted", label "nosuch" is not a class',
        ),
        ("a.png,1000,", r"line 2, column .label., label .1000. is outside .*seem to count from 1"),
    ],
)
def test_a_label_that_is_no_class_names_line_and_column(
    row: str, message: str, folder: Path
) -> None:
    csv(folder, f"path,label,accepted\n{row}\n")
    with pytest.raises(UserError, match=message):
        targets(load("m.csv", folder), class_map("imagenet", Path()))
