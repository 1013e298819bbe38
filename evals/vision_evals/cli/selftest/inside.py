"""Mistakes inside a network: modes left on, dead channels, coarse weights, one layer too many."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vision_evals.cli.selftest.feeding import not_normalised
from vision_evals.cli.selftest.mutant import SEED, mutant, with_network
from vision_evals.models.card import Input
from vision_evals.models.classifier import Classifier
from vision_evals.models.hooks.dropouts import MODULES

DEAD = 0.05
"""Share of each convolution's output channels that are killed."""

FUSED = 0.1
"""Rate of the dropout inside an attention function."""

SHARP = 4.0
"""Root of the score of a row of a picture with itself: exp(16) to 1 against any other row."""

TEMPERATURE = 1.5
"""A usual one for a network that is too sure (Guo et al. 2017)."""

STEPS = 7
"""Steps on each side of 0 that a weight of 4 bits has, symmetric: -7 to 7."""


def no_dropout(classifier: Classifier) -> str | None:
    """Say why dropout cannot be left on."""
    dropouts = (m for m in classifier.network.modules() if isinstance(m, MODULES) and m.p > 0)
    return None if any(dropouts) else "it has no dropout module; a function is not switched"


@mutant("dropout-on", "dropout left on", no_dropout)
def dropout_on(classifier: Classifier) -> Classifier:
    """Leave dropout in training mode."""
    return with_network(classifier, lambda network: _training(network, MODULES))


def no_batchnorm(classifier: Classifier) -> str | None:
    """Say why batch normalisation cannot be left in training mode."""
    normalised = any(isinstance(m, _BatchNorm) for m in classifier.network.modules())
    return None if normalised else "it has no batch normalisation"


@mutant("batchnorm-training", "batch normalisation left in training mode", no_batchnorm)
def batchnorm_training(classifier: Classifier) -> Classifier:
    """Leave batch normalisation in training mode: each batch uses its own statistics."""
    return with_network(classifier, lambda network: _training(network, (_BatchNorm,)))


def no_convolution(classifier: Classifier) -> str | None:
    """Say why no channel can be killed."""
    hidden = any(_hidden(classifier.network, len(classifier.classes)))
    return None if hidden else "no convolution before its outputs has enough channels"


@mutant("dead-channels", "5 % of each convolution's channels set to 0", no_convolution)
def dead_channels(classifier: Classifier) -> Classifier:
    """Set some of each convolution's output channels to 0."""

    def kill(network: nn.Module) -> nn.Module:
        draw = torch.Generator().manual_seed(SEED)
        for layer in _hidden(network, len(classifier.classes)):
            n = layer.out_channels
            dead = torch.randperm(n, generator=draw)[: round(DEAD * n)]
            with torch.no_grad():
                layer.weight[dead] = 0
                if layer.bias is not None:
                    layer.bias[dead] = 0
        return network

    return with_network(classifier, kill)


# the first answer stays the first
@mutant("softmax", "probabilities returned instead of logits", one_is_enough=True)
def softmax(classifier: Classifier) -> Classifier:
    """Return probabilities instead of logits."""
    return with_network(classifier, lambda network: nn.Sequential(network, nn.Softmax(1)).eval())


def no_weights(classifier: Classifier) -> str | None:
    """Say why no weight can be rounded."""
    return None if any(True for _ in _matrices(classifier.network)) else "it has no weights"


@mutant("four-bits", "weights rounded to 4 bits", no_weights)
def four_bits(classifier: Classifier) -> Classifier:
    """Round weights to 4 bits, one scale a tensor."""

    def coarsen(network: nn.Module) -> nn.Module:
        with torch.no_grad():
            for weight in _matrices(network):
                scale = weight.abs().max().clamp_min(torch.finfo(weight.dtype).tiny) / STEPS
                weight.copy_((weight / scale).round() * scale)
        return network

    return with_network(classifier, coarsen)


class NormaliseAgain(nn.Module):
    """A layer that subtracts mean and divides by std, as the classifier has done already."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, card: Input) -> None:
        super().__init__()
        for name, three in (("mean", card.mean), ("std", card.std)):
            self.register_buffer(name, torch.tensor(three).view(3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (n, 3, H, W)."""
        return (pixels - self.mean) / self.std


@mutant(
    "normalised-twice", "the network normalises inside, and its card does so too", not_normalised
)
def normalised_twice(classifier: Classifier) -> Classifier:
    """Normalise again inside the network."""
    again = NormaliseAgain(classifier.input).to(classifier.device)
    return with_network(classifier, lambda network: nn.Sequential(again, network).eval())


class FusedDropout(nn.Module):
    """A layer that attends from each row of a picture to itself, with a dropout that stays on."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (n, 3, H, W) with some rows dropped."""
        rows = torch.eye(pixels.shape[2]).to(pixels).mul(SHARP).expand(*pixels.shape[:3], -1)
        attend = nn.functional.scaled_dot_product_attention
        seen: torch.Tensor = attend(rows, rows, pixels, dropout_p=FUSED, scale=1.0)
        return seen


@mutant("fused-dropout", "dropout inside an attention function, whatever the mode")
def fused_dropout(classifier: Classifier) -> Classifier:
    """Pass a rate of dropout to a fused attention without asking for the mode."""
    return with_network(classifier, lambda network: nn.Sequential(FusedDropout(), network).eval())


# a network as sound as before, with other answers
@mutant("stale-config", "logits calibrated in a hook for other weights", one_is_enough=True)
def stale_config(classifier: Classifier) -> Classifier:
    """Apply a calibration to the logits that was made for other weights."""
    n = len(classifier.classes)
    shift = torch.randn(n, generator=torch.Generator().manual_seed(SEED)).to(classifier.device)

    def calibrate(_: nn.Module, __: object, logits: torch.Tensor) -> torch.Tensor:
        return logits / TEMPERATURE + shift.to(logits)

    def hooked(network: nn.Module) -> nn.Module:
        network.register_forward_hook(calibrate)
        return network

    return with_network(classifier, hooked)


def _training(network: nn.Module, kinds: tuple[type[nn.Module], ...]) -> nn.Module:
    for module in network.modules():
        if isinstance(module, kinds):
            module.train()
    return network


def _hidden(network: nn.Module, classes: int) -> Iterator[nn.Conv1d | nn.Conv2d | nn.Conv3d]:
    """Yield the convolutions except those of the logits: a dead class is another mistake.

    Those with fewer than ten channels, and those whose weight is computed, are left out too.
    """
    for module in network.modules():
        if (
            isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
            and module.out_channels != classes
            and round(DEAD * module.out_channels) > 0
            and "weight" in module._parameters
        ):
            yield module


def _matrices(network: nn.Module) -> Iterator[torch.Tensor]:
    """Yield the weights that are multiplied; biases and scales of normalisation stay exact."""
    return (weight for weight in network.parameters() if weight.dim() > 1)
