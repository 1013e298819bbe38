"""Logs, baselines and settings of older versions: each is read, or one sentence says what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from vision_evals import log
from vision_evals.cli import main
from vision_evals.cli.serve.folder import Folder

FIXTURES = Path(__file__).parents[1] / "log_fixtures"
NAMES = ("gate", "photographs", "recipes")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs of the format before this one, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        shutil.copytree(FIXTURES / name, tmp_path / "runs" / name)
        text = (tmp_path / "runs" / name / "run.json").read_text("utf-8")
        assert json.loads(text)["version"] < log.VERSION
    return tmp_path / "runs"


@pytest.mark.parametrize("name", NAMES)
def test_every_table_of_an_older_run_is_exported(
    runs: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(runs / name), "--out", "tables"]) == 0
    files = capsys.readouterr().out.split()
    assert files[:2] == ["tables/metrics.csv", "tables/images.csv"]
    stored = [item for item in log.read(runs / name).items if item.table is not None]
    assert len(files) == 2 + len(stored)


def test_an_older_run_is_compared_with_itself(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(runs / "gate"), str(runs / "gate")]) == 0
    lines = capsys.readouterr().out
    assert "not compared" not in lines
    assert "0 of 120 images turned wrong" in lines
    assert Path("compare.html").is_file()


def test_an_older_run_is_accepted_as_a_baseline_and_stays_one(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["accept", str(runs / "recipes"), "--force"]) == 0
    assert "name it with --evals-baseline baseline" in capsys.readouterr().out
    assert log.read(Path("baseline")).items == log.read(runs / "recipes").items


def test_older_runs_stand_in_the_list_of_a_folder(runs: Path) -> None:
    entries = Folder(runs).entries()
    assert {entry.name for entry in entries} == set(NAMES)
    assert not any(entry.broken for entry in entries)


def test_the_format_before_the_first_and_one_of_the_future_are_one_sentence(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = runs / "gate" / "run.json"
    data = json.loads(file.read_text("utf-8"))
    for version, sentence in (
        (0, "not a run log: version: Input should be greater than or equal to 1"),
        (log.VERSION + 1, f"this version reads up to {log.VERSION}; upgrade vision-evals"),
    ):
        file.write_text(json.dumps(data | {"version": version}), "utf-8")
        for command in (["report"], ["export"], ["accept", "--force"]):
            assert main([*command, str(runs / "gate")]) == 1
            (line,) = capsys.readouterr().err.splitlines()
            assert line.endswith(sentence), line


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("thorough = true", '[tool.evals]: unknown key "thorough"; known are '),
        ("batch-size = 4\nreport-dir = 'pages'", ""),
    ],
)
def test_an_older_table_of_settings_is_read_or_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    written: str,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text(f"[tool.evals]\n{written}\n", "utf-8")
    assert main(["cache"]) == bool(sentence)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == bool(sentence)
    assert all(sentence in line for line in lines), lines
