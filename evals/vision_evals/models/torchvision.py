"""torchvision's networks with torchvision's weights and transforms."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, cast

from torch import nn

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.images.light_torchvision import models
from vision_evals.models.card import Card, Input
from vision_evals.models.checkpoint import load_state_dict
from vision_evals.models.download import fetch, hash_digits, hub_file, missing
from vision_evals.models.fit import fit
from vision_evals.models.registry import torchvision_names
from vision_evals.models.source import Blueprint, NetworkFacts, Weights
from vision_evals.models.weights_file import sha256_of

_METRICS = {"acc@1": "top1_accuracy", "acc@5": "top5_accuracy"}


def facts(card: Card) -> NetworkFacts:
    """Return the transforms and accuracies that torchvision publishes for the card's weights."""
    published = _published(card)
    transforms = published.transforms()
    accuracies = published.meta["_metrics"]["ImageNet-1K"]
    preprocessing = Input(
        resize=transforms.resize_size[0],
        crop=transforms.crop_size[0],
        interpolation=transforms.interpolation.value,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
    )
    # percentages have three decimals: fractions have five
    return NetworkFacts(
        preprocessing, {name: round(accuracies[k] / 100, 5) for k, name in _METRICS.items()}
    )


def unavailable(card: Card) -> str | None:
    """Return why the weights cannot be had without a download, or None."""
    return missing(hub_file(_published(card).url))


def weights(card: Card, *, download: bool) -> Weights:
    """Return torchvision's weights, whose hash is verified also when they were cached."""
    published = _published(card)
    file = fetch(published.url, download=download)
    state = load_state_dict(file, card.sha256 or hash_digits(file))
    return Weights(state, f"torchvision {published}", sha256_of(file))


def network(blueprint: Blueprint) -> tuple[nn.Module, str]:
    """Return the network as torchvision's builder returns it with weights, and what `fit` says."""
    card, state, classes = blueprint.card, blueprint.state, blueprint.classes
    assert state is not None
    published = _published(card)
    options: dict[str, object] = {}
    if card.name == "googlenet":
        heads = any("aux1." in name for name in state)
        options = {"transform_input": True, "aux_logits": heads, "init_weights": False}
    elif card.name == "inception_v3":
        heads = any("AuxLogits." in name for name in state)
        options = {"transform_input": True, "aux_logits": heads, "init_weights": False}
    elif card.name.startswith("vit_"):
        options = {"image_size": published.meta["min_size"][0]}
    built: Any = without_weights(card.name, classes, options)
    taken_off = fit(built, state, blueprint.where)
    if card.name == "googlenet":  # its auxiliary heads were never trained
        built.aux_logits, built.aux1, built.aux2 = False, None, None
    return cast("nn.Module", built), taken_off


def without_weights(name: str, classes: int, options: Mapping[str, object]) -> nn.Module:
    """Return a network of torchvision's with its first weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torchvision
        network: nn.Module = models.get_model(name, weights=None, num_classes=classes, **options)
    return network


def _published(card: Card) -> models.WeightsEnum:
    if card.name not in torchvision_names():
        near = did_you_mean(card.name, torchvision_names())
        raise UserError(f'torchvision has no classification network "{card.name}"{near}')
    choices = {
        published.name: published
        for published in models.get_model_weights(card.name)
        if "ImageNet-1K" in published.meta["_metrics"] and published.meta["categories"]
    }
    if card.weights is None:
        return models.get_model_weights(card.name).DEFAULT
    if card.weights not in choices:
        near = did_you_mean(card.weights, choices)
        raise UserError(f'{card.network} has no published weights "{card.weights}"{near}')
    return choices[card.weights]
