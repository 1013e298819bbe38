"""``evals finished`` and ``evals accept`` by the id of a run, and ``--evals-run-id``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from tests.inner import run as run_pytest
from tests.project import CLASSES, NETS, SUITE, card, pictures, write
from tests.small_run import made
from vision_evals import log
from vision_evals.cli import main
from vision_evals.core.paths import run_name

pytest_plugins = ("pytester",)


def run(folder: Path, *arguments: str) -> int:
    with contextlib.chdir(folder):
        return main(arguments)


def a_run(folder: Path, name: str, **change: Any) -> log.Run:
    """Write a run of four planned checks, changed as wanted."""
    directory = folder / "runs" / name
    whole = made(directory)
    whole = whole.model_copy(update={"selected": tuple(item.id for item in whole.items), **change})
    log.write(whole, directory)
    return whole


def test_a_whole_run_is_finished_even_if_it_is_red(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(tmp_path, "7-1")
    for name in ("7-1", "runs/7-1", "runs/7-1/run.json"):
        assert run(tmp_path, "finished", name) == 0
        assert "finished, 1 failed" in capsys.readouterr().out
    (tmp_path / "runs/latest").symlink_to("7-1")
    assert run(tmp_path, "finished", "latest") == 0
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "runs").rename(elsewhere)
    assert run(tmp_path, "finished", "7-1") == 1
    assert run(tmp_path, "finished", "7-1", "--run-dir", "elsewhere") == 0
    (tmp_path / "pyproject.toml").write_text('[tool.evals]\nrun-dir = "elsewhere"\n', "utf-8")
    assert run(tmp_path, "finished", "7-1") == 0


SETTINGS = log.Settings(device="cpu", device_name="cpu", batch_size=4, shard="2/8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": "running"}, "running; it still runs, or was killed, and 4 of 4 selected"),
        ({"status": "interrupted"}, "interrupted; it was interrupted, and 4 of 4 selected checks"),
        ({"items": ()}, "without 4 checks, first suites/a.toml::colors[one]; 0 of 4"),
        ({"not_run": ("suites/b.toml::gone[two]",)}, "without 1 check, first suites/b.toml::gone"),
        ({"selected": (), "items": ()}, "without any check: none was selected"),
        ({"settings": SETTINGS}, "part 2/8 of a run; join the parts with `evals merge`"),
    ],
)
@pytest.mark.parametrize("command", ["finished", "accept"])
def test_any_other_is_not_and_the_sentence_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any, said: str, command: str
) -> None:
    a_run(tmp_path, "7-1", **change)
    assert run(tmp_path, command, "7-1") == 1
    error = capsys.readouterr().err
    assert f"7-1: {said}" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "baseline").exists()


@pytest.mark.parametrize("name", ["7-2", "latest", "../runs", "", "\x1b[2J", "a\0b", "runs"])
def test_an_unknown_one_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    a_run(tmp_path, "7-1")
    assert run(tmp_path, "finished", name) == 1
    error = capsys.readouterr().err
    assert "no such run" in error
    assert "\x1b" not in error
    if name == "7-2":
        assert "no such run in " in error
        assert 'did you mean "7-1"?' in error


def test_a_damaged_log_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_run(tmp_path, "7-1")
    (tmp_path / "runs/7-1/run.json").write_text("{", "utf-8")
    assert run(tmp_path, "finished", "7-1") == 1
    assert "not a readable run log" in capsys.readouterr().err


def test_accept_takes_the_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_run(tmp_path, "7-1")
    assert run(tmp_path, "accept", "7-1") == 1
    assert "did not pass" in capsys.readouterr().err
    assert run(tmp_path, "accept", "7-1", "--force", "--to", "kept") == 0
    assert log.read(tmp_path / "kept").id == "7-1"


# --evals-run-id


def project(folder: Path) -> None:
    write(folder, {"nets.py": NETS, "classes.txt": CLASSES, "colors.toml": SUITE,
                   "pyproject.toml": card("color", "nets:Color")})  # fmt: skip
    pictures(folder / "pictures", 4, (16, 16))


def test_a_run_has_the_name_that_it_was_given_once(tmp_path: Path) -> None:
    project(tmp_path)
    done = run_pytest(tmp_path, "colors.toml", "--evals-run-id=7-1")
    assert done.code == 0, done.out
    assert log.read(tmp_path / "runs" / "7-1").id == "7-1"
    assert (tmp_path / "runs" / "latest").resolve().name == "7-1"
    assert run(tmp_path, "finished", "7-1") == 0
    before = (tmp_path / "runs/7-1/run.json").read_bytes()
    again = run_pytest(tmp_path, "colors.toml", "--evals-run-id=7-1")
    assert again.code == 4
    assert "--evals-run-id 7-1: " in again.err + again.out
    assert "has a run of this name; name another" in again.err + again.out
    assert (tmp_path / "runs/7-1/run.json").read_bytes() == before


@pytest.mark.slow
def test_so_it_has_with_workers(pytester: pytest.Pytester) -> None:
    project(pytester.path)
    arguments = ("colors.toml", "-n", "2", "-p", "no:cacheprovider", "--evals-run-id=7-1")
    done = pytester.runpytest_subprocess(*arguments)
    assert done.ret == 0
    assert log.read(pytester.path / "runs" / "7-1").id == "7-1"
    assert run(pytester.path, "finished", "7-1") == 0
    again = pytester.runpytest_subprocess(*arguments)
    assert again.ret == 4
    again.stderr.fnmatch_lines(["*--evals-run-id 7-1: *has a run of this name*"])


@pytest.mark.parametrize("name", ["", "a/b", "..", ".x", "-x", "latest", "a b", "x" * 101, "é"])
def test_a_name_is_one_folder(name: str) -> None:
    with pytest.raises(ValueError, match="must be a name of at most 100 letters"):
        run_name(name)


@pytest.mark.parametrize("name", ["7-1", "20260101T000000-ab12", "_", "x" * 100, "a..b"])
def test_other_names_are_as_they_are(name: str) -> None:
    assert run_name(name) == name


def test_a_wrong_name_is_refused_before_anything_runs(tmp_path: Path) -> None:
    project(tmp_path)
    done = run_pytest(tmp_path, "colors.toml", "--evals-run-id=../x")
    assert done.code == 4
    assert "run_id = '../x': must be a name of at most 100 letters" in done.err
    assert not (tmp_path / "runs").exists()
