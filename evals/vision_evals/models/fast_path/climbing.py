"""The copy of a network on which attacks climb: its batch norms are folded into convolutions."""

from __future__ import annotations

import contextlib

import torch
from torch import nn
from torch.nn.functional import cosine_similarity
from torch.nn.modules.batchnorm import _BatchNorm

from vision_evals.core.errors import contained
from vision_evals.core.rng import generator
from vision_evals.models.device import numerics
from vision_evals.models.fast_path.fold_batchnorm import fold_batchnorms

PICTURES = 2
"""Pictures of noise on which both gradients are compared: the same for every image set, so that
every part of a run climbs on the same network."""
MAX_RELATIVE_ERROR = 1e-3
"""Share of the largest logit by which the copy may differ; efficientnet_lite0 differs by 1e-6."""
MIN_COSINE = 0.999
"""Of both gradients, each as a vector. Rounding moves a few rectifiers across 0: efficientnet_lite0
has at least 0.9999996, resnet50 and inception_v3 with random weights 0.99999. A network that hides
a part of its gradient from autograd has another one in a copy, which is traced."""


def climbable(network: nn.Module, size: tuple[int, int], device: torch.device) -> nn.Module | None:
    """Return a copy with folded batch norms, or None where there are none or the gradients differ.

    Folded, a gradient of efficientnet_lite0 takes 0.55 to 0.66 of the time (batches of 4 and 16,
    one thread). The copy says only which way to go: whether an image is broken is the answer of
    the network itself.

    Args:
        network: in eval mode, frozen.
        size: height and width of its pictures.
        device: of the network.
    """
    if not any(isinstance(module, _BatchNorm) for module in network.modules()):
        return None
    with contextlib.suppress(Exception), contained(), numerics(device, "fp32"):
        copy, folded = fold_batchnorms(network)
        if folded and _agree(network, copy, size, device):
            return copy
    return None


def _agree(
    network: nn.Module, copy: nn.Module, size: tuple[int, int], device: torch.device
) -> bool:
    """Return whether logits and gradients are those of the network but for rounding."""
    draws = generator(0, "climbing")
    noise = torch.rand(PICTURES, 3, *size, generator=draws).to(device)
    exact = network(noise)
    way = torch.randn(exact.shape, generator=draws).to(exact)
    near = (copy(noise) - exact).abs().amax() <= MAX_RELATIVE_ERROR * exact.abs().amax()
    true, theirs = (_gradient(either, noise, way).flatten(1) for either in (network, copy))
    return bool(near and (cosine_similarity(true, theirs) >= MIN_COSINE).all())


def _gradient(network: nn.Module, noise: torch.Tensor, way: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the logits' sum, weighted by ``way`` (n, classes)."""
    with torch.enable_grad():
        variable = noise.clone().requires_grad_()
        return torch.autograd.grad(network(variable), variable, way)[0]
