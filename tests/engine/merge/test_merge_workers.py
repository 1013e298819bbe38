"""Real processes of pytest-xdist on tiny networks: one log, and that of a sequential run."""

from __future__ import annotations

import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.forked import forked_python
from tests.inner import last_run
from vision_evals import log
from vision_evals.engine.merge.workers import gather, write_unfinished_log
from vision_evals.log import Verdict

pytest_plugins = ("pytester",)

Furnish = Callable[[Path], None]
Facts = Callable[[log.Run], dict[str, Any]]


@pytest.fixture
def project(
    pytester: pytest.Pytester, furnish: Furnish, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    furnish(pytester.path)
    monkeypatch.setattr(sys, "executable", forked_python())  # what xdist starts its processes with
    return pytester


@pytest.mark.slow
@pytest.mark.usefixtures("whole_run")
def test_one_log_equal_to_the_sequential_run(project: pytest.Pytester, facts: Facts) -> None:
    alone = project.runpytest("all.toml")
    first = last_run(project)
    result = project.runpytest("all.toml", "-n", "2", "-v")
    second = last_run(project)
    assert first.id != second.id
    assert second.status == "finished"
    assert len(second.items) == len(second.selected) == 12
    assert facts(second) == facts(first)
    assert {item.verdict for item in first.items} > {Verdict.PASSED, Verdict.FAILED}
    assert result.ret == alone.ret == 1
    assert result.parseoutcomes() == alone.parseoutcomes()
    for item in first.items:
        tables = [pd.read_parquet(project.path / "runs" / r.id / str(item.table))
                  for r in (first, second)]  # fmt: skip
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    # one table, one log and one report, printed once
    assert [r.stdout.str().count(" vision networks ") for r in (alone, result)] == [1, 1]
    assert result.stdout.str().count("report: ") == 1
    assert "Captured" not in result.stdout.str()
    folders = [{f.relative_to(d) for f in d.rglob("*")}
               for d in (project.path / "runs" / r.id for r in (first, second))]  # fmt: skip
    assert folders[0] == folders[1]
    assert Path("report.html") in folders[1]
    # the log of a classifier's items names one process
    words = [
        line.split() for line in result.stdout.lines if line.startswith("[gw") and "::" in line
    ]
    where = defaultdict(set)
    for line in words:
        where[line[-1].partition("[")[2]].add(line[0])
    assert len(where) == 3
    assert all(len(processes) == 1 for processes in where.values())
    assert len(set().union(*where.values())) == 2


SPY = """
import json
from pathlib import Path
import pytest

@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    if hasattr(report, "node") and report.when == "teardown":
        (file,) = Path("runs").glob("2*/run.json")
        run = json.loads(file.read_text())
        with Path("seen.txt").open("a") as seen:
            seen.write(f"{run['status']} {len(run['items']) > 0} {len(run['selected'])}\\n")
"""


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_a_readable_log(project: pytest.Pytester) -> None:
    project.makeconftest(SPY)
    project.runpytest("all.toml", "-n", "1", "-k", "right and one")
    assert project.path.joinpath("seen.txt").read_text("utf-8").splitlines() == ["running True 1"]
    run = last_run(project)
    # as it lies while processes run
    folder = project.path / "killed"
    shutil.copytree(project.path / "runs" / run.id, folder / "parts" / "gw0")
    write_unfinished_log(folder, "pytest -n 1")
    seen = log.read(folder)
    assert seen.status == "running"
    assert [item.id for item in seen.items] == [item.id for item in run.items]
    assert all((folder / str(item.table)).is_file() for item in seen.items)
    assert all((folder / p.file).is_file() for item in seen.items for p in item.pictures)
    gathered = gather(folder, "pytest -n 1", interrupted=True)
    assert gathered is not None
    assert gathered.log.status == "interrupted"
    assert all((folder / p.file).is_file() for item in gathered.log.items for p in item.pictures)


@pytest.mark.slow
def test_a_process_that_dies_loses_its_own_item(project: pytest.Pytester) -> None:
    suite = project.path / "all.toml"
    suite.write_text(suite.read_text("utf-8").replace("16/255", "1/2"), encoding="utf-8")
    models = [f"--evals-model={name}" for name in ("one", "bomb")]
    result = project.runpytest("all.toml", "-n", "2", *models)
    run = last_run(project)
    assert result.ret == 1
    assert run.status == "interrupted"
    # the first item of a classifier waits for a pass that serves all of them; then each for its own
    assert run.not_run == ("all.toml::right[bomb]", "all.toml::attack[bomb]")
    assert {item.id for item in run.items} == {*run.selected} - {*run.not_run}
    verdicts = {item.id: item.verdict for item in run.items}
    assert verdicts["all.toml::alike[bomb]"] is Verdict.PASSED
    assert len(run.selected) == 8
    assert any("died" in warning for warning in run.warnings)
    kept = {item.id: item for item in run.items}["all.toml::alike[one]"]
    agreement = {metric.name: metric for metric in kept.metrics}["agreement"]
    assert agreement.value is not None  # of a network that died elsewhere
    assert not (project.path / "runs" / run.id / "parts").exists()
    result.stdout.fnmatch_lines(["*2 selected checks did not run*"])


@pytest.mark.slow
def test_selecting_stopping_and_repeating(project: pytest.Pytester) -> None:
    result = project.runpytest("all.toml", "-n", "2", "-k", "right or dead")
    result.assert_outcomes(passed=5, failed=1)
    assert len(last_run(project).items) == 6
    result = project.runpytest("all.toml", "-n2", "--lf", "-k", "right or dead")
    result.assert_outcomes(failed=1)
    assert [item.id for item in last_run(project).items] == ["all.toml::right[one]"]
    result = project.runpytest("all.toml", "-n", "1", "-x", "-k", "one")
    run = last_run(project)
    assert result.ret == 2  # as xdist stops
    assert run.status == "interrupted"
    assert [item.id for item in run.items] == ["all.toml::right[one]"]
    assert len(run.not_run) == 3


@pytest.mark.slow
def test_nothing_judged_is_exit_code_5(project: pytest.Pytester) -> None:
    result = project.runpytest("all.toml", "-n", "1", "-k", "dead and one")
    result.assert_outcomes(passed=1)
    assert result.ret == 5


@pytest.mark.slow
def test_what_no_process_can_begin_with_is_said(project: pytest.Pytester) -> None:
    project.path.joinpath("runs").write_text("a file", encoding="utf-8")
    result = project.runpytest("all.toml", "-n", "1", "-k", "one")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["*--evals-run-dir*cannot be written*"])
    assert "Traceback" not in result.stdout.str()


def test_other_projects_keep_their_scheduler(pytester: pytest.Pytester) -> None:
    test = "import pytest\n@pytest.mark.parametrize('n', range(8))\ndef test_it(n): pass\n"
    pytester.makepyfile(test)
    result = pytester.runpytest("-n", "2", "-v")
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(["scheduling tests via LoadScheduling"])
    assert not (pytester.path / "runs").exists()


def test_nothing_to_gather(tmp_path: Path) -> None:
    assert gather(tmp_path, "pytest", interrupted=False) is None
