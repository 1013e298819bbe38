"""A run that is killed at any moment goes on from its finished shards, and gives the same rows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.forked import forked_python
from tests.project import CLASSES, COLORS, card, write
from vision_evals import log

NETS = """
import time
import torch
from torch import nn

class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(192, 3)
    def forward(self, pixels):
        time.sleep(0.02)
        return self.layer(pixels.flatten(1)).relu()
"""

FILES = {
    "pyproject.toml": '[tool.evals]\nbatch_size = 64\nreport = "none"\npictures = "none"\n'
    + card("slow", "slow_nets:Slow", side=8),
    "slow_nets.py": NETS,
    "classes.txt": CLASSES,
    "kept.toml": """
evals = 1
title = "Killed"
models = ["slow"]
[images]
photographs = "pictures"
[[check]]
name = "right"
measure = "accuracy"
images = "photographs"
expect = []
[[check]]
name = "dead"
measure = "dead_relu"
images = "photographs"
expect = []
""",
}

IMAGES = 900
"""Four shards, the last of them not full."""

KILLS = 20

DRIVER = """
import os, random, shutil, signal, sys, time
from pathlib import Path
import pytest, torch
torch.set_num_threads(1)  # so far nothing was computed: what is forked is as good as new
ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT
ARGUMENTS = ["kept.toml", "-q", "-p", "no:cacheprovider", "--evals-device=cpu"]

def shards():
    return len(list(Path("killed_cache").glob("shards/*/[0-9a-f]*")))

def child(run_dir, cache):
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        code = pytest.main([*ARGUMENTS, f"--evals-run-dir={run_dir}", f"--evals-cache={cache}"])
        os._exit(int(code))
    return pid

began = time.monotonic()
os.waitpid(child("whole", "whole_cache"), 0)
whole = time.monotonic() - began
draw, kills, resumed = random.Random(0), 0, []
while kills < int(sys.argv[1]):
    before, pid = shards(), child("killed", "killed_cache")
    if kills % 2:  # every second one between two shards, however fast this machine is
        while shards() == before and os.waitid(os.P_PID, pid, ENDED) is None:
            time.sleep(0.002)
    else:
        time.sleep(draw.uniform(0, whole))
    if os.waitpid(pid, os.WNOHANG)[0]:  # it came through: begin again
        shutil.rmtree("killed_cache")
        continue
    os.kill(pid, signal.SIGKILL)
    if not os.WIFSIGNALED(os.waitpid(pid, 0)[1]):  # it came through in this very moment
        shutil.rmtree("killed_cache")
        continue
    kills += 1
    resumed.append(shards())
assert os.WEXITSTATUS(os.waitpid(child("killed", "killed_cache"), 0)[1]) == 5  # nothing is judged
shutil.rmtree("killed_cache")
for pid in [child("left", "killed_cache"), child("right", "killed_cache")]:  # both at once
    assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 5
print(resumed)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, FILES)
    rng = np.random.default_rng(0)
    for index, pixels in enumerate(rng.integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8)):
        place = tmp_path / "pictures" / [*COLORS][index % 3]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{index}.png")
    return tmp_path


def same_rows(folder: Path, name: str) -> None:
    """Hold a run against the undisturbed one: rows, metrics, evidence."""
    whole, other = (log.read(folder / one / "latest") for one in ("whole", name))
    assert other.status == "finished"
    assert not any("cache" in said for said in other.warnings)
    for item, same in zip(whole.items, other.items, strict=True):
        assert item.metrics == same.metrics
        assert item.validity == same.validity
        rows = [
            pd.read_parquet(folder / place / run.id / str(one.table))
            for place, run, one in (("whole", whole, item), (name, other, same))
        ]
        pd.testing.assert_frame_equal(*rows, check_exact=True)


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_row(folder: Path) -> None:
    done = subprocess.run(
        [forked_python(), "-c", DRIVER, str(KILLS)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts = [int(part) for part in done.stdout.strip(" []\n").split(",")]
    assert len(counts) == KILLS
    assert any(0 < count < 8 for count in counts), "no kill hit between two shards"
    for name in ("killed", "left", "right"):
        same_rows(folder, name)
    # what a killed run leaves is readable, and says so
    states = [log.read(place).status for place in (folder / "killed").iterdir() if place.is_dir()]
    assert states.count("running") >= 1
