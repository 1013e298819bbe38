"""What may be recorded: nothing that the host has to wait for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from vision_evals.models.fast_path.cuda_graph import refuse_waiting


def branches(x: torch.Tensor) -> torch.Tensor:
    return x if x.mean() > 2 else x * 2


def counts(x: torch.Tensor) -> torch.Tensor:
    return x[x > 0.5]


@pytest.mark.parametrize(
    ("forward", "name"),
    [
        (branches, "_local_scalar_dense"),
        (counts, "index"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: x * x.amax().item(), "_local_scalar_dense"),
        (lambda x: x.to("meta"), "_to_copy"),
    ],
)
def test_a_forward_that_waits_is_refused_by_name(
    forward: Callable[[torch.Tensor], torch.Tensor], name: str
) -> None:
    with pytest.raises(RuntimeError, match=f"waits for the device in {name}"):
        refuse_waiting(forward, torch.rand(2, 3, 8, 8))


def test_an_ordinary_network_may() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 3),
    ).eval()  # fmt: skip
    refuse_waiting(network, torch.rand(2, 3, 8, 8))
