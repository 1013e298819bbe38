"""Plugins that run a failed test again: a verdict stays what it was, and nothing breaks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.inner import last_run, warm
from tests.project import CLASSES, NETS, SUITE, card, pictures, write
from vision_evals import log
from vision_evals.engine.session import Session
from vision_evals.log import Verdict
from vision_evals.verdict.job import Job

pytest_plugins = ("pytester",)

WITHOUT = [f"-pno:{name}" for name in ("pytest-retry", "rerunfailures", "flaky")]

FAILING = SUITE.replace("at_least = 0.9", "at_most = 0.1")

COUNTED = """
from pathlib import Path
from vision_evals.engine.session import Session
judge = Session.judge

def counted(session, job):
    with Path("judged").open("a") as file:
        file.write(job.id + "\\n")
    return judge(session, job)

Session.judge = counted
"""
"""A conftest that counts how often a check is judged."""

AS_RERUNFAILURES = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for last in (False, False, True):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        failed = any(report.failed for report in reports)
        for report in reports:
            if failed and not last and report.failed:
                report.outcome = "rerun"
            item.ihook.pytest_runtest_logreport(report=report)
        if not failed:
            break
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True

def pytest_report_teststatus(report):
    return ("rerun", "R", "RERUN") if report.outcome == "rerun" else None
"""

AS_RETRY = """
import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when != "call" or not report.failed:
        return report
    ihook = item.ihook
    for _ in range(2):
        fake = pytest.Class.from_parent(item.session, name="Fake")
        ihook.pytest_runtest_teardown(item=item, nextitem=fake)
        item._initrequest()
        pytest.CallInfo.from_call(lambda: ihook.pytest_runtest_setup(item=item), when="setup")
        again = pytest.CallInfo.from_call(lambda: ihook.pytest_runtest_call(item=item), when="call")
        retried = pytest.TestReport.from_item_and_call(item, again)
        report.outcome, report.longrepr = retried.outcome, retried.longrepr
    return report
"""


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert warm(tmp_path_factory.mktemp("warm"), furnish, "colors.toml", *WITHOUT) == 1


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    furnish(pytester.path)
    return pytester


def furnish(folder: Path) -> None:
    cards = '[tool.evals]\nrun_dir = "runs"\n' + card("color", "retried_nets:Color")
    files = {"pyproject.toml": cards, "retried_nets.py": NETS, "classes.txt": CLASSES}
    write(folder, {**files, "colors.toml": FAILING})
    pictures(folder / "pictures", 2, (16, 16))


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the checks that were judged, each as often as it was."""
    ids: list[str] = []
    judge = Session.judge

    def counted(session: Session, job: Job) -> log.Item:
        ids.append(job.id)
        return judge(session, job)

    monkeypatch.setattr(Session, "judge", counted)
    return ids


def hold(project: pytest.Pytester, result: pytest.RunResult, judged: list[str]) -> None:
    """Hold what is right after any number of retries of a failing check."""
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == 1
    assert "passed" not in outcomes
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    result.stdout.fnmatch_lines(["*at most 0.1 wanted: top1_accuracy*"])
    (item,) = last_run(project).items
    assert item.verdict is Verdict.FAILED
    assert judged == [item.id]


@pytest.mark.parametrize("plugin", [AS_RERUNFAILURES, AS_RETRY])
def test_what_such_plugins_do(project: pytest.Pytester, judged: list[str], plugin: str) -> None:
    project.makeconftest(plugin)
    hold(project, project.runpytest("colors.toml", *WITHOUT), judged)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("pytest_retry", ["--retries=2"]),
        ("pytest_rerunfailures", ["--reruns=2"]),
        ("flaky", ["--force-flaky", "--max-runs=3"]),
    ],
)
def test_the_plugins_themselves(
    project: pytest.Pytester, module: str, arguments: list[str]
) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed; the test above does what it does")
    project.makeconftest(COUNTED)
    # they keep global state, so that one process cannot run pytest within pytest
    result = project.runpytest_subprocess("colors.toml", *arguments)
    hold(project, result, project.path.joinpath("judged").read_text().splitlines())
