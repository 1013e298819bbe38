"""Devices and precision: what is set is put back, whatever the process chose before."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vision_evals.core.errors import UserError
from vision_evals.models.device import by_turn, numerics, resolve

CPU = torch.device("cpu")


def state() -> list[str]:
    backends = torch.backends
    return [
        backends.cuda.matmul.fp32_precision,
        backends.cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
        backends.mkldnn.matmul.fp32_precision,  # type: ignore[attr-defined]
        str(backends.cudnn.benchmark),
    ]


@pytest.mark.parametrize("chosen", ["highest", "high", "medium"])
def test_fp32_is_fp32_whatever_the_process_chose(chosen: str) -> None:
    before_all = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(chosen)
    try:
        before = state()
        with numerics(CPU, "fp32"):
            assert state()[:3] == ["ieee", "ieee", "ieee"]
            assert not torch.is_autocast_enabled("cpu")
        assert state() == before
        assert torch.get_float32_matmul_precision() == chosen
    finally:
        torch.set_float32_matmul_precision(before_all)


def test_bf16_leaves_gradients_in_fp32() -> None:
    with numerics(CPU, "bf16"):
        assert (torch.rand(4, 4) @ torch.rand(4, 4)).dtype == torch.float32
        assert state()[:3] == ["ieee", "ieee", "ieee"]


def test_tf32_is_refused_on_a_cpu() -> None:
    with pytest.raises(UserError, match="a mode of CUDA devices"), numerics(CPU, "tf32"):
        pass


def test_devices() -> None:
    assert resolve("cpu") == CPU
    assert resolve("auto").type in {"cpu", "cuda"}
    with pytest.raises(UserError, match='no kind of device "gpu"; available: cpu'):
        resolve("gpu")
    with pytest.raises(UserError, match='device "cuda:99" is not available'):
        resolve("cuda:99")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_tf32_on_a_gpu() -> None:
    with numerics(torch.device("cuda:0"), "tf32"):
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"


@given(st.integers(0, 99), st.integers(1, 8))
def test_processes_take_the_gpus_by_turn(worker: int, gpus: int) -> None:
    taken = [by_turn(asked, worker, gpus) for asked in ("auto", "cuda")]
    assert taken == [f"cuda:{worker % gpus}"] * 2
    assert len({by_turn("auto", n, gpus) for n in range(gpus)}) == gpus
    for certain in ("cpu", "cuda:0", "mps"):
        assert by_turn(certain, worker, gpus) == certain


def test_without_gpus_nothing_is_dealt() -> None:
    assert [by_turn(asked, 3, 0) for asked in ("auto", "cuda")] == ["auto", "cuda"]
