"""The layers that hold weights, and what a recipe changes in a network before its first step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from vision_evals.core.errors import UserError
from vision_evals.models.recipe import Recipe

Layer = _ConvNd | nn.Linear

_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


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
