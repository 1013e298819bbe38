"""The suite of the README, as it is printed, in a folder that holds nothing else."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.inner import warm
from vision_evals import log

README = [ROOT / "README.md"]


def furnish(folder: Path) -> None:
    (suite,) = blocks("toml", pages=README)
    (folder / "first.toml").write_text(suite.text, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("whole_run")
def test_the_suite_runs_in_an_empty_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert warm(tmp_path, furnish, "first.toml") == 0
    run = log.read(tmp_path / "runs" / "latest")
    assert [item.verdict for item in run.items] == [log.Verdict.PASSED] * 2
    assert run.items[0].metrics[0].value == 17 / 20
    assert (tmp_path / "runs" / "latest" / "report.html").is_file()
    (snippet,) = blocks("python", pages=README)
    capsys.readouterr()
    with contextlib.chdir(tmp_path):
        exec(compile(snippet.text, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "top1_accuracy" in printed
    assert "0.85" in printed
