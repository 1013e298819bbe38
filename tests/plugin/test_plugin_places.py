"""Places that cannot be written, disks that are full: readable, and never an unearned pass."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.inner import last_run, warm
from tests.project import CLASSES, NETS, SUITE, card, pictures, write
from tests.small_run import item, made
from vision_evals import log
from vision_evals.cli import main
from vision_evals.core.errors import UserError
from vision_evals.core.paths import whole_file
from vision_evals.engine.run_log import RunLog
from vision_evals.log import Verdict, disk

pytest_plugins = ("pytester",)

Fill = Callable[[int, int], None]

SPACE = "free some space, or name another place with --evals-"


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert warm(tmp_path_factory.mktemp("warm"), furnish, "colors.toml") == 0


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    furnish(pytester.path)
    return pytester


def furnish(folder: Path) -> None:
    cards = '[tool.evals]\nrun_dir = "runs"\n' + card("color", "placed_nets:Color")
    files = {"pyproject.toml": cards, "placed_nets.py": NETS, "classes.txt": CLASSES}
    write(folder, {**files, "colors.toml": SUITE})
    pictures(folder / "pictures", 2, (16, 16))


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Fill:
    """Return a function that fills the disk for the Kth to the Lth writing of a log."""
    count = 0

    def fill(first: int, last: int) -> None:
        @contextlib.contextmanager
        def full(file: Path) -> Iterator[Path]:
            nonlocal count
            count += file.name == "run.json"
            if file.name == "run.json" and first <= count <= last:
                raise OSError(errno.ENOSPC, "No space left on device")
            with whole_file(file) as partial:
                yield partial

        monkeypatch.setattr(disk, "whole_file", full)

    return fill


def quiet(result: pytest.RunResult) -> str:
    """Return all that was printed; none of it may be a traceback."""
    text = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    return text


def test_a_run_directory_that_cannot_be_made_is_said_before_anything_is_measured(
    project: pytest.Pytester,
) -> None:
    (project.path / "runs").touch()  # as a folder without the right to write, also for root
    result = project.runpytest("colors.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "images/s" not in quiet(result)
    result.stderr.fnmatch_lines(["ERROR: --evals-run-dir */runs: cannot be written (*); name an*"])
    elsewhere = project.runpytest("colors.toml", "--evals-run-dir=elsewhere")
    elsewhere.assert_outcomes(passed=1)


def test_a_cache_without_space_costs_no_verdict(project: pytest.Pytester) -> None:
    (project.path / ".evals_cache").touch()
    result = project.runpytest("colors.toml")
    assert result.ret == 0
    quiet(result)
    result.stdout.fnmatch_lines(["*top1_accuracy*passed*", "*the cache takes nothing more*"])


def test_a_log_that_could_not_be_written_for_a_while_is_whole_in_the_end(
    project: pytest.Pytester, fill: Fill
) -> None:
    fill(2, 2)
    result = project.runpytest("colors.toml")
    assert result.ret == 0
    quiet(result)
    run = last_run(project)
    assert (run.status, [entry.verdict for entry in run.items]) == ("finished", [Verdict.PASSED])


def test_a_full_disk_costs_the_log_and_not_the_verdicts(
    project: pytest.Pytester, fill: Fill
) -> None:
    """They stand on the terminal; that nothing keeps them fails the run."""
    fill(2, 1000)
    result = project.runpytest("colors.toml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    quiet(result)
    result.stdout.fnmatch_lines(
        [
            "color*top1_accuracy*1.000*at least 0.9*passed*",
            f"warning: log or report could not be written: */run.json: cannot be written "
            f"(No space left on device); {SPACE}run-dir",
        ]
    )
    assert last_run(project).status == "running"
    assert last_run(project).items == ()


def test_a_worker_whose_log_cannot_be_written_fails_its_item(tmp_path: Path, fill: Fill) -> None:
    """The controller knows verdicts from the logs of its workers only."""
    run = made(tmp_path / "run")
    entry = item("suites/a.toml", "colors", "one", verdict=Verdict.PASSED)

    def run_log(worker: object) -> RunLog:
        resources = SimpleNamespace(records={}, remarks=())
        config = SimpleNamespace(directory=tmp_path / "run")
        passes: Any = SimpleNamespace(
            begun={}, resources=resources, jobs=(), config=config, worker=worker
        )
        return RunLog(run, passes, {}, 0.0)

    fill(1, 1000)
    alone = run_log(None)
    alone.record(entry)
    assert alone.run.items == (entry,)
    with pytest.raises(UserError, match="No space left on device"):
        run_log(object()).record(entry)


@pytest.mark.usefixtures("whole_run")
def test_a_report_without_space_names_itself_and_the_repair(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vision_evals import report

    def full(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write does: without a name

    monkeypatch.setattr(report, "write", full)
    result = project.runpytest("colors.toml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    quiet(result)
    result.stdout.fnmatch_lines(
        [
            "color*top1_accuracy*passed*",
            "warning: log or report could not be written: */report.html: cannot be written "
            f"(No space left on device); {SPACE}report",
        ]
    )
    assert last_run(project).items[0].verdict is Verdict.PASSED


def test_a_comparison_is_shown_also_where_its_page_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(tmp_path / "run")
    assert isinstance(run, log.Run)
    (tmp_path / "taken").mkdir()
    names = [f"{tmp_path / 'run'}:one", f"{tmp_path / 'run'}:two"]
    assert main(["compare", *names, "--out", str(tmp_path / "taken")]) == 1
    shown = capsys.readouterr()
    assert "top1_accuracy" in shown.out
    assert "page:" not in shown.out
    assert "the page cannot be written (Is a directory); name another file with --out" in shown.err


def test_weights_that_cannot_be_fetched_are_a_sentence(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(project.path / "nothing"))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # a network that never answers
    project.path.joinpath("own.toml").write_text(SUITE.replace("color", "alexnet"), "utf-8")
    result = project.runpytest("own.toml", "--evals-model=alexnet")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=1)
    quiet(result)
    result.stdout.fnmatch_lines(["alexnet-*.pth is not in *and cannot be downloaded*; copy the*"])
