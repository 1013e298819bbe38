"""One classifier's failure is its own, whatever it does to the process that judges it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.inner import Done, run
from tests.project import CLASSES, card, pictures, suite, write
from vision_evals import log
from vision_evals.log import Verdict
from vision_evals.models.processes import can_fork

NETS = """
import os
import signal
import sys
import torch
from torch import nn

class Color(nn.Module):
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * 10

class Doing(Color):
    def __init__(self, what):
        super().__init__()
        self.what = what
    def forward(self, pixels):
        self.what()
        return super().forward(pixels)

class Odd(BaseException):
    pass

def odd():
    raise Odd("odd")

def big():
    raise ValueError("x" * 5_000_000)

def no_mkldnn():
    torch.backends.mkldnn.enabled = False

def good(): return Color()
def builds_and_exits(): sys.exit(0)
def builds_elsewhere(): os.chdir("/"); torch.set_default_dtype(torch.float64); return Color()
def exits(): return Doing(sys.exit)
def is_odd(): return Doing(odd)
def is_big(): return Doing(big)
def sets(): return Doing(no_mkldnn)
def builds_and_dies(): os._exit(0)
def aborts(): return Doing(os.abort)
def last(): return Color()
"""

SUITE = suite("Alone", '{ metric = "top1_accuracy", at_least = 0.9 }')


def furnish(folder: Path) -> None:
    names = [line[4:].partition("(")[0] for line in NETS.splitlines() if line.startswith("def ")]
    cards = "".join(card(name, f"alone_nets:{name}") for name in names)
    files = {
        "pyproject.toml": cards
        + card("imports_and_exits", "alone_script:build")
        + card("imports_and_dies", "alone_death:build"),
        "alone_nets.py": NETS,
        "alone_script.py": "import sys\nsys.exit(0)\n",
        "alone_death.py": "import os\nos._exit(0)\n",
        "classes.txt": CLASSES,
        "alone.toml": SUITE,
    }
    write(folder, files)
    pictures(folder / "pictures", 4, (20, 18))


def judged(folder: Path, *models: str, also: tuple[str, ...] = ()) -> tuple[Done, log.Run]:
    named = [f"--evals-model={model}" for model in models]
    done = run(folder, "alone.toml", *named, "--evals-no-cache", "--evals-report=none", *also)
    return done, log.read(folder / "runs" / "latest")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    furnish(folder)
    return folder


@pytest.fixture(scope="module")
def together(project: Path) -> tuple[Done, log.Run]:
    """One run of sound classifiers between those that try to take the process with them."""
    bad = ("imports_and_exits", "builds_and_exits", "exits", "is_odd", "is_big", "sets")
    return judged(project, "good", *bad, "builds_elsewhere", "last")


def sentences(run: log.Run) -> dict[str, str]:
    return {item.classifier: item.sentence for item in run.items}


def verdicts(run: log.Run) -> dict[str, Verdict]:
    return {item.classifier: item.verdict for item in run.items}


def test_what_a_classifier_raises_costs_it_alone(together: tuple[Done, log.Run]) -> None:
    done, logged = together
    assert done.code == 1
    assert logged.status == "finished"
    sound = {"good", "last", "builds_elsewhere"}
    assert {alias for alias, v in verdicts(logged).items() if v is Verdict.PASSED} == sound
    assert {v for a, v in verdicts(logged).items() if a not in sound} == {Verdict.INVALID}
    said = sentences(logged)
    assert (
        "cannot import alone_script: it would end the process (SystemExit: 0)"
        in (said["imports_and_exits"])
    )
    assert 'below if __name__ == "__main__"' in said["imports_and_exits"]
    assert "it would end the process (SystemExit: 0)" in said["builds_and_exits"]
    assert "it would end the process (SystemExit)" in said["exits"]
    assert "it would end the process (Odd: odd) (alone_nets.py:" in said["is_odd"]


def test_there_is_no_long_text(together: tuple[Done, log.Run], project: Path) -> None:
    done, logged = together
    assert "(cut: 5,000,012 characters)" in sentences(logged)["is_big"]
    assert "Traceback" not in done.out
    assert len(done.out) < 30_000
    assert (project / "runs" / "latest" / "run.json").stat().st_size < 200_000


def test_what_a_classifier_sets_for_all_is_named_and_put_back(
    together: tuple[Done, log.Run], project: Path
) -> None:
    _, logged = together
    changed = "changed torch.backends.mkldnn.enabled from True to False; put back after it"
    assert sentences(logged)["sets"] == f"INVALID: settings of the process: {changed}"
    assert torch.backends.mkldnn.enabled
    remarks = [w for w in logged.warnings if w.startswith("builds_elsewhere: its code changed ")]
    assert remarks == [
        "builds_elsewhere: its code changed torch's default dtype from torch.float32 to "
        "torch.float64; put back before any forward",
        f"builds_elsewhere: its code changed the current folder from {project} to /; "
        "put back before any forward",
    ]


# Processes

CPU = torch.device("cpu")
needs_fork = pytest.mark.skipif(not can_fork(CPU), reason="needs Linux without an accelerator")


@needs_fork
def test_a_classifier_that_ends_its_process_is_isolated(
    project: Path, together: tuple[Done, log.Run]
) -> None:
    dying = ("imports_and_dies", "builds_and_dies", "aborts")
    beside = log.read(project / "runs" / "latest")
    tables = {item.classifier: rows(project, item) for item in beside.items if item.table}
    also = ("--evals-isolate", "--evals-run-id=isolated")
    done, logged = judged(project, "good", *dying, "exits", "last", also=also)
    assert (done.code, logged.status, logged.not_run) == (1, "finished", ())
    said = sentences(logged)
    assert said["imports_and_dies"] == "imports_and_dies: its process was ended (exit code 0)"
    assert said["builds_and_dies"] == "builds_and_dies: its process was ended (exit code 0)"
    assert "its process was ended (SIGABRT)" in said["aborts"]
    assert "it would end the process (SystemExit)" in said["exits"]
    passed = {alias for alias, v in verdicts(logged).items() if v is Verdict.PASSED}
    assert passed == {"good", "last"}
    assert "Traceback" not in done.out
    for item in logged.items:
        if item.classifier in passed:
            pd.testing.assert_frame_equal(rows(project, item), tables[item.classifier])


def rows(project: Path, item: log.Item) -> pd.DataFrame:
    assert item.table is not None
    return pd.read_parquet(project / "runs" / "latest" / item.table)


def test_isolation_without_forks_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision_evals.engine.isolated.can_fork", lambda _: False)
    done = run(project, "alone.toml", "--evals-model=good", "--evals-isolate")
    assert done.code == 4
    assert "needs Linux without an accelerator; pytest -n 1" in done.err


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "inf", "soon"])
def test_a_limit_is_a_number_of_seconds(project: Path, limit: str) -> None:
    done = run(project, "alone.toml", f"--evals-timeout={limit}")
    assert done.code == 4
    assert "--evals-timeout" in done.err
    assert "Traceback" not in done.err
