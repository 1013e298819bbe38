"""Networks before their first step: small ones, torchvision's, the user's own, trained ones.

And what a recipe changes in them: activations, dropout, first weights and biases.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.images.labels import ClassMap
from vision_evals.models import user_modules
from vision_evals.models.card import Card
from vision_evals.models.classifier import Classifier
from vision_evals.models.hooks.activations import FUNCTIONS, activation
from vision_evals.models.hooks.watch import Call, watching
from vision_evals.models.recipe import NETWORKS, Recipe
from vision_evals.models.registry import torchvision_names
from vision_evals.models.timm import load_timm

Layer = _ConvNd | nn.Linear

_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


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


_SMALL = {"small_cnn": small_cnn, "small_alexnet": small_alexnet}


def build_untrained(card: Card, base: Path, classes: int, size: int, where: str) -> nn.Module:
    """Build the network that a card names, weights drawn from the global generator.

    Args:
        card: its ``network`` is a small one, torchvision's with or without ``torchvision:``,
            ``timm:NAME``, or ``module:function``, which builds it without arguments.
        base: the folder of the user's own module.
        classes: how many outputs it is to have.
        size: side of the pictures in pixels.
        where: begins every message.

    Raises:
        UserError: the network is unknown, or cannot be built.
    """
    if card.network in _SMALL:
        return _SMALL[card.network](classes)
    if card.source == "timm":
        with user_modules.as_user_error(f"{where}: timm cannot build {card.name}"):
            network: nn.Module = load_timm().create_model(card.name, num_classes=classes)
        return network
    if card.source not in {"torchvision", "packaged", card.network}:
        return user_modules.without_weights(card, base, where)
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
    from vision_evals.models.torchvision import without_weights

    options: dict[str, object] = {}
    if name in {"googlenet", "inception_v3"}:  # one output, and torch's initialisation
        options = {"aux_logits": False, "init_weights": False}
    elif name.startswith("vit_"):
        options = {"image_size": size}
    with user_modules.as_user_error(f"{where}: {name} cannot be built at size = {size}"):
        return without_weights(name, classes, options)


def continue_from(start: Classifier, classes: ClassMap, where: str) -> nn.Module:
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
    old = network.get_submodule(heads[-1])
    network.set_submodule(heads[-1], _new_head(old, len(classes)))
    return network


def _new_head(old: nn.Module, outputs: int) -> nn.Module:
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, outputs, bias=old.bias is not None)
    assert isinstance(old, nn.Conv2d)
    return nn.Conv2d(old.in_channels, outputs, 1, bias=old.bias is not None)


def refuse_unfit(
    network: nn.Module, recipe: Recipe, size: int, classes: int, where: str, device: torch.device
) -> None:
    """Refuse a network that cannot be trained as its recipe says.

    The network computes the logits of two black pictures, in eval mode and on its device, which
    may be ``meta``.

    Raises:
        UserError: it does not give one row of logits for each picture of this size, or it calls an
            activation that the recipe replaces as a function.
    """
    try:
        logits = _on_black(network, size, device)
    except Exception as error:
        raise UserError(
            f"{where}: the network cannot run on pictures of {size} x {size} pixels: {error}; "
            "write another size"
        ) from error
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != (2, classes):
        raise UserError(
            f"{where}: for 2 pictures the network returns {shape}, not logits of shape "
            f"{(2, classes)}: one column for each class of the data"
        )
    if recipe.activation not in {None, "relu"}:
        _refuse_functions(network, recipe, size, where, device)


def _refuse_functions(
    network: nn.Module, recipe: Recipe, size: int, where: str, device: torch.device
) -> None:
    relus: list[str] = []

    def note(call: Call) -> Tensor:
        kind = activation(call)
        if kind is not None and kind.family == "rectifier":
            relus.append(str(call))
        return call.run()

    with watching(network, FUNCTIONS, note):
        _on_black(network, size, device)
    if relus:
        raise UserError(
            f'{where}: activation = "{recipe.activation}": {relus[0]} is a ReLU called as a '
            "function, which cannot be replaced; choose a network whose ReLUs are layers"
        )


def _on_black(network: nn.Module, size: int, device: torch.device) -> object:
    """Return the output for two black pictures, in eval mode."""
    training = network.training
    try:
        with torch.no_grad():
            network.eval()
            return network(torch.zeros(2, 3, size, size, device=device))
    finally:
        network.train(training)


def layers(network: nn.Module) -> list[tuple[str, Layer]]:
    """Return convolutions and dense layers by name, in the order of their definition."""
    return [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, _ConvNd | nn.Linear)
    ]


def is_head(layer: Layer, outputs: int) -> bool:
    """Return whether a layer can be a network's last, with so many outputs."""
    if isinstance(layer, nn.Linear):
        return layer.out_features == outputs
    return (
        isinstance(layer, nn.Conv2d)
        and layer.out_channels == outputs
        and layer.kernel_size == (1, 1)
    )


def prepare(network: nn.Module, recipe: Recipe, where: str) -> None:
    """Put the recipe's activation, dropout, first weights and biases into a network.

    Weights are drawn from the global generator.

    Raises:
        UserError: the network has nothing of the kind.
    """
    if recipe.activation is not None:
        _activate(network, recipe.activation, where)
    if recipe.dropout is not None:
        dropouts = [m for m in network.modules() if isinstance(m, _DropoutNd)]
        if not dropouts:
            raise UserError(
                f"{where}: dropout = {recipe.dropout:g}: the network has no dropout layer"
            )
        for layer in dropouts:
            layer.p = recipe.dropout
    if recipe.init != "default":
        draw = _initialiser(recipe.init)
        for _, weighted in layers(network):
            draw(weighted.weight)
    if recipe.bias_start is not None:
        biases = [layer.bias for _, layer in layers(network)[:-1] if layer.bias is not None]
        if not biases:
            raise UserError(
                f"{where}: bias_start = {recipe.bias_start:g}: the network has no bias in a "
                "convolution or dense layer before its last"
            )
        for bias in biases:
            nn.init.constant_(bias, recipe.bias_start)


def _activate(network: nn.Module, name: str, where: str) -> None:
    replaced = False
    for parent in list(network.modules()):
        for key, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU | nn.ReLU6):
                setattr(parent, key, _ACTIVATIONS[name]())
                replaced = True
    if not replaced:
        raise UserError(
            f'{where}: activation = "{name}": the network has no ReLU layer that it could replace '
            "(ReLUs called as functions cannot be replaced)"
        )


def _initialiser(init: str) -> Callable[[Tensor], Tensor]:
    """Return what fills weights.

    ``kaiming``: normal, for ReLUs (He et al. 2015, equation 10); ``xavier``: uniform (Glorot and
    Bengio 2010, equation 16); ``normal:STD``.
    """
    if init == "kaiming":
        return lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu")
    if init == "xavier":
        return nn.init.xavier_uniform_
    std = float(init.partition(":")[2])
    return lambda weight: nn.init.normal_(weight, std=std)


def small_weight_fraction(network: nn.Module) -> float | None:
    """Return the share of weights below 1e-3 of the largest in their layer, in absolute value."""
    small = total = 0
    for _, layer in layers(network):
        sizes = layer.weight.detach().abs()
        small += int((sizes <= 1e-3 * sizes.max()).sum())
        total += sizes.numel()
    return small / total if total else None
