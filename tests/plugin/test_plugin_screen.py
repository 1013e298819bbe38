"""What pytest's terminal shows of a run: progress, ten failures, other skips, the report last."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.inner import warm
from tests.plugin.test_plugin_hooks import furnish, write_suite
from tests.project import SUITE
from vision_evals.core import progress
from vision_evals.engine.publish import ReportPlaces
from vision_evals.plugin import finish, screen

pytest_plugins = ("pytester",)

HEAD, CHECK = SUITE[: SUITE.index("[[check]]")], SUITE[SUITE.index("[[check]]") :]


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert warm(tmp_path_factory.mktemp("warm"), furnish, "colors.toml") == 0


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    furnish(pytester.path)
    return pytester


def many(number: int, bound: float) -> str:
    check = CHECK.replace("0.9 }", f"{bound} }}")
    return HEAD + "".join(check.replace('"colors"', f'"colors-{k}"', 1) for k in range(number))


def count(result: pytest.RunResult, start: str) -> int:
    return sum(line.startswith(start) for line in result.stdout.lines)


def test_ten_failures_in_full_then_one_line_each(project: pytest.Pytester) -> None:
    write_suite(project, many(12, 0.95))
    project.makepyfile("def test_own(): assert 0")
    result = project.runpytest()
    result.assert_outcomes(failed=13)
    assert count(result, "FAILED: 0.9167") == 10
    assert count(result, "FAILED colors.toml::") == 12
    assert count(result, "color  ") == 12
    result.stdout.fnmatch_lines(
        ["*_ test_own _*", "2 more failed; -v shows them in full", "*= vision networks =*"]
    )
    whole = project.runpytest("-v", "colors.toml")
    assert count(whole, "FAILED: 0.9167") == 12
    whole.stdout.no_fnmatch_line("*more failed*")
    whole.stdout.fnmatch_lines([" *nll *recorded"])


def test_passed_expectations_of_a_long_suite_are_folded(project: pytest.Pytester) -> None:
    write_suite(project, many(40, 0.9))
    result = project.runpytest("colors.toml")
    result.assert_outcomes(passed=40)
    assert len(result.stdout.lines) <= 40
    result.stdout.fnmatch_lines(
        ["color*at least 0.9*passed, 39 more", "Of each suite, * -v shows all 40."]
    )
    assert count(project.runpytest("colors.toml", "-v"), "color  ") == 40


def test_only_networks_that_are_not_here_leave_the_list_of_skips(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(project.path / "torch"))
    networks = '["color", "alexnet", "vgg11"]'
    second = CHECK.replace('"colors"', '"bare"', 1).replace('"photographs"', '"unlabelled"')
    text = SUITE.replace('["color"]', networks) + second
    write_suite(project, text.replace("[images]", '[images]\nunlabelled = "pictures/red"'))
    project.makepyfile("import pytest\ndef test_own(): pytest.skip('for a reason')")
    result = project.runpytest("-ra")
    result.assert_outcomes(passed=1, skipped=6)
    assert [line for line in result.stdout.lines if line.startswith("SKIPPED")] == [
        "SKIPPED [1] colors.toml:13: not applicable: pictures/red has no labels, and accuracy "
        "needs them",
        "SKIPPED [1] test_only_networks_that_are_not_here_leave_the_list_of_skips.py:2: for a "
        "reason",
    ]
    result.stdout.fnmatch_lines(["alexnet, vgg11: weights not here, 2 checks each; *"])
    assert count(project.runpytest("-ra", "-v"), "SKIPPED") == 6


@pytest.mark.usefixtures("whole_run")
def test_the_report_comes_last_and_is_no_link_in_a_file(project: pytest.Pytester) -> None:
    write_suite(project, SUITE.replace("0.9 }", "0.95 }"))
    result = project.runpytest("colors.toml", "--color=yes")
    *_, failed, report, _ = [line for line in result.stdout.lines if line]
    assert "FAILED" in failed
    assert report.startswith("report: ")
    assert Path(report.removeprefix("report: ")).is_file()


def test_progress_stands_on_lines_of_its_own(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pass says a line, and pytest's own goes on below it with its file."""

    def talkative(write: Any, seconds: float = 0) -> progress.Progress:
        @contextlib.contextmanager
        def show(title: str, total: int, unit: str = "images") -> Iterator[progress.Advance]:
            def advance(n: int, message: str = "") -> None:
                if message:
                    write(message)

            yield advance

        return show

    monkeypatch.setattr(progress, "lines", talkative)
    said = "accuracy colors, color: image 12 of 12", "validity of accuracy colors, color"
    for capture, file in ("--capture=fd", "colors.toml "), ("-s", "colors.toml "), ("-q", ""):
        result = project.runpytest_inprocess("colors.toml", capture, "--evals-no-cache")
        head, lines = [file] if file else [], result.stdout.lines
        start = lines.index(said[0]) - len(head)
        assert lines[start : start + 2 * len(head) + 2] == [*head, said[0], *head, said[1]]
        assert lines[start + 2 * len(head) + 2].startswith(f"{file}.")


