"""The default run on a GPU decides as on the CPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from vision_evals import log

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


CORPUS = Path(__file__).parent.parent / "benchmarks" / "corpus.py"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 1,000 JPEGs of usual sizes."""
    folder = tmp_path_factory.mktemp("corpus")
    subprocess.run([sys.executable, str(CORPUS), str(folder), "1000"], check=True)
    return folder


def test_a_device_decodes_and_resizes_as_pil_does(corpus: Path) -> None:
    """Mean difference under 0.6 of 255, and decisions equal on at least 99 % of 1,000 images."""
    from vision_evals.images import sources
    from vision_evals.images.geometry import to_unit
    from vision_evals.images.gpu.device_reader import device_batches
    from vision_evals.models.build import build
    from vision_evals.models.registry import Registry

    device = torch.device("cuda:0")
    card = Registry.read({}, None, Path()).card("squeezenet1_1_caffe")
    classifier = build("squeezenet1_1_caffe", *card, download=False).to(device)
    images = sources.load(str(corpus), Path()).images
    spans = [range(first, min(first + 256, 1000)) for first in range(0, 1000, 256)]
    equal, seen, errors = 0, 0, []
    for batch in device_batches(images, spans, {classifier.geometry}, device, plain=1000):
        assert batch.plain is not None
        assert len(batch.by_device) == len(batch.ids)
        found, wanted = batch.pixels[classifier.geometry], batch.plain[classifier.geometry]
        errors.append(float((found.float() - wanted.float()).abs().mean()))
        with torch.inference_mode():
            first, second = (
                classifier.logits(to_unit(x, device)).argmax(dim=1) for x in (found, wanted)
            )
        equal += int((first == second).sum())
        seen += len(batch.ids)
    assert seen == 1000
    assert sum(errors) / len(errors) < 0.6
    assert equal >= 990


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_every_path_decides_as_the_plain_one(
    corpus: Path, tmp_path: Path, precision: str, compiled: bool
) -> None:
    """Channels last, folded, in a graph, compiled: 256 images calibrate, 256 others are decided."""
    from vision_evals.images import sources
    from vision_evals.images.geometry import to_unit
    from vision_evals.images.gpu.device_reader import device_batches
    from vision_evals.measures.probe import Probe
    from vision_evals.models.build import build
    from vision_evals.models.device import numerics
    from vision_evals.models.fast_path.fast_path import FastPath
    from vision_evals.models.fast_path.policy import FastPathPlan
    from vision_evals.models.registry import Registry

    device = torch.device("cuda:0")
    card = Registry.read({}, None, Path()).card("efficientnet_lite0")
    classifier = build("efficientnet_lite0", *card, download=False).to(device)
    plan = FastPathPlan(precision, fold=True, compile=compiled, graph=True)  # type: ignore[arg-type]
    fast_path = FastPath(classifier, plan, kernels=tmp_path)
    images = sources.load(str(corpus), Path()).images
    spans = [range(256), range(256, 512)]
    with numerics(device, "fp32"):
        for batch in device_batches(images, spans, {classifier.geometry}, device, plain=0):
            x = to_unit(batch.pixels[classifier.geometry], device)
            found = Probe(classifier, batch.ids, x, None, fast_path=fast_path).see(x).argmax(dim=1)
            fast_path.count_images(len(x))
            with torch.inference_mode():
                assert torch.equal(found, classifier.logits(x).argmax(dim=1))
    told = fast_path.record()
    assert told.refused is None, told.refused
    assert told.graphed, told.because
    assert told.compiled is compiled, told.because
    assert told.changed == 0
