"""What several tests need: photographs, and classifiers small enough to reason about."""

from __future__ import annotations

import gc
import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from torch import nn

from vision_evals.images.labels import ClassMap
from vision_evals.models.card import Card, Input
from vision_evals.models.classifier import Classifier

# how the tests themselves are run is no option of the runs that they start
os.environ.pop("PYTEST_ADDOPTS", None)

# a shell has jobs in the background ignore Ctrl-C, and all that they start would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

# the processes of xdist share the cores: two that take all of them wait for one another
workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
torch.set_num_threads(max(1, torch.get_num_threads() // workers))
os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())  # of the processes that tests start

# a busy machine fails no test; all else stays as hypothesis chooses it, in CI or at a desk
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")


LEAN = "-p no:unraisableexception -p no:threadexception --evals-report=none"
"""Options of every run inside a test. At its end each of the two plugins collects garbage five
times over, which takes ten times as long as a small run; a report takes as long as its checks."""


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the runs that tests make lean, and off the summary page of the job they run in."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
            environment.delenv(name, raising=False)
        environment.setenv("PYTEST_ADDOPTS", LEAN)
        gc.freeze()  # what is imported by now stays: no collection need look at it again
        yield


@pytest.fixture
def whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the runs inside this test be as a user's are: all of pytest's plugins, and a report."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


@pytest.fixture(scope="session")
def _never_forgotten() -> None:
    """Import what refuses to be imported again: pytester forgets all that a test imported."""
    importlib.import_module("torchvision")
    importlib.import_module("pandas.core.arrays.arrow.extension_types")


@pytest.fixture
def pytester(
    _never_forgotten: None,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> pytest.Pytester:
    """Return pytest's own, which takes the options of the outer run away, with those of ours."""
    if "whole_run" not in request.fixturenames:
        monkeypatch.setenv("PYTEST_ADDOPTS", LEAN)
    return pytester


@pytest.fixture(scope="session")
def photographs() -> tuple[Path, ...]:
    """Return foolbox's twenty photographs, in the order of their names."""
    spec = importlib.util.find_spec("foolbox")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return tuple(sorted(folder.glob("imagenet_*.jpg")))


class Brightness(nn.Module):
    """Logits = (n, 3) mean of each channel, times ten."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean(dim=(2, 3)) * 10


@pytest.fixture
def small() -> Callable[..., Classifier]:
    """Return a function that wraps any network as a classifier of red, green, blue at 16 x 16."""

    def make(network: nn.Module | None = None, alias: str = "small") -> Classifier:
        card_input = Input(resize=16, crop=16, mean=(0, 0, 0), std=(1, 1, 1))
        return Classifier(
            alias=alias,
            card=Card(network="tests:small", input=card_input),
            network=(network or Brightness()).eval(),
            input=card_input,
            classes=ClassMap("colors", ("red", "green", "blue"), None),
            fingerprint="0" * 64,
            weights="none",
            sha256=None,
            published={},
        )

    return make
