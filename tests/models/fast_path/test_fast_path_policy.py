"""Which path is taken follows from what was selected, and is said."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vision_evals.models.fast_path.policy import (
    MIN_FORWARDS_TO_COMPILE,
    MIN_FORWARDS_TO_FOLD,
    plan_of,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
NORMED = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
PLAIN = nn.Sequential(nn.Conv2d(3, 3, 1))


def test_a_few_images_take_the_plain_path() -> None:
    plan = plan_of(NORMED, MIN_FORWARDS_TO_FOLD - 1, CPU, "fp32")
    assert plan.plain
    assert plan.because == "1,999 forwards: not folded (from 2,000), not compiled (from 50,000)"


def test_many_are_folded_and_very_many_compiled() -> None:
    assert plan_of(NORMED, MIN_FORWARDS_TO_FOLD, CPU, "fp32").fold
    plan = plan_of(NORMED, MIN_FORWARDS_TO_COMPILE["cpu"][0], CPU, "fp32")
    assert (plan.fold, plan.compile, plan.graph) == (True, True, False)
    assert plan_of(PLAIN, 10**6, CPU, "fp32").plain  # nothing to fold, nothing to join


@pytest.mark.parametrize(("forwards", "warm", "compiled"), [
    (99_999, False, False), (100_000, False, True), (19_999, True, False), (20_000, True, True),
])  # fmt: skip
def test_on_a_gpu_a_cache_of_kernels_repays_sooner(
    forwards: int, warm: bool, compiled: bool
) -> None:
    plan = plan_of(PLAIN, forwards, CUDA, "bf16", warm=warm)
    assert plan.compile is compiled
    assert plan.graph
    assert ("kernels cached" in plan.because) is warm


def test_elsewhere_nothing_is_compiled() -> None:
    plan = plan_of(NORMED, 10**7, torch.device("mps"), "fp32")
    assert (plan.fold, plan.compile, plan.graph) == (True, False, False)


def test_bf16_is_calibrated_on_a_shard() -> None:
    assert plan_of(PLAIN, 1, CPU, "bf16").calibrating == 256
    assert plan_of(NORMED, MIN_FORWARDS_TO_FOLD, CPU, "fp32").calibrating == 16
