"""Exit codes as docs/outputs.md has them, each by a real process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytestmark = pytest.mark.slow  # real processes

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    Python = Callable[..., subprocess.CompletedProcess[str]]

INTERRUPTS = '''
import os, signal

class Interrupts(Color):
    """Presses Ctrl-C when it is asked."""
    def forward(self, pixels):
        os.kill(os.getpid(), signal.SIGINT)
        return super().forward(pixels)
'''


@pytest.fixture
def project(tmp_path: Path, furnished: Callable[[Path], None]) -> Path:
    folder = tmp_path / "project"
    furnished(folder)
    return folder


def judge(project: Path, python: Python, *words: str) -> subprocess.CompletedProcess[str]:
    lean = {"PYTEST_ADDOPTS": os.environ["PYTEST_ADDOPTS"]}
    done = python(project, "-m", "pytest", "-q", "--evals-pictures=none", *words, variables=lean)
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(
    ("check", "code"),
    [
        ("holds", 0),
        ("falls", 1),
        ("unsure", 1),
        ("nothing-but-nan", 1),
        ("gone", 1),  # could not be set up
        ("absent", 5),  # nothing was judged
        ("unlabelled", 5),
    ],
)
def test_by_verdict(project: Path, python: Python, check: str, code: int) -> None:
    done = judge(project, python, "suites", "-k", check)
    assert done.returncode == code, done.stdout
    assert ("nothing was judged" in done.stdout) == (code == 5)


def test_an_inconclusive_check_may_be_skipped(project: Path, python: Python) -> None:
    assert (
        judge(project, python, "suites", "-k", "unsure", "--evals-inconclusive=skip").returncode
        == 0
    )


def test_4_and_2_are_mistakes(project: Path, python: Python) -> None:
    assert judge(project, python, "suites", "--no-such-option").returncode == 4
    assert judge(project, python, "suites", "--evals-limit=few").returncode == 4
    assert judge(project, python, "nowhere").returncode == 4
    toml = project / "pyproject.toml"
    right = toml.read_text("utf-8")
    toml.write_text(right.replace("[tool.evals]", "[tool.evals]\nlimit = 0"), "utf-8")
    assert judge(project, python, "suites").returncode == 4  # beside --evals-pictures
    assert python(project, "-m", "pytest", "suites").returncode == 2
    toml.write_text(right, "utf-8")
    (project / "suites" / "each.toml").write_text("evals = 1\ntitel = 'typo'\n", encoding="utf-8")
    done = judge(project, python, "suites")
    assert done.returncode == 2
    assert 'did you mean "title"' in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="sends itself SIGINT")
def test_2_is_ctrl_c_and_the_log_says_so(project: Path, python: Python) -> None:
    with (project / "nets.py").open("a", encoding="utf-8") as file:
        file.write(INTERRUPTS)
    toml = project / "pyproject.toml"
    toml.write_text(toml.read_text("utf-8").replace("nets:Color", "nets:Interrupts"), "utf-8")
    words = ["--evals-mlflow=sqlite:///m.db", "--evals-markdown=run.md"]
    done = judge(project, python, "suites", "-k", "falls", *words)
    assert done.returncode == 2
    assert "the run was interrupted" in (project / "run.md").read_text("utf-8")
    assert not (project / "m.db").exists()  # who pressed Ctrl-C does not wait for a server


def test_3_is_a_mistake_of_a_plugin(project: Path, python: Python) -> None:
    text = "def pytest_collection_modifyitems():\n    raise RuntimeError('a plugin broke')\n"
    (project / "conftest.py").write_text(text, encoding="utf-8")
    assert python(project, "-m", "pytest", "-q", "suites").returncode == 3


def test_5_is_that_nothing_was_collected(project: Path, python: Python) -> None:
    assert judge(project, python, "suites", "-k", "no-check-is-called-so").returncode == 5


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--evals-markdown=nets.py/x.md", "nets.py/x.md: File exists; name another place"),
        ("--evals-markdown=pictures", "pictures: is a folder; name a file in it"),
        ("--evals-markdown=/proc/x.md", "/proc/x.md: No such file or directory; name another"),
        ("--evals-report=/proc/x.html", "/proc/x.html: No such file or directory; name another"),
    ],
)
def test_a_place_that_cannot_be_written_is_found_before_anything_is_measured(
    project: Path, python: Python, option: str, said: str
) -> None:
    if "/proc" in option and not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    done = judge(project, python, "suites", "-k", "holds", option)
    assert done.returncode == 4
    assert said in done.stderr
    assert not (project / "runs").exists()
