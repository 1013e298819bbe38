"""A user's repository with one check for every verdict, judged once by a real process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

import vision_evals
from tests.forked import forked_python
from tests.project import CLASSES, COLORS, card, pictures, write
from vision_evals import log

NETS = """
import torch
from torch import nn

class Color(nn.Module):
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * 10

class Nan(nn.Module):
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * float("nan")
"""

SUITE = """
evals = 1
title = "One of each"
models = ["alexnet"]
[images]
photographs = "../pictures"
nothing = "../gone"
bare = "../bare"

[[check]]
name = "holds"
measure = "accuracy"
images = "photographs"
models = ["color"]
expect = [
  { metric = "top1_accuracy", at_least = 0.5, confidence = 0.95 },
  { metric = "top1_accuracy", at_least = 0.6 },
  { metric = "ece", at_most = 1e-9, severity = "warn" },
]

[[check]]
name = "falls"
measure = "accuracy"
images = "photographs"
models = ["color"]
expect = [{ metric = "top1_accuracy", at_least = 0.95 }]

[[check]]
name = "unsure"
measure = "accuracy"
images = "photographs"
models = ["color"]
expect = [{ metric = "top1_accuracy", at_least = 0.9, confidence = 0.95 }]

[[check]]
name = "nothing-but-nan"
measure = "accuracy"
images = "photographs"
models = ["nan"]
expect = [{ metric = "top1_accuracy", at_least = 0.9 }]

[[check]]
name = "stepped"
measure = "fgsm"
images = "photographs"
models = ["color"]
epsilons = [0, "4/255"]
expect = [{ metric = "robust_accuracy", at = "4/255", at_least = 0.5 }]

[[check]]
name = "absent"
measure = "accuracy"
images = "photographs"
expect = [{ metric = "top1_accuracy", at_least = 0.9 }]

[[check]]
name = "unlabelled"
measure = "accuracy"
images = "bare"
models = ["color"]
expect = [{ metric = "top1_accuracy", at_least = 0.9 }]

[[check]]
name = "gone"
measure = "accuracy"
images = "nothing"
models = ["color"]
expect = [{ metric = "top1_accuracy", at_least = 0.9 }]
"""


def furnish(folder: Path) -> None:
    """Write networks, twelve pictures of which one is mislabelled, cards and the suite."""
    cards = card("color", "nets:Color", side=8) + card("nan", "nets:Nan", side=8)
    files = {
        "pyproject.toml": "[tool.evals]\n" + cards,
        "nets.py": NETS,
        "classes.txt": CLASSES,
        "suites/each.toml": SUITE,
    }
    write(folder, files)
    pictures(folder / "pictures", 4, (10, 9))
    Image.new("RGB", (10, 10), COLORS["blue"]).save(folder / "pictures" / "red" / "0.png")
    (folder / "bare").mkdir()
    Image.new("RGB", (10, 10), COLORS["blue"]).save(folder / "bare" / "one.png")


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment in which no CI, tracking server or hub cache is near."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("GITHUB_", "MLFLOW_", "PYTEST_")) and k != "CI"
    }
    path = os.pathsep.join(
        [str(Path(vision_evals.__file__).parents[1]), kept.get("PYTHONPATH", "")]
    )
    hub = str(folder / "hub")
    return kept | {"PYTHONPATH": path, "TORCH_HOME": hub, "OMP_NUM_THREADS": "1"} | more


def run_python(
    folder: Path, *words: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, in a process of its own."""
    return subprocess.run(
        [forked_python(), *words],
        cwd=folder,
        env=environment(folder, **(variables or {})),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@dataclass(frozen=True)
class Judged:
    """What a process left."""

    folder: Path
    done: subprocess.CompletedProcess[str]

    @property
    def run(self) -> log.Run:
        return log.read(self.folder / "runs" / "latest")


@pytest.fixture(scope="session")
def furnished() -> Callable[[Path], None]:
    """Return the function that furnishes a repository."""
    return furnish


@pytest.fixture(scope="session")
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return the function that runs Python in a folder."""
    return run_python


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """One run with every machine listening, under filters that turn warnings into errors."""
    folder = tmp_path_factory.mktemp("each")
    furnish(folder)
    (folder / "summary.md").write_text("what an earlier command of the step wrote\n")
    words = ["suites", "-W", "error", "-ra", "--junitxml=junit.xml", "--evals-markdown=out/run.md"]
    done = run_python(
        folder,
        "-m",
        "pytest",
        *words,
        "--evals-mlflow=sqlite:///mlflow.db",
        variables={
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(folder),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        },
    )
    return Judged(folder, done)
