"""Channels last: the same numbers, where a forward can bear it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

from vision_evals.models.layout import arrange, layout_of


class Flattening(nn.Module):
    """Flattens with ``view``, which cannot cross channels that lie last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 * 14 * 14, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        logits: torch.Tensor = self.head(y.view(y.size(0), -1))
        return logits


def test_a_forward_that_cannot_is_left_contiguous() -> None:
    network = Flattening().eval()
    arrange(network, (16, 16))
    assert layout_of(network) == "contiguous"
    network(torch.rand(1, 3, 16, 16))


def test_trying_leaves_no_trace() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))  # in training: it would count
    before = {key: value.clone() for key, value in network.state_dict().items()}
    arrange(network, (16, 16))
    assert layout_of(network) == "channels_last"
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_a_network_without_convolutions_has_no_layout() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 3))
    arrange(network, (1, 1))
    assert layout_of(network) == "contiguous"


@pytest.mark.parametrize("name", ["alexnet", "resnet18", "squeezenet1_1", "mobilenet_v2"])
def test_logits_and_gradients_are_those_of_contiguous_channels(name: str) -> None:
    torch.manual_seed(0)
    network = getattr(models, name)(weights=None).eval().requires_grad_(requires_grad=False)
    x = torch.rand(2, 3, 96, 96)

    def seen(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        variable = pixels.detach().requires_grad_()
        logits = network(variable)
        (gradient,) = torch.autograd.grad(logits.logsumexp(dim=1).sum(), variable)
        return logits.detach(), gradient

    logits, gradient = seen(x)
    arrange(network, (96, 96), tried=True)
    assert layout_of(network) == "channels_last"
    other, second = seen(x.contiguous(memory_format=torch.channels_last))
    assert (other - logits).abs().max() < 1e-4 * logits.abs().max().clamp(min=1)
    assert (second - gradient).abs().max() < 1e-4 * gradient.abs().max()
