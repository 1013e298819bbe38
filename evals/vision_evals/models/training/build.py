"""From a card with a recipe to trained classifiers, one a seed."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.progress import Progress
from vision_evals.images.geometry import Geometry
from vision_evals.models.card import Card, Input
from vision_evals.models.classifier import Classifier
from vision_evals.models.device import numerics
from vision_evals.models.fingerprint import fingerprint
from vision_evals.models.normalise import Normalise
from vision_evals.models.recipe import BUILT_IN_DATA
from vision_evals.models.training import store
from vision_evals.models.training.checks import refuse
from vision_evals.models.training.data import Data, load
from vision_evals.models.training.layers import prepare
from vision_evals.models.training.loop import train
from vision_evals.models.training.networks import continued, fresh, refuse_functions, refuse_unfit
from vision_evals.models.training.seeds import seeded


def build(
    alias: str,
    card: Card,
    base: Path,
    start: Classifier | None,
    *,
    cache: Path,
    device: torch.device,
    show: Progress,
) -> tuple[Classifier, ...]:
    """Train what a card describes, or read from the cache what was trained before.

    See `vision_evals.models.training.trained`.
    """
    recipe = card.recipe
    assert recipe is not None
    refuse(card, alias)
    data = load(recipe, base, "bilinear" if start is None else start.input.interpolation, alias)
    given = _input(start, recipe.data, data.geometry)
    found = []
    for place, seed in enumerate(recipe.seeds, 1):
        network = _prepared(alias, card, base, start, data, seed).to(device)
        file = store.entry(
            cache,
            card,
            seed,
            start=None if start is None else start.fingerprint,
            untrained=fingerprint(network, given, data.classes.fingerprint, card),
            answers=store.answers(network, data.geometry.size, device),
            data=data.fingerprint,
            device=device,
        )
        training = store.read(file, network)
        if training is None:
            title = f"{alias}, seed {seed} ({place} of {len(recipe.seeds)})"
            training = _trained(title, network, given, data, card, seed, device, show)
            _keep(file, network, training)
        found.append(_classifier(alias, card, network, given, data, training).to(device))
    return tuple(found)


def _keep(file: Path, network: nn.Module, training: log.Training) -> None:
    try:
        store.write(file, network, training)
    except UserError as error:  # hours of training are worth more than their copy
        warnings.warn(f"{error}; it is judged, and trained again next time", stacklevel=2)


def _prepared(
    alias: str, card: Card, base: Path, start: Classifier | None, data: Data, seed: int
) -> nn.Module:
    try:
        return _untrained(alias, card, base, start, data, seed)
    except (UserError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        # a network may be of any class: whatever that raises fails this recipe alone
        raise UserError(f"{alias}: cannot be built: {type(error).__name__}: {error}") from error


def _untrained(
    alias: str, card: Card, base: Path, start: Classifier | None, data: Data, seed: int
) -> nn.Module:
    recipe, classes, size = card.recipe, data.classes, data.geometry.crop
    assert recipe is not None
    assert isinstance(size, int)
    cpu = torch.device("cpu")
    with seeded(seed, "init", cpu):
        if start is None:
            network = fresh(card, base, len(classes), size, alias).cpu()
        else:
            network = continued(start, classes, alias)
        prepare(network, recipe, alias)
    network.requires_grad_(requires_grad=True)
    refuse_unfit(network, size, len(classes), alias, cpu)
    refuse_functions(network, recipe, size, alias, cpu)
    return network


def _trained(
    title: str,
    network: nn.Module,
    given: Input,
    data: Data,
    card: Card,
    seed: int,
    device: torch.device,
    show: Progress,
) -> log.Training:
    recipe = card.recipe
    assert recipe is not None
    steps = -(-len(data.train) // recipe.batch_size)
    normalise = Normalise(given).to(device)
    try:
        with (
            numerics(device, "fp32"),
            show(title, recipe.epochs * steps, unit="steps") as advance,
        ):
            return train(network, normalise, data, recipe, seed, device=device, advance=advance)
    except (UserError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        # a network may be of any class: whatever that raises fails this recipe alone
        alone = len(data.train) % recipe.batch_size == 1
        hint = "; the last batch holds one picture, so try another batch_size" if alone else ""
        raise UserError(
            f"{title}: cannot be trained: {type(error).__name__}: {error}{hint}"
        ) from error


def _input(start: Classifier | None, data: str, geometry: Geometry) -> Input:
    """Return the preprocessing that the network is trained, validated and judged with."""
    if start is None:
        plain = data in BUILT_IN_DATA  # pixels in [0, 1] as they are: black backgrounds stay 0
        mean, std = (0.0, 1.0) if plain else (0.5, 0.5)
        return Input(resize=geometry.resize, crop=geometry.crop, mean=(mean,) * 3, std=(std,) * 3)
    cut = {"resize": geometry.resize, "crop": geometry.crop}
    return start.input.model_copy(update=cut)


def _classifier(
    alias: str, card: Card, network: nn.Module, given: Input, data: Data, training: log.Training
) -> Classifier:
    network.eval().requires_grad_(requires_grad=False)
    return Classifier(
        alias=alias,
        card=card,
        network=network,
        input=given,
        classes=data.classes,
        fingerprint=fingerprint(network, given, data.classes.fingerprint, card),
        weights=f"trained on {training.data}",
        sha256=None,
        published={},
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        training=training,
    )
