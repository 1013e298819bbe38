"""What code changes for the whole process: each setting is seen, named and put back."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vision_evals.engine.process_state import put_back, restore, settings
from vision_evals.models.device import numerics

BACKENDS: Any = torch.backends


def _no_mkldnn() -> None:
    BACKENDS.mkldnn.enabled = False


def _tf32() -> None:
    BACKENDS.cuda.matmul.allow_tf32 = True


def _cudnn_tf32() -> None:
    BACKENDS.cudnn.allow_tf32 = False


def _benchmark() -> None:
    BACKENDS.cudnn.benchmark = not BACKENDS.cudnn.benchmark


def _hook() -> None:
    torch.nn.modules.module.register_module_forward_hook(lambda *_: None)


def _flushing() -> bool:
    # as a text: a comparison with 0 is true of every denormal number while they are flushed
    return str(np.float64(1e-310) * np.float64(1)) == "0.0"


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "mkldnn.enabled": (_no_mkldnn, lambda: BACKENDS.mkldnn.enabled),
    "matmul precision from highest": (_tf32, lambda: BACKENDS.cuda.matmul.fp32_precision),
    "cudnn.conv": (_cudnn_tf32, lambda: BACKENDS.cudnn.conv.fp32_precision),
    "cudnn.benchmark": (_benchmark, lambda: BACKENDS.cudnn.benchmark),
    "default dtype": (
        lambda: torch.set_default_dtype(torch.float64),
        lambda: torch.zeros(1).dtype,
    ),
    "default device": (
        lambda: torch.set_default_device("meta"),
        lambda: torch.zeros(1).device.type,
    ),
    "number of threads": (
        lambda: torch.set_num_threads(torch.get_num_threads() + 1),
        torch.get_num_threads,
    ),
    "grad mode": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "denormal": (lambda: torch.set_flush_denormal(not _flushing()), _flushing),
    "deterministic": (
        lambda: torch.use_deterministic_algorithms(True),
        torch.are_deterministic_algorithms_enabled,
    ),
    "autocast on cpu": (
        lambda: torch.set_autocast_enabled("cpu", True),
        lambda: torch.is_autocast_enabled("cpu"),
    ),
    "matmul precision": (
        lambda: torch.set_float32_matmul_precision("high"),
        torch.get_float32_matmul_precision,
    ),
    "hooks on every module": (
        _hook,
        lambda: len(torch.nn.modules.module._global_forward_hooks),
    ),
    "current folder": (lambda: os.chdir("/"), Path.cwd),
    "environment": (lambda: os.environ.update(OWN_TEST="changed"), lambda: os.environ["OWN_TEST"]),
}


@pytest.fixture(autouse=True)
def _left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("OWN_TEST", "as it was")
    monkeypatch.chdir(tmp_path)
    with put_back():
        yield


@pytest.mark.parametrize("name", CHANGES)
def test_each_setting_is_put_back_and_named(name: str) -> None:
    change, look = CHANGES[name]
    with numerics(torch.device("cpu"), "fp32"):
        then = look()
        with put_back() as touched:
            change()
            assert look() != then
        assert look() == then
    assert any(name in setting.text for setting in touched)
    numeric = name not in {"current folder", "environment"}
    assert all(setting.numeric is numeric for setting in touched)


def test_nothing_is_named_where_nothing_changed() -> None:
    with put_back() as touched:
        torch.ones(3) @ torch.ones(3)
        os.environ["OWN_NEW"] = "a library that is imported sets it for itself"
    assert touched == []
    assert os.environ.pop("OWN_NEW")


def test_an_error_puts_back_as_well() -> None:
    with contextlib.suppress(ValueError), put_back() as touched:
        torch.set_default_dtype(torch.float64)
        raise ValueError
    assert torch.get_default_dtype() == torch.float32
    assert len(touched) == 1


def test_generators_go_on_as_if_nothing_had_drawn() -> None:
    def draw() -> list[float]:
        return [float(torch.rand(1)), random.random(), float(np.random.rand())]  # noqa: NPY002

    before = settings()
    first = draw()
    assert restore(before) == []
    assert draw() == first


def test_a_folder_that_is_gone_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()
    before = settings()
    os.chdir(tmp_path)
    assert restore(before) == []


def test_a_network_may_read_the_older_flags_inside_a_pass() -> None:
    """Torch refuses to read them where convolutions and recurrent layers differ."""
    with numerics(torch.device("cpu"), "fp32"):
        assert BACKENDS.cudnn.allow_tf32 is False
        assert BACKENDS.cuda.matmul.allow_tf32 is False
        assert torch.get_float32_matmul_precision() == "highest"
        recurrent = (BACKENDS.mkldnn.rnn, BACKENDS.cudnn.rnn)
        assert {backend.fp32_precision for backend in recurrent} == {"ieee"}
