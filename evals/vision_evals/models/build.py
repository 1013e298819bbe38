"""From a card to a classifier: fetched, verified, frozen, in eval mode."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from vision_evals.core.errors import UserError
from vision_evals.core.paths import user_path
from vision_evals.images.labels import class_map
from vision_evals.models import packaged, timm, torchvision, user_modules
from vision_evals.models.card import Card, Input
from vision_evals.models.checkpoint import load_state_dict, refuse_not_finite
from vision_evals.models.classifier import Classifier
from vision_evals.models.fingerprint import fingerprint
from vision_evals.models.layout import arrange
from vision_evals.models.source import Blueprint, NetworkFacts, NetworkSource, Weights
from vision_evals.models.user_modules import as_user_error
from vision_evals.models.weights_file import sha256_of

_SOURCES: Mapping[str, NetworkSource] = {
    "torchvision": torchvision,
    "timm": timm,
    "packaged": packaged,
}


def build(
    alias: str, card: Card, base: Path, *, download: bool, checkpoint: Path | None = None
) -> Classifier:
    """Build what a card describes.

    Args:
        alias: its name in ids and thresholds.
        card: how to build it.
        base: the folder that the card's paths are relative to.
        download: whether published weights may be fetched.
        checkpoint: replaces the weights of the card; the preprocessing stays.

    Raises:
        UnavailableError: weights or packages are missing on this machine.
        UserError: a mistake in the card, the file or the user's module.
        torch.OutOfMemoryError: unchanged.
    """
    if checkpoint is not None:  # without hash and published metrics of the card's own weights
        path = str(checkpoint.absolute())
        card = card.model_copy(update={"checkpoint": path, "sha256": None, "published": {}})
    with as_user_error(f"{alias}: {card.network} cannot be built"):
        return _build(alias, card, base, download=download)


def _build(alias: str, card: Card, base: Path, *, download: bool) -> Classifier:
    source = source_of(card)
    settings = preprocessing(alias, card, source.facts(card))
    classes = class_map(card.classes, base)
    weights = _weights(alias, card, base, source, download=download)
    where = f"{alias}: {weights.origin} for {card.network}"
    # a network draws its first weights from the global generator, which must stay as it is
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        blueprint = Blueprint(card, base, weights.state, len(classes), where)
        network, taken_off = source.network(blueprint)
    _refuse_without_numbers(network, where)
    network.cpu()
    refuse_not_finite(network.state_dict(), where)
    network.eval()  # one of the user's own may forget to return itself
    network.requires_grad_(requires_grad=False)
    arrange(network, settings.geometry.size, tried=card.source in {"torchvision", "packaged"})
    return Classifier(
        alias=alias,
        card=card,
        network=network,
        input=settings,
        classes=classes,
        fingerprint=fingerprint(network, settings, classes.fingerprint, card),
        weights=weights.origin,
        taken_off=taken_off,
        sha256=weights.sha256,
        published=published_metrics(card, source.facts(card)),
    )


def _refuse_without_numbers(network: nn.Module, where: str) -> None:
    """Raise a UserError that names the first weight without a shape, or without numbers."""
    for name, weight in (*network.named_parameters(), *network.named_buffers()):
        if is_lazy(weight):
            raise UserError(f"{where}: {name} has no shape before a first forward; give it one")
        if weight.is_meta:
            raise UserError(
                f"{where}: {name} is on the meta device, which holds no numbers; "
                "build the network on the CPU"
            )


def source_of(card: Card) -> NetworkSource:
    """Return the source of the card's network."""
    return _SOURCES.get(card.source, user_modules)


def unavailable(card: Card, base: Path) -> str | None:
    """Return why a classifier cannot be used without a download, or None."""
    if card.checkpoint is None:
        return source_of(card).unavailable(card)
    path = user_path(card.checkpoint, base)
    return None if path.is_file() else f"{path.name} is not in {path.parent}"


def preprocessing(alias: str, card: Card, facts: NetworkFacts) -> Input:
    """Return the card's input, else the published one. A guess would silently be wrong."""
    settings = card.input or facts.input
    if settings is None:
        raise UserError(
            f'{alias}: the card of {card.network} has no "input"; write how its pictures are '
            "resized, cropped and normalised, such as input = { resize = 256, crop = 224, "
            "mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }"
        )
    return settings


def published_metrics(card: Card, facts: NetworkFacts) -> Mapping[str, float]:
    """Return the metrics published for exactly these weights with this preprocessing."""
    if card.published or card.checkpoint or card.input or card.classes != "imagenet":
        return card.published
    return facts.published


def _weights(
    alias: str, card: Card, base: Path, source: NetworkSource, *, download: bool
) -> Weights:
    if card.checkpoint is None:
        return source.weights(card, download=download)
    path = user_path(card.checkpoint, base)
    try:
        state = load_state_dict(path, card.sha256)
    except UserError as error:
        raise type(error)(f"{alias}: {error}") from error
    whole = path.suffix != ".json"  # the hash of an index is not that of the weights
    return Weights(state, f"file {path.name}", sha256_of(path) if whole else None)
