"""Time and memory over the number of images: `python benchmarks/scaling.py`.

Each size is one `pytest` of one suite on so many small JPEGs with a small network, in a process of
its own, from collection to report: its seconds and its peak of resident memory. Time should grow
with the images and memory should not.
"""

# ruff: noqa: T201 - a script, and a table is what it is for
from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from corpus import make

NETWORK = """
import torch
from torch import nn


def build():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(16, 1000),
    )
"""

SUITE = """
evals = 1
title = "Scaling"

[[check]]
name = "clean"
measure = "accuracy"
images = "photographs"
models = ["small"]
expect = [{ metric = "nll", at_most = 100 }]
"""

FGSM = """
[[check]]
name = "one-step"
measure = "fgsm"
images = "photographs"
models = ["small"]
epsilons = [0, "1/255"]
expect = []
"""

CARDS = """
[models.small]
network = "small:build"
input = { resize = 32, crop = 32, mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }
classes = "imagenet"
"""


def run(folder: Path, corpus: Path, extra: list[str]) -> tuple[float, float, int]:
    """Return seconds, peak memory in GB, and bytes of the report."""
    command = [
        sys.executable, "-m", "pytest", "scaling.toml", "-q", "-p", "no:cacheprovider",
        "--evals-cards=cards.toml", f"--evals-images={corpus}", "--evals-no-cache", *extra,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    started = time.perf_counter()
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=folder, env=environment, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    said = (folder / "log.txt").read_text()
    if os.waitstatus_to_exitcode(status):
        sys.exit(said[-3000:])
    report = (folder / "runs" / "latest" / "report.html").stat().st_size
    return seconds, usage.ru_maxrss / 1e6, report


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--fgsm", action="store_true", help="a sweep of two epsilons as well")
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "evals-small")
    parser.add_argument("options", nargs="*", help="further options of pytest, after --")
    asked = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, JPEGs of 32 x 32, n = 1 each\n")
    print("| images | seconds | images/s | peak memory | report |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "small.py").write_text(NETWORK)
        (folder / "cards.toml").write_text(CARDS)
        (folder / "scaling.toml").write_text(SUITE + (FGSM if asked.fgsm else ""))
        for size in asked.sizes:
            corpus = make(asked.corpus / str(size), size, side=(32, 32))
            seconds, memory, report = run(folder, corpus, asked.options)
            print(
                f"| {size:,} | {seconds:.1f} | {size / seconds:,.0f} | {memory:.2f} GB | "
                f"{report / 1e6:.2f} MB |",
                flush=True,
            )


if __name__ == "__main__":
    main()
