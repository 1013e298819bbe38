"""``evals export``: what other programs read equals the frames, to the last digit."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pandas as pd
import pytest

from tests.small_run import CLASSES, IMAGES, made
from vision_evals import Run, read
from vision_evals.cli import main

Out = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made(tmp_path / "first")
    return read(tmp_path / "first")


def printed(capsys: Out, *words: str) -> str:
    assert main(["export", *words]) == 0
    return capsys.readouterr().out


def refused(capsys: Out, *words: str) -> str:
    assert main(["export", *words]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_metrics_go_to_the_screen_as_csv(run: Run, capsys: Out) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(capsys, str(run.path)))))
    frame = run.metrics
    assert list(rows[0]) == list(frame)
    values = [float(row["value"]) if row["value"] else None for row in rows]
    assert values == [None if math.isnan(v) else v for v in frame["value"]]
    assert [row["n"] for row in rows] == ["" if pd.isna(n) else str(n) for n in frame["n"]]
    assert json.loads(rows[4]["spread"]) == [0.2, 0.25, 0.3]


def test_rows_come_back_from_csv_and_json_as_they_are(run: Run, capsys: Out) -> None:
    words = (str(run.path), "--check", "colors", "--model", "one", "--out", "-")
    table, frame = csv.DictReader(io.StringIO(printed(capsys, *words))), run.rows("colors", "one")
    rows, records = list(table), json.loads(printed(capsys, *words, "--json"))
    assert [row["image"] for row in rows] == [row["image"] for row in records] == list(IMAGES)
    assert [json.loads(row["top5_names"]) for row in rows] == frame["top5_names"].tolist()
    assert [row["label_name"] for row in rows] == [CLASSES[i] for i in (0, 1, 2, 0)]
    numbers = [None if math.isnan(v) else v for v in frame["confidence"]]
    assert [row["confidence"] for row in records] == numbers
    assert [float(row["confidence"]) if row["confidence"] else None for row in rows] == numbers
    assert [row["correct1"] for row in records] == [True, True, False, False]


@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_a_folder_receives_every_table(run: Run, capsys: Out, tmp_path: Path, form: str) -> None:
    names = printed(capsys, str(run.path), f"--{form}", "--out", str(tmp_path / "out")).split()
    stems = ["metrics", "images", "rows/a-colors-one", "rows/a-colors-two", "rows/b-gone-two"]
    assert names == [str(tmp_path / "out" / f"{stem}.{form}") for stem in stems]
    assert all(Path(name).stat().st_size for name in names)
    if form == "parquet":
        again = pd.read_parquet(names[0])
        pd.testing.assert_frame_equal(
            again.drop(columns="spread"), run.metrics.drop(columns="spread")
        )
        rows, frame = pd.read_parquet(names[2]), run.rows("colors", "one")
        assert [list(x) for x in rows["top5_names"]] == frame["top5_names"].tolist()
        assert rows["confidence"].equals(frame["confidence"])


def test_a_file_receives_one_table_by_its_name(run: Run, capsys: Out, tmp_path: Path) -> None:
    for form in ("csv", "parquet", "json"):
        file = tmp_path / f"images.{form}"
        said = printed(capsys, str(run.path), "--table", "images", "--out", str(file))
        assert said == f"{file}\n"
    assert len(json.loads((tmp_path / "images.json").read_text("utf-8"))) == 5
    assert pd.read_csv(tmp_path / "images.csv")["image"].tolist() == run.images["image"].tolist()
    assert len(pd.read_parquet(tmp_path / "images.parquet")) == 5


def test_what_does_not_go_is_said(run: Run, capsys: Out, tmp_path: Path) -> None:
    here = str(run.path)
    assert "name a file or a folder" in refused(capsys, here, "--parquet")
    assert "its name says csv" in refused(capsys, here, "--json", "--out", str(tmp_path / "a.csv"))
    assert "rows of 2 checks do not fit" in refused(capsys, here, "--table", "rows")
    assert "name the check, too" in refused(capsys, here, "--model", "one")
    assert "leave it out" in refused(capsys, here, "--table", "metrics", "--check", "colors")
    assert 'there is no check "colours"' in refused(capsys, here, "--check", "colours")
    assert "no such run" in refused(capsys, str(tmp_path / "nowhere"))
    (tmp_path / "full").write_text("a file", encoding="utf-8")
    assert "evals: " in refused(capsys, here, "--out", str(tmp_path / "full"))
    with pytest.raises(SystemExit):
        main(["export", here, "--csv", "--json"])


def test_names_from_a_hostile_log_stay_in_the_folder(run: Run, capsys: Out, tmp_path: Path) -> None:
    from vision_evals import log

    names = ("../../x", "..", "/etc", "a\nb", "A\nB")
    items = tuple(run.items[0].model_copy(update={"check": n, "suite": "../s.toml"}) for n in names)
    log.write(run.log.model_copy(update={"items": items}), run.path)
    out = tmp_path / "deep" / "out"
    printed(capsys, str(run.path), "--table", "rows", "--out", str(out))
    files = list(tmp_path.rglob("*.csv"))
    assert len(files) == len(names)
    assert {file.parent for file in files} == {out / "rows"}
