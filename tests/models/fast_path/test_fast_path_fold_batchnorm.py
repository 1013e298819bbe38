"""Folding: the same function with fewer operations, and nothing folded that may not be."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn
from torchvision import models

from vision_evals.models.fast_path.fold_batchnorm import fold_batchnorms


def trained(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """Give a batch norm statistics and weights that matter."""
    norm.running_mean.normal_()  # type: ignore[union-attr]
    norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.normal_(norm.bias)
    return norm


class Own(nn.Conv2d):
    """A convolution of a network's own kind, as efficientnet_lite0 brings them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.pad(x, (1, 1, 1, 1)))


class Branching(nn.Module):
    """What a convolution says is read twice; one is called twice; one norm stands alone."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.norm = nn.Conv2d(3, 3, 1), trained(nn.BatchNorm2d(3))
        self.twice, self.after = nn.Conv2d(3, 3, 1), trained(nn.BatchNorm2d(3))
        self.first = trained(nn.BatchNorm2d(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        y = self.read(x)
        y = self.norm(y) + y
        summed: torch.Tensor = self.after(self.twice(y)) + self.twice(x)
        return summed


def test_a_batch_norm_is_folded_into_a_convolution_of_any_kind() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), trained(nn.BatchNorm2d(8)), nn.ReLU(),
        Own(8, 4, 3, bias=False), trained(nn.BatchNorm2d(4)),
    ).eval()  # fmt: skip
    before, x = deepcopy(network.state_dict()), torch.rand(2, 3, 12, 12)
    with torch.inference_mode():
        fast, count = fold_batchnorms(network)
        assert count == 2
        assert torch.allclose(fast(x), network(x), atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_what_others_read_is_left_alone() -> None:
    torch.manual_seed(0)
    network, x = Branching().eval(), torch.rand(2, 3, 8, 8)
    fast, count = fold_batchnorms(network)
    assert count == 0
    with torch.inference_mode():
        assert torch.equal(fast(x), network(x))


@pytest.mark.parametrize(("name", "norms"), [("resnet18", 20), ("densenet121", 59)])
def test_networks_that_people_use(name: str, norms: int) -> None:
    """A densenet's norms stand before convolutions, but for the one that follows in each layer."""
    torch.manual_seed(0)
    network = getattr(models, name)(weights=None).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            trained(module)
    x = torch.rand(2, 3, 64, 64)
    fast, count = fold_batchnorms(network)
    assert count == norms
    with torch.inference_mode():
        wanted, found = network(x), fast(x)
    assert (found - wanted).abs().max() < 1e-3 * wanted.abs().max()


def test_a_trace_that_would_freeze_a_draw_is_refused() -> None:
    class Noisy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.rand(1)

    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="draws random numbers"):
        fold_batchnorms(Noisy())
    assert torch.equal(before, torch.get_rng_state())
