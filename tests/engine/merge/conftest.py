"""A project whose suite asks all kinds of questions of tiny networks, and how two logs compare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import project
from tests.project import CLASSES, COLORS, card
from vision_evals import log

NETS = '''
import os
from pathlib import Path
import torch
from torch import nn

class Net(nn.Module):
    """Random channels through ReLUs; notes which process ran it."""
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.seed = seed
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 3))
    def forward(self, pixels):
        with Path(__file__).with_name("ran.txt").open("a") as file:
            file.write(f"{self.seed} {os.environ.get('PYTEST_XDIST_WORKER', 'main')}\\n")
        return self.body(pixels).mean(dim=(2, 3)) * 9 + pixels.mean(dim=(2, 3)) * 6

class Bomb(Net):
    """Ends its process at pictures as bright as only an attack makes them."""
    def forward(self, pixels):
        # not the fixed inputs that identify it: they are answered outside of inference mode
        if pixels.max() > 0.97 and torch.is_inference_mode_enabled():
            os._exit(3)
        return super().forward(pixels)

def one(): return Net(1)
def two(): return Net(2)
def three(): return Net(3)
def bomb(): return Bomb(4)
'''

SUITE = """
evals = 1
title = "Everything"
models = ["one", "two", "three"]
[images]
photographs = "pictures"
art = "art"
[[check]]
name = "right"
measure = "accuracy"
images = "photographs"
unreadable = "skip"
expect = [
  { metric = "top1_accuracy", at_least = 0.9, for = ["one"] },
  { metric = "nll", at_most = 100.0, for = ["two"] },
  { metric = "top1_accuracy", at_least = { of = "one", minus = 0.05 }, for = ["three"] },
]
[[check]]
name = "alike"
measure = "predictions"
images = "photographs"
unreadable = "skip"
against = "art"
expect = [{ metric = "agreement", at_least = 0.4 }]
[[check]]
name = "attack"
measure = "fgsm"
images = "photographs"
epsilons = [0, "1/255", "16/255"]
expect = [{ metric = "robust_accuracy", at = "16/255", at_most = 0.5 }]
[[check]]
name = "dead"
measure = "dead_relu"
images = "photographs"
unreadable = "skip"
expect = []
"""


@pytest.fixture(scope="session")
def furnish() -> Callable[[Path], None]:
    """Return a function that writes the project into a folder: 27 labelled pictures, six others."""

    def write(folder: Path) -> None:
        sides = {"one": 16, "two": 16, "three": 24, "bomb": 16}
        cards = "".join(card(name, f"nets:{name}", side) for name, side in sides.items())
        files = {
            # an own plain configuration: that of this repository says otherwise
            "pytest.ini": "[pytest]\n",
            "pyproject.toml": '[tool.evals]\nrun_dir = "runs"\nbatch_size = 4\n' + cards,
            "nets.py": NETS,
            "classes.txt": CLASSES,
            "all.toml": SUITE,
        }
        project.write(folder, files)
        random = np.random.default_rng(0)
        for place, color in enumerate(COLORS):
            (folder / "pictures" / color).mkdir(parents=True)
            for index in range(9):
                pixels = random.integers(0, 120, (26, 25, 3), dtype=np.uint8)
                pixels[..., place] += np.uint8(10 * index)
                Image.fromarray(pixels).save(folder / "pictures" / color / f"{index}.png")
        (folder / "art").mkdir()
        for index in range(6):
            pixels = random.integers(0, 180, (25, 25, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "art" / f"{index}.png")

    return write


@pytest.fixture(scope="session")
def facts() -> Callable[[log.Run], dict[str, Any]]:
    """Return a function that leaves of a log what no clock, name or order of processes moves."""

    def plain(run: log.Run) -> dict[str, Any]:
        left = run.model_dump(mode="json")
        for key in ("id", "started", "seconds", "command", "passes"):
            del left[key]
        left["warnings"].sort()
        for item in left["items"]:
            del item["seconds"], item["cached"]
        for classifier in left["classifiers"]:
            del classifier["load_seconds"]
        return left

    return plain
