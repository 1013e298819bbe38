"""A copy of a network in bf16, except its first layer: bf16 would round small epsilons away."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import nn

from vision_evals.models.fast_path.fold_batchnorm import replace_module

_FIRST = (nn.Conv2d, nn.Linear)


class Fp32Layer(nn.Module):
    """A layer in fp32 with an output in bf16."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return bf16 of any shape."""
        with torch.autocast(pixels.device.type, enabled=False):
            output: torch.Tensor = self.inner(pixels.float())
        return output.to(torch.bfloat16)


def to_bf16(network: nn.Module, sample: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the forward with every layer after the first convolution in bf16.

    A pixel's epsilon of 1/2040 is under bf16's step at mid-grey (1/256), so a bf16 input would
    make five times the error in logits. Weights are cast once; if a network mixes precisions and
    cannot run after the cast, autocast casts in every forward.

    Args:
        network: a copy, which is changed.
        sample: (n, 3, H, W) normalised pixels on its device.
    """
    with torch.inference_mode():
        name = _first_layer(network, sample)
        first = network.get_submodule(name)
        replace_module(network, name, Fp32Layer(first))
        rough = deepcopy(network).to(torch.bfloat16)
        # a cast would round the first layer's weights: the copy gets the layer itself
        replace_module(rough, name, Fp32Layer(first))
        try:
            rough(sample)
        except RuntimeError:
            del rough
        else:
            return rough

    def mixed(pixels: torch.Tensor) -> torch.Tensor:
        with torch.autocast(pixels.device.type, dtype=torch.bfloat16):
            output: torch.Tensor = network(pixels)
        return output

    return mixed


def _first_layer(network: nn.Module, sample: torch.Tensor) -> str:
    """Return the name of the first convolution or linear layer that a forward calls."""
    called: list[str] = []
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: called.append(name))
        for name, module in network.named_modules()
        if isinstance(module, _FIRST)
    ]
    try:
        network(sample[:1])
    finally:
        for hook in hooks:
            hook.remove()
    if not called or not called[0]:
        raise RuntimeError("it has no convolution or linear layer of its own to keep in fp32")
    return called[0]
