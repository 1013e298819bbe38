"""A minute of the harness, and that it sees what it looks for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.forked import forked_python

ROOT = Path(__file__).parents[2]

FAULTS = {
    "a traceback": ("raise KeyError('Geometry')", "KeyError: 'Geometry'"),
    "code": ("import os; os.system('true')", "os.system"),
    "a file elsewhere": ("open('{elsewhere}', 'w')", "open "),
    "a folder elsewhere": ("import os; os.mkdir('{elsewhere}')", "os.mkdir"),
    "memory": ("len(b'x' * (3 * 2**29))", "memory grew"),
    "time": ("while True: pass", "s of CPU"),
    "an exit": ("raise SystemExit(0)", "SystemExit"),
    "no word": ("raise UserError()", "without a word"),
}

CODE = """
import sys
from pathlib import Path
from tests.fuzz import watch
from vision_evals.core.errors import UserError
watch.SECONDS = 0.3
watched = watch.Watch(Path({inside!r}))
def judge():
    {fault}
print("fault:", watched.fault(judge))
print("after:", watched.fault(lambda: open({inside!r} + "/x", "w").close()))
"""


def python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [forked_python(), *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", FAULTS)
def test_the_watch_sees(name: str, tmp_path: Path) -> None:
    fault, says = FAULTS[name]
    inside = tmp_path / "inside"
    inside.mkdir()
    fault = fault.replace("{elsewhere}", str(tmp_path / "outside"))
    done = python("-c", CODE.format(inside=str(inside), fault=fault))
    assert says in done.stdout.partition("after:")[0], done.stderr
    assert "after: None" in done.stdout


def test_changed_files_of_every_kind_are_judged_or_refused() -> None:
    done = python("-m", "tests.fuzz", "--count=40")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "360 inputs" in done.stdout
    assert done.stdout.rstrip().endswith("0 faults")