class Reporter:
    """As much of pytest's reporter as the progress of a controller needs."""

    def __init__(self, line: str) -> None:
        self.text = io.StringIO()
        self.config: Any = SimpleNamespace(
            stash=pytest.Stash(),
            get_terminal_writer=lambda: SimpleNamespace(_current_line=line),
        )
        self.isatty, self.hasmarkup = True, True

    def write(self, text: str, **_: bool) -> None:
        self.text.write(text)

    def write_line(self, text: str) -> None:
        self.text.write(f"{text}\n")


@pytest.mark.parametrize(("line", "expected"), [("..", "\nwork\n"), ("", "work\n")])
def test_a_line_between_dots_of_workers(line: str, expected: str) -> None:
    reporter: Any = Reporter(line)
    screen.write_between_dots(reporter, "work")
    assert reporter.text.getvalue() == expected


def test_a_controller_reads_what_its_workers_do(tmp_path: Path) -> None:
    (tmp_path / "gw0").mkdir()
    show = screen.progress_of_worker(tmp_path / "gw0")
    (tmp_path / "gw1.progress").write_text("net, seed 3 (1 of 5): epoch 2", encoding="utf-8")
    note = tmp_path / "gw0.progress"
    with show("photographs", 20) as advance:
        advance(0, "fgsm one-step, net: image 4 of 20")
        note.write_text("fgsm one-step, net: image 4 of 20", encoding="utf-8")
        assert screen.latest(tmp_path) == (
            "gw0 fgsm one-step, net: image 4 of 20; gw1 net, seed 3 (1 of 5): epoch 2"
        )
    assert screen.latest(tmp_path) == "gw1 net, seed 3 (1 of 5): epoch 2"
    assert screen.latest(tmp_path / "nowhere") == ""


@pytest.mark.parametrize(
    ("terminal", "markup", "ci", "linked"),
    [(True, True, "", True), (False, True, "", False), (True, False, "", False),
     (True, True, "true", False)],
)  # fmt: skip
def test_the_report_is_a_link_where_the_terminal_takes_links(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool, markup: bool, ci: str, linked: bool
) -> None:
    monkeypatch.setenv("CI", ci)
    reporter: Any = Reporter("")
    reporter.isatty, reporter.hasmarkup = terminal, markup
    page = Path("/runs/a b/report.html")
    reporter.config.stash[finish.REPORT] = ReportPlaces(page)
    screen.write_report(reporter)
    link = "\x1b]8;;file:///runs/a%20b/report.html\x1b\\/runs/a b/report.html\x1b]8;;\x1b\\"
    assert reporter.text.getvalue() == f"report: {link if linked else page}\n"


@pytest.mark.usefixtures("whole_run")
def test_an_ascii_terminal_gets_question_marks(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_suite(
        project, SUITE.replace("top1_accuracy", "nll").replace("at_least = 0.9", "at_most = 9.0")
    )
    toml = project.path / "pyproject.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(text.replace('run_dir = "runs"', 'run_dir = "l\u00e4ufe"'), encoding="utf-8")
    monkeypatch.setattr(sys, "__stdout__", SimpleNamespace(encoding="ascii"))
    result = project.runpytest_inprocess("colors.toml")
    result.stdout.fnmatch_lines(["log: *l?ufe*run.json", "report: *l?ufe*report.html"])
    assert "\u00e4" not in "".join(
        line for line in result.stdout.lines if line.startswith(("log", "report"))
    )
