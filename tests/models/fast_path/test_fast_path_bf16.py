"""bf16 after the first layer, which keeps what bf16 would round away."""

from __future__ import annotations

import torch
from torch import nn

from vision_evals.models.fast_path.bf16 import Fp32Layer, to_bf16


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(2, 2)  # comes first, and is never called
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen.append(x.dtype)
        y = self.conv(x)
        seen.append(y.dtype)
        logits: torch.Tensor = self.head(y.relu().mean(dim=(2, 3)))
        return logits


class Mixed(Net):
    """Adds fp32 of its own: a cast network cannot run."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x).relu().mean(dim=(2, 3)) + x.mean(dim=(1, 2, 3))[:, None]
        seen.append(y.dtype)
        logits: torch.Tensor = self.head(y)
        return logits


seen: list[torch.dtype] = []


def test_pixels_and_first_convolution_are_fp32() -> None:
    torch.manual_seed(0)
    network, x = Net().eval(), torch.rand(2, 3, 8, 8)
    weight = network.conv.weight.clone()
    forward = to_bf16(network, x)
    seen.clear()
    with torch.inference_mode():
        assert forward(x).dtype == torch.bfloat16
    assert seen == [torch.float32, torch.bfloat16]
    assert isinstance(forward, Net)
    assert isinstance(forward.conv, Fp32Layer)
    kept = forward.conv.inner.state_dict()["weight"]
    assert torch.equal(kept, weight)  # bit for bit: not one that bf16 has rounded
    assert forward.head.weight.dtype == torch.bfloat16


def test_an_epsilon_under_the_step_of_bf16_is_seen() -> None:
    """At mid-grey bf16 has steps of 1/256: of 1/2040 nothing would be left."""
    torch.manual_seed(0)
    x = torch.full((1, 3, 8, 8), 0.5)
    assert torch.equal(x.bfloat16(), (x + 1 / 2040).bfloat16())
    convolution = nn.Conv2d(3, 1, 1)
    nn.init.ones_(convolution.weight)
    nn.init.constant_(convolution.bias, -1.5)  # type: ignore[arg-type]
    network = nn.Sequential(convolution, nn.Flatten(), nn.Linear(64, 3)).eval()
    forward = to_bf16(network, x)
    with torch.inference_mode():
        assert not torch.equal(forward(x), forward(x + 1 / 2040))


def test_where_precisions_are_mixed_autocast_does_it() -> None:
    torch.manual_seed(0)
    network, x = Mixed().eval(), torch.rand(2, 3, 8, 8)
    with torch.inference_mode():
        wanted = network(x)
        forward = to_bf16(network, x)
        found = forward(x)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), wanted, atol=0.02)
    assert network.head.weight.dtype == torch.float32
