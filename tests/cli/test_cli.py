"""``evals``: every command, as a process would call it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.project import NETS
from vision_evals import __version__, log
from vision_evals.cli import main

CARDS = """
[models.color]
network = "command_line_nets:Color"
classes = "classes.txt"
input = { resize = 16, crop = 16, mean = [0, 0, 0], std = [1, 1, 1] }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "command_line_nets.py").write_text(NETS, encoding="utf-8")
    (tmp_path / "cards.toml").write_text(CARDS, encoding="utf-8")
    (tmp_path / "classes.txt").write_text("red\n[green]\nblue\n", encoding="utf-8")
    Image.new("RGB", (20, 20), (255, 0, 0)).save(tmp_path / "a.png")
    Image.new("RGB", (20, 20), (0, 255, 0)).save(tmp_path / "b.png")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    yield tmp_path
    sys.modules.pop("command_line_nets", None)


def run(folder: Path, *arguments: str) -> int:
    with contextlib.chdir(folder):
        return main(arguments)


def test_predict_prints_confidence_bars_and_names(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "predict", "a.png", "b.png", "--model=color", "--cards=cards.toml") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["a.png"]
    assert lines[1] == ["color"]
    assert (lines[2][0], lines[2][-1]) == ("100.0%", "red")
    assert ["b.png"] in lines
    assert lines[lines.index(["b.png"]) + 2][-1] == "[green]"  # no markup


def test_predict_shows_the_rest_and_names_what_it_cannot_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "predict", "bad.png", "a.png", "--model=color", "--cards=cards.toml") == 1
    captured = capsys.readouterr()
    assert "red" in captured.out
    assert "\nevals: bad.png: not a picture" in captured.err
    assert "bad.png" in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "none.png", "--model=color"], "none.png"),
        (["predict", "a.png", "--model=colour"], 'did you mean "color"'),
        (
            ["predict", "a.png", "--model=color", "--device=gpu"],
            'no kind of device "gpu"; available: cpu',
        ),
        (["predict", "a.png", "--model=color", "--cards=no.toml"], "no.toml"),
    ],
)
def test_mistakes_are_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    cards = [] if any("cards" in argument for argument in arguments) else ["--cards=cards.toml"]
    assert run(folder, *arguments, *cards) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_predict_of_a_packaged_network_is_the_lectures_first_demonstration(
    photographs: tuple[Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "predict", str(photographs[0]), "--model=efficientnet_lite0") == 0
    assert "bull mastiff" in capsys.readouterr().out


def test_models_lists_packaged_own_and_published(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "models", "color", "efficientnet_lite0", "vgg11", "--cards=cards.toml") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "here", "top-1", "top-5", "input"]
    named = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert named["color"][1] == named["efficientnet_lite0"][1] == "yes"
    assert named["vgg11"][2:4] == ["69.0%", "88.6%"]


def test_models_that_do_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "models", "resnet9000") == 1
    assert "no classifier's name contains resnet9000" in capsys.readouterr().err


def test_suites_prints_where_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "suites") == 0
    assert (Path(capsys.readouterr().out.strip()) / "accuracy.toml").is_file()


def test_schema_is_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "schema") == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"


def test_schema_of_a_suite_is_the_default_and_run_json_has_one_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "schema") == 0
    suite = capsys.readouterr().out
    assert run(tmp_path, "schema", "suite") == 0
    assert capsys.readouterr().out == suite
    assert run(tmp_path, "schema", "run") == 0
    assert json.loads(capsys.readouterr().out) == log.json_schema()
    assert set(log.json_schema()["properties"]) == set(log.Run.model_fields)


def old_run(directory: Path) -> Path:
    run = log.Run(
        id=directory.name,
        status="finished",
        started="2026-01-01T00:00:00+00:00",
        command="pytest suites/",
        settings=log.Settings(device="cpu", device_name="cpu", batch_size=1),
        environment=log.Environment(versions={}, platform="Linux", threads=1),
    )
    directory.mkdir(exist_ok=True)
    log.write(run, directory)
    return directory


def test_report_renders_an_old_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old_run(tmp_path)
    assert run(tmp_path, "report", str(tmp_path)) == 0
    assert Path(capsys.readouterr().out.strip()).read_text(encoding="utf-8").startswith("<!")
    assert run(tmp_path, "report", str(tmp_path / "none")) == 1
    assert "no such run" in capsys.readouterr().err


def test_report_renders_several_runs_each_into_its_own_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c", "read-only"):
        old_run(tmp_path / name)
    (tmp_path / "b" / "run.json").write_text("{", encoding="utf-8")
    (tmp_path / "read-only" / "report.html").mkdir()
    (tmp_path / "read-only" / "report.html" / "kept").touch()
    assert run(tmp_path, "report", "a", "b", "read-only", "none", "c/run.json") == 1
    said = capsys.readouterr()
    assert said.out.split() == ["a/report.html", "c/report.html"]
    lines = said.err.splitlines()
    assert len(lines) == 3, "a line each"
    assert lines[0].startswith("evals: b/run.json: not a readable run log: ")
    assert lines[1].startswith("evals: read-only")
    assert "cannot be written" in lines[1]
    assert lines[2].startswith("evals: none: no such run")
    for name in ("a", "c"):
        assert name in (tmp_path / name / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["--out", "--evals-report-dir"])
def test_one_place_is_for_one_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    for name in ("a", "b"):
        old_run(tmp_path / name)
    assert run(tmp_path, "report", "a", "b", option, "here") == 1
    assert f"evals: {option}: for one run only; leave it out" in capsys.readouterr().err
    assert not (tmp_path / "here").exists()
    assert run(tmp_path, "report", "a", option, "here") == 0
    assert (tmp_path / "here").exists()


def test_reports_in_templates_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        old_run(tmp_path / name)
    own = tmp_path / "own"
    own.mkdir()
    (own / "glossary.html.jinja").write_text("<p>House words</p>", encoding="utf-8")
    (own / "glosary.html.jinja").touch()
    assert run(tmp_path, "report", "a", "--evals-templates", "own") == 0
    assert "<p>House words</p>" in (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert 'did you mean "glossary.html.jinja"' in capsys.readouterr().err
    (tmp_path / "pyproject.toml").write_text('[tool.evals]\ntemplates = "own"\n')
    assert run(tmp_path, "report", "b") == 0
    assert "<p>House words</p>" in (tmp_path / "b" / "report.html").read_text(encoding="utf-8")
    (own / "glossary.html.jinja").write_text("\n{{ nothing }}", encoding="utf-8")
    capsys.readouterr()
    assert run(tmp_path, "report", "a", "b") == 1
    lines = capsys.readouterr().err.splitlines()[1:]
    assert [line.partition(" ")[2].partition(":")[0] for line in lines] == ["a", "b"]
    assert all("glossary.html.jinja:2: 'nothing' is undefined" in line for line in lines)
    (own / "glossary.html.jinja").write_text("{% if %}", encoding="utf-8")
    for command in (["report", "a"], ["compare", "a", "b"], ["serve", ".", "--port", "0"]):
        assert run(tmp_path, *command) == 1
        assert "glossary.html.jinja:1: Expected an expression" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"vision-evals {__version__}\n"
