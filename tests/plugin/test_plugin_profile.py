"""``--evals-profile``, ``--evals-trace`` and paths of forwards, by real runs of pytest."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests import inner
from vision_evals import log

NETS = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )
"""

SUITE = """
evals = 1
title = "Paths"
[[check]]
name = "one-step"
measure = "fgsm"
images = "photographs"
models = ["net"]
epsilons = [0, "1/255", "8/255"]
expect = []
[[check]]
name = "clean"
measure = "accuracy"
images = "photographs"
models = ["net"]
expect = [{ metric = "nll", at_most = 100 }]
"""

CARDS = """
[tool.evals.models.net]
network = "profile_nets:build"
input = { resize = 16, crop = 16, mean = [0.5, 0.5, 0.5], std = [0.1, 0.1, 0.1] }
classes = "classes.txt"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with 300 pictures of three classes: two shards."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "profile_nets.py").write_text(NETS)
    (folder / "classes.txt").write_text("a\nb\nc\n")
    (folder / "pyproject.toml").write_text(CARDS)
    (folder / "suite.toml").write_text(SUITE)
    draws = np.random.default_rng(0)
    for number in range(300):
        place = folder / "images" / "abc"[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        pixels = draws.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number:03}.png")
    return folder


def pytest_in(project: Path, *options: str) -> inner.Done:
    words = ("suite.toml", "-q", "--evals-images=images", "--evals-pictures=none")
    return inner.run(project, *words, "--evals-device=cpu", *options)


def go(project: Path, *options: str) -> tuple[log.Run, str]:
    done = pytest_in(project, *options)
    assert done.code == 0, done.out + done.err
    return log.read(project / "runs" / "latest"), done.out


def rows(project: Path, run: log.Run, check: str) -> pd.DataFrame:
    (item,) = (item for item in run.items if item.check == check)
    assert item.table is not None
    return pd.read_parquet(project / "runs" / "latest" / item.table)


@pytest.mark.usefixtures("whole_run")
def test_a_profile_is_printed_and_logged_and_a_trace_written(project: Path) -> None:
    run, said = go(project, "--evals-no-cache", "--evals-profile", "--evals-trace=traces")
    told = run.profile
    assert told is not None
    names = {stage.name for stage in told.stages}
    wanted = {"read", "decode", "preprocess", "forward", "backward", "attack", "rows", "report"}
    assert wanted | {"load", "wait", "measure", "validity"} <= names
    assert 0 <= told.rest < told.seconds
    assert abs(told.seconds - run.seconds) < 1e-6
    for name in wanted:
        assert re.search(rf"\b{name} +[0-9.]+ s", said), name
    (trace,) = told.trace
    assert json.loads((project / trace).read_text())["traceEvents"]


def test_nobody_asked(project: Path) -> None:
    run, said = go(project, "--evals-no-cache")
    assert run.profile is None
    assert "s went:" not in said


def test_the_log_says_which_path_made_a_number_also_from_the_cache(project: Path) -> None:
    """300 images at 10 places each are enough to fold; the second run computes nothing."""
    first, _ = go(project)
    again, _ = go(project)
    for run in (first, again):
        (walk,) = run.passes
        (fast_path,) = walk.fast_paths
        assert (walk.decoder, walk.on_device) == ("pil", 0)
        assert (fast_path.classifier, fast_path.folded, fast_path.refused) == ("net", 1, None)
        assert fast_path.images >= 16
        assert fast_path.logit_error is not None
        assert fast_path.changed == 0
        assert fast_path.because.startswith("3,000 forwards: folded (from 2,000)")
    assert [item.cached for item in again.items] == [300, 300]


def test_bf16_decides_as_fp32(project: Path) -> None:
    exact, _ = go(project, "--evals-no-cache")
    fp32 = rows(project, exact, "one-step")
    rough, _ = go(project, "--evals-no-cache", "--evals-precision=bf16")
    bf16 = rows(project, rough, "one-step")
    for column in ("correct", "correct_8bit", "correct_noise", "correct_clean"):
        assert fp32[column].equals(bf16[column])
    (fast_path,) = rough.passes[0].fast_paths
    assert fast_path.precision == "bf16", fast_path.refused
    assert fast_path.images == 256
    assert fast_path.answers > 0
    later = fp32["image"].isin(fp32["image"].unique()[256:])
    assert not np.array_equal(fp32["margin"][later], bf16["margin"][later])


def test_a_folder_of_traces_that_cannot_be_made_is_said_before_anything_is_measured(
    project: Path,
) -> None:
    done = pytest_in(project, "--evals-trace=suite.toml")
    assert done.code == 4
    assert "--evals-trace" in done.err
    assert "name a folder that can be made" in done.err
    assert "Traceback" not in done.out + done.err
