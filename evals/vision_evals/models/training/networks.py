"""Networks before their first step: small ones, torchvision's, the user's own, or a trained one."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.images.labels import ClassMap
from vision_evals.models import user_modules
from vision_evals.models.card import Card
from vision_evals.models.classifier import Classifier
from vision_evals.models.hooks.activations import FUNCTIONS, activation
from vision_evals.models.hooks.watch import Call, watching
from vision_evals.models.recipe import NETWORKS, Recipe
from vision_evals.models.registry import torchvision_names
from vision_evals.models.training.layers import is_head, layers


def small_cnn(classes: int) -> nn.Module:
    """Three convolutions, two dense layers with dropout, for pictures of 16 or 32 pixels."""
    return nn.Sequential(
        *_block(3, 16),
        *_block(16, 32),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        *_dense(32 * 4 * 4, 128),
        *_dense(128, 128),
        nn.Linear(128, classes),
    )


def small_alexnet(classes: int) -> nn.Module:
    """AlexNet's order of layers, narrowed for pictures of 32 pixels (Krizhevsky et al. 2012)."""
    return nn.Sequential(
        *_block(3, 32, side=5),
        *_block(32, 64, side=5),
        nn.Conv2d(64, 96, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(96, 64, 3, padding=1),
        nn.ReLU(),
        *_block(64, 64),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        *_dense(64 * 4 * 4, 256),
        *_dense(256, 128),
        nn.Linear(128, classes),
    )


def _block(channels: int, wider: int, side: int = 3) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels, wider, side, padding=side // 2)
    return convolution, nn.ReLU(), nn.MaxPool2d(2)


def _dense(units: int, fewer: int) -> tuple[nn.Module, ...]:
    return nn.Linear(units, fewer), nn.ReLU(), nn.Dropout(0.5)


def fresh(card: Card, base: Path, classes: int, size: int, where: str) -> nn.Module:
    """Build the network that a card names, weights drawn from the global generator.

    Args:
        card: its ``network`` is a small one, torchvision's with or without ``torchvision:``,
            ``timm:NAME``, or ``module:function``, which builds it without arguments.
        base: what the user's own module lies beside.
        classes: how many outputs it is to have.
        size: side of the pictures in pixels.
        where: begins every message.

    Raises:
        UserError: nobody knows it, or it cannot be built.
    """
    if card.network == "small_cnn":
        return small_cnn(classes)
    if card.network == "small_alexnet":
        return small_alexnet(classes)
    if card.source == "timm":
        return _timm(card.name, classes, where)
    if card.source not in {"torchvision", "packaged", card.network}:
        return user_modules.network(card, base, None, classes, where)
    return _torchvision(torchvision_name(card, where), classes, size, where)


def torchvision_name(card: Card, where: str) -> str:
    """Return the torchvision network that a card names, or raise a UserError."""
    if card.source == "packaged":
        raise UserError(
            f'{where}: network = "{card.network}" comes with weights; '
            f'write start = "{card.name}" to go on from them'
        )
    name = card.name or card.network
    if name not in torchvision_names():
        near = did_you_mean(name, (*NETWORKS, *torchvision_names()))
        raise UserError(f'{where}: no network is called "{card.network}"{near}')
    return name


def _torchvision(name: str, classes: int, size: int, where: str) -> nn.Module:
    from torchvision import models

    options: dict[str, object] = {}
    if name in {"googlenet", "inception_v3"}:  # one output, and torch's initialisation
        options = {"aux_logits": False, "init_weights": False}
    elif name.startswith("vit_"):
        options = {"image_size": size}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecations inside torchvision
            built: nn.Module = models.get_model(name, weights=None, num_classes=classes, **options)
    except Exception as error:
        raise UserError(f"{where}: {name} cannot be built at size = {size}: {error}") from error
    return built


def _timm(name: str, classes: int, where: str) -> nn.Module:
    try:
        import timm
    except ImportError:
        raise UserError(
            f"{where}: timm:{name} needs timm; pip install 'vision-evals[timm]'"
        ) from None
    try:
        built: nn.Module = timm.create_model(name, num_classes=classes)
    except RuntimeError as error:
        raise UserError(f"{where}: timm cannot build {name}: {error}") from error
    return built


def continued(start: Classifier, classes: ClassMap, where: str) -> nn.Module:
    """Return a copy of a trained network; where the classes are others, its last layer is fresh.

    The copy is on the CPU, as every network is before its first step.

    Raises:
        UserError: no dense layer or 1x1 convolution has as many outputs as it has classes.
    """
    network = copy.deepcopy(start.network).cpu().float().requires_grad_(requires_grad=True)
    if start.classes.names == classes.names:
        return network
    heads = [name for name, layer in layers(network) if is_head(layer, len(start.classes))]
    if not heads:
        raise UserError(
            f"{where}: {start.alias} has no dense layer or 1x1 convolution with "
            f"{len(start.classes)} outputs, so its last layer cannot be replaced; "
            "start from another network"
        )
    parent, _, last = heads[-1].rpartition(".")
    old = network.get_submodule(heads[-1])
    setattr(network.get_submodule(parent), last, _like(old, len(classes)))
    return network


def _like(old: nn.Module, outputs: int) -> nn.Module:
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, outputs, bias=old.bias is not None)
    assert isinstance(old, nn.Conv2d)
    return nn.Conv2d(old.in_channels, outputs, 1, bias=old.bias is not None)


def refuse_unfit(
    network: nn.Module, size: int, classes: int, where: str, device: torch.device
) -> None:
    """Raise a UserError unless the network gives one row of logits for each picture of a size.

    It is asked for two black pictures, in eval mode and on its device, ``meta`` included.
    """
    pictures = torch.zeros(2, 3, size, size, device=device)
    was = network.training
    try:
        with torch.no_grad():
            logits = network.eval()(pictures)
    except Exception as error:
        raise UserError(
            f"{where}: the network cannot run on pictures of {size} x {size} pixels: {error}; "
            "write another size"
        ) from error
    finally:
        network.train(was)
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != (2, classes):
        raise UserError(
            f"{where}: for 2 pictures the network returns {shape}, not logits of shape "
            f"{(2, classes)}: one column for each class of the data"
        )


def refuse_functions(
    network: nn.Module, recipe: Recipe, size: int, where: str, device: torch.device
) -> None:
    """Raise a UserError where an activation was to be replaced and is called as a function."""
    if recipe.activation in {None, "relu"}:
        return
    left: list[str] = []

    def answer(call: Call) -> Tensor:
        kind = activation(call)
        if kind is not None and kind.family == "rectifier":
            left.append(str(call))
        return call.run()

    was = network.training
    try:
        with torch.no_grad(), watching(network, FUNCTIONS, answer):
            network.eval()(torch.zeros(2, 3, size, size, device=device))
    finally:
        network.train(was)
    if left:
        raise UserError(
            f'{where}: activation = "{recipe.activation}": {left[0]} is a ReLU called as a '
            "function, which cannot be replaced; choose a network whose ReLUs are layers"
        )
