"""A project that has a package ``evals`` of its own is served as if we had another name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import vision_evals

SOURCE_ROOT = Path(vision_evals.__file__).parents[1]

NETS = """
from torch import nn

from evals import FACTOR


class Brightness(nn.Module):
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * FACTOR
"""

PYPROJECT = """
[tool.pytest.ini_options]
pythonpath = ["."]

[tool.evals.models.own]
network = "evals.nets:Brightness"
classes = "classes.txt"
input = { resize = 8, crop = 8, mean = [0, 0, 0], std = [1, 1, 1] }
"""

SUITE = """
evals = 1
title = "Own"
models = ["own"]
[images]
colors = "colors"
[[check]]
name = "own"
measure = "accuracy"
images = "colors"
expect = [{ metric = "top1_accuracy", at_least = 1.0 }]
"""

TEST = """
import evals

def test_our_own_package():
    assert evals.FACTOR > 0
    assert evals.__file__.startswith({folder!r})
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Write a project whose own package is called ``evals``."""
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals" / "__init__.py").write_text("FACTOR = 10\n", encoding="utf-8")
    (tmp_path / "evals" / "nets.py").write_text(NETS, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (tmp_path / "classes.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    text = TEST.format(folder=str(tmp_path))
    (tmp_path / "test_own.py").write_text(text, encoding="utf-8")
    for color in ("red", "green", "blue"):
        (tmp_path / "colors" / color).mkdir(parents=True)
        Image.new("RGB", (8, 8), color).save(tmp_path / "colors" / color / "one.png")
    return tmp_path


def run(project: Path, *command: str) -> str:
    """Run pytest in a process in which only our plugin is known of us, as where it is installed."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE_ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-p", "vision_evals.plugin", "-q", *NO_REPORT],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def logged(project: Path) -> Any:
    return json.loads((project / "runs" / "latest" / "run.json").read_text("utf-8"))


NO_REPORT = ("--evals-report", "none")
AS_MODULE = (sys.executable, "-m", "pytest")
AS_COMMAND = (sys.executable, "-c", "import pytest; raise SystemExit(pytest.console_main())")
"""As ``pytest`` does it: the folder one stands in is not on the import path."""


@pytest.mark.parametrize("command", [AS_MODULE, AS_COMMAND], ids=["python -m pytest", "pytest"])
def test_without_a_suite_nothing_of_ours_is_felt(project: Path, command: tuple[str, ...]) -> None:
    assert "1 passed" in run(project, *command)
    assert not (project / "runs").exists()


@pytest.mark.slow
def test_with_a_suite_the_networks_of_that_package_are_judged(project: Path) -> None:
    """Editing it is seen: another fingerprint, and nothing of the old rows is found again."""
    (project / "own.toml").write_text(SUITE, encoding="utf-8")
    assert "2 passed" in run(project, *AS_MODULE, "test_own.py", "own.toml")
    first = logged(project)
    assert first["items"][0]["metrics"][0]["value"] == 1.0
    nets = project / "evals" / "nets.py"
    nets.write_text(f"{NETS}\nMORE = 1\n", encoding="utf-8")
    assert "2 passed" in run(project, *AS_COMMAND, "test_own.py", "own.toml")
    second = logged(project)
    prints = [log["classifiers"][0]["fingerprint"] for log in (first, second)]
    assert prints[0] != prints[1]
    assert second["items"][0]["cached"] == 0
    assert "2 passed" in run(project, *AS_COMMAND, "test_own.py", "own.toml")
    third = logged(project)
    assert third["classifiers"][0]["fingerprint"] == prints[1]
    assert third["items"][0]["cached"] == 3
