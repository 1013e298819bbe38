"""The default run on a GPU decides as on the CPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from evals import log

SUITES = Path(__file__).parent.parent / "suites"

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


def rows(folder: Path, device: str) -> dict[str, pd.DataFrame]:
    command = [sys.executable, "-m", "pytest", str(SUITES / "accuracy.toml"), "-q"]
    options = [f"--evals-device={device}", f"--evals-run-dir={folder / device}"]
    assert subprocess.run([*command, *options], cwd=folder, check=False).returncode == 0
    run = log.read(folder / device / "latest")
    return {
        item.classifier: pd.read_parquet(folder / device / "latest" / item.table)
        for item in run.items
        if item.table is not None
    }


def test_decisions_equal_those_of_the_cpu(tmp_path: Path) -> None:
    cpu, cuda = rows(tmp_path, "cpu"), rows(tmp_path, "cuda")
    assert cpu.keys() == cuda.keys()
    for alias, one in cpu.items():
        other = cuda[alias]
        assert one["top5"].map(list).tolist() == other["top5"].map(list).tolist()
        assert np.abs(one["nll"] - other["nll"]).max() < 1e-3
