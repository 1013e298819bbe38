"""What a cache saves: a second identical run, and a run that goes on after a kill at 90 %.

    python benchmarks/cache.py [SUITE ...]

The first table runs suites (by default the four shipped ones about images) twice in processes of
their own and sets what the imports take apart. The second kills a run over 2,560 pictures, ten
shards, when nine are kept, starts it again, and gives the cost as a share of an undisturbed run.
"""
# ruff: noqa: T201, S603 - a script, and two tables are what it is for

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from vision_evals.core.paths import data_folder

SUITES = ("accuracy", "art", "fgsm", "airplane")
PLAIN = ("-q", "-p", "no:cacheprovider", "--tb=no")
IMPORTS = (
    "import pytest, torch, torchvision, pandas, pyarrow.parquet, scipy.stats, PIL, pydantic,"
    "jinja2, safetensors, rich, foolbox"
)

NETS = """
from torch import nn
from torchvision.models import resnet18

def build():
    return nn.Sequential(resnet18(weights=None, num_classes=3))
"""

FILES = {
    "pyproject.toml": """
[tool.evals.models.net]
network = "bench_nets:build"
classes = "classes.txt"
input = { resize = 288, crop = 288, mean = [0.5, 0.5, 0.5], std = [0.2, 0.2, 0.2] }
""",
    "bench_nets.py": NETS,
    "classes.txt": "red\ngreen\nblue\n",
    "bench.toml": """
evals = 1
title = "Resume"
models = ["net"]
[images]
photographs = "pictures"
[[check]]
name = "right"
measure = "accuracy"
images = "photographs"
expect = [{ metric = "top1_accuracy", at_least = 0.01 }]
""",
}

SHARDS = 10


def pytest_in(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start pytest in a folder."""
    command = [sys.executable, "-m", "pytest", *PLAIN, *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)


def seconds(folder: Path, *arguments: str) -> float:
    """Return how long a run takes, its imports included."""
    began = time.perf_counter()
    pytest_in(folder, *arguments).wait()
    return time.perf_counter() - began


def twice(suites: list[str]) -> None:
    """Print how long the first and the second run of suites take."""
    imports = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", IMPORTS], check=True)
        imports.append(time.perf_counter() - began)
    alone = sorted(imports)[1]
    with tempfile.TemporaryDirectory() as place:
        first = seconds(Path(place), *suites)
        again = [seconds(Path(place), *suites) for _ in range(3)]
    print(f"imports alone {alone:.1f} s (median of 3)")
    print(f"first run {first:.1f} s, second {sorted(again)[1]:.1f} s (median of 3), ", end="")
    print(f"beyond imports {sorted(again)[1] - alone:.1f} s")


def killed() -> None:
    """Print what resuming costs after a kill when nine of ten shards are kept."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, text in FILES.items():
            (folder / name).write_text(text, encoding="utf-8")
        rng = np.random.default_rng(0)
        for index in range(256 * SHARDS):
            into = folder / "pictures" / ("red", "green", "blue")[index % 3]
            into.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(into / f"{index}.jpg")
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", IMPORTS], check=True)
        alone = time.perf_counter() - began
        whole = seconds(folder, "bench.toml", "--evals-cache=whole") - alone
        run = pytest_in(folder, "bench.toml", "--evals-cache=killed")
        while len(list(folder.glob("killed/shards/*/[0-9a-f]*"))) < SHARDS - 1:
            time.sleep(0.005)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        kept = len(list(folder.glob("killed/shards/*/[0-9a-f]*")))
        rest = seconds(folder, "bench.toml", "--evals-cache=killed") - alone
    print(
        f"{256 * SHARDS:,} pictures, {kept} of {SHARDS} shards kept: full run {whole:.1f} s, ",
        end="",
    )
    print(f"resumed {rest:.1f} s, {rest / whole:.0%} (imports of {alone:.1f} s set apart)")


if __name__ == "__main__":
    shipped = [str(data_folder("suites") / f"{name}.toml") for name in SUITES]
    twice(sys.argv[1:] or shipped)
    killed()
