"""Which path forwards take: the number of forwards decides, before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from vision_evals.log import Precision

MIN_FORWARDS_TO_FOLD = 2_000
"""Forwards of an image from which folding is repaid: copying and tracing takes 0.1 to 0.5 s, a
folded forward saves 0.2 to 4 ms on two CPU cores."""
MIN_FORWARDS_TO_COMPILE = {"cuda": (100_000, 20_000), "cpu": (50_000, 10_000)}
"""Forwards from which compiling is repaid: without kernels of an earlier run, and with them. It
takes 4 to 23 s a network, and saves 40 microseconds an image on an H100, 0.5 to 4 ms on two CPU
cores. Other devices compile nothing."""
FP32_CALIBRATION_IMAGES, BF16_CALIBRATION_IMAGES = 16, 256
"""Images that calibrate a path in fp32, and one in bf16: a shard."""


@dataclass(frozen=True, slots=True)
class FastPathPlan:
    """What is done to a network for its forwards; part of the cache keys."""

    precision: Precision
    fold: bool = False
    compile: bool = False
    graph: bool = False
    because: str = "no forward is needed"

    @property
    def plain(self) -> bool:
        """Whether nothing is done."""
        return not (self.fold or self.compile or self.graph or self.precision == "bf16")

    @property
    def calibrating(self) -> int:
        """Images that both paths compute before the fast one is used."""
        return BF16_CALIBRATION_IMAGES if self.precision == "bf16" else FP32_CALIBRATION_IMAGES

    @property
    def key(self) -> tuple[object, ...]:
        """The fields that change a row."""
        return self.precision, self.fold, self.compile, self.graph


def plan_of(
    network: nn.Module,
    forwards: int,
    device: torch.device,
    precision: Precision,
    *,
    warm: bool = False,
) -> FastPathPlan:
    """Return the path that is worth its preparation for a number of forwards.

    It follows from the selection, and from whether an earlier run left kernels; never from a
    clock. The path is part of the cache keys and of the log.

    Args:
        network: of the forwards.
        forwards: images times forwards of each.
        device: of the network.
        precision: of the run.
        warm: whether its kernels are in a cache.
    """
    norms = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())
    fold = norms and forwards >= MIN_FORWARDS_TO_FOLD
    cold, cached = MIN_FORWARDS_TO_COMPILE.get(device.type, (None, None))
    need = cached if warm else cold
    # on a CPU compiling gains by joining norms with convolutions
    worth = norms or device.type == "cuda"
    compiles = worth and need is not None and forwards >= need
    because = f"{forwards:,} forwards: " + ("folded" if fold else "not folded")
    because += " (no batch norm)" if not norms else f" (from {MIN_FORWARDS_TO_FOLD:,})"
    because += ", compiled" if compiles else ", not compiled"
    if need is not None:
        because += f" (from {need:,}" + (", kernels cached)" if warm else ")")
    return FastPathPlan(
        precision,
        fold=fold,
        compile=compiles,
        graph=device.type == "cuda" and forwards >= MIN_FORWARDS_TO_FOLD,
        because=because,
    )
