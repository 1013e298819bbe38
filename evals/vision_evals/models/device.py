"""Device and numeric precision of a run."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from vision_evals.core.errors import UserError
from vision_evals.log import Precision


def resolve(name: str) -> torch.device:
    """Return the device called ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ...

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f'there is no kind of device "{name}"; {_here()}') from None
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        raise UserError(f'device "{name}" is not available ({reason}); {_here()}') from None
    return torch.device("cuda:0") if name == "cuda" else device


def by_turn(requested: str, worker: int, gpus: int) -> str:
    """Return the device of one of several processes; each process takes the next GPU.

    Args:
        requested: the device that the user named; a specific one stays as it is.
        worker: number of the process, from 0.
        gpus: how many there are.
    """
    return f"cuda:{worker % gpus}" if gpus and requested in {"auto", "cuda"} else requested


def _here() -> str:
    have = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    have += ["mps"] if torch.backends.mps.is_available() else []
    return f"available: {', '.join(have)}"


def name_of(device: torch.device) -> str:
    """Return the name of the GPU or processor."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    cpuinfo = Path("/proc/cpuinfo")
    if device.type == "cpu" and cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def default_batch(device: torch.device, pixels: int = 224 * 224, *, gradients: bool = True) -> int:
    """Return a batch that keeps the default runs under 2 GB on a CPU, and a GPU busy.

    Args:
        device: where the networks are.
        pixels: height times width of the largest pictures.
        gradients: whether activations are kept for them. Without, eight times as many pictures fit,
            and a network with large dense layers reads their weights for more at once: alexnet is
            1.8 times as fast.
    """
    if device.type != "cpu":
        return 256
    least = 4 if gradients else 32
    return min(256, max(least, least * 224 * 224 // pixels))


@contextlib.contextmanager
def numerics(device: torch.device, precision: Precision) -> Iterator[None]:
    """Compute on this device at this precision, and leave torch's settings as they were.

    A CUDA device becomes the current one: streams, events and graphs are of that, whatever device
    the tensors are on.

    fp32 is IEEE fp32: without TF32, which torch allows in convolutions by default, and whatever
    the process chose for itself. At bf16, gradients and hooks inside a network are fp32 too: only
    forwards use it, see `vision_evals.models.fast_path`.

    Raises:
        UserError: the device has no such precision.
    """
    if precision == "tf32" and device.type != "cuda":
        raise UserError(f"precision tf32 is a mode of CUDA devices, not of {device}")
    on_device = torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
    backends: Any = torch.backends
    exactness = (
        backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn,
        backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn,
    )  # fmt: skip
    before = [backend.fp32_precision for backend in exactness]
    benchmark = backends.cudnn.benchmark
    backends.cudnn.benchmark = False
    try:
        for backend in exactness:
            cuda = backend in exactness[:3]
            backend.fp32_precision = "tf32" if cuda and precision == "tf32" else "ieee"
        with on_device:
            yield
    finally:
        for backend, value in zip(exactness, before, strict=True):
            backend.fp32_precision = value
        backends.cudnn.benchmark = benchmark
