"""Mistakes inside a network: modes left on, dead channels, coarse weights, one layer too many."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vision_evals.cli.selftest.mutant import SEED, mutant, with_network
from vision_evals.models.classifier import Classifier
from vision_evals.models.hooks.dropouts import MODULES

DEAD = 0.05
"""Share of each convolution's output channels that are killed."""

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


@mutant("softmax", "probabilities returned instead of logits")
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
