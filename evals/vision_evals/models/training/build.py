"""From a card with a recipe to trained classifiers, one a seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from vision_evals import log
from vision_evals.core.progress import Progress
from vision_evals.images.geometry import Geometry
from vision_evals.models.card import Card, Input
from vision_evals.models.classifier import Classifier, Normalise
from vision_evals.models.device import numerics
from vision_evals.models.fingerprint import fingerprint
from vision_evals.models.recipe import BUILT_IN_DATA, Recipe
from vision_evals.models.training import networks, store
from vision_evals.models.training.checks import refuse_contradictions
from vision_evals.models.training.data import Data, load
from vision_evals.models.training.loop import seeded, train
from vision_evals.models.user_modules import as_user_error


def train_recipe(
    alias: str,
    card: Card,
    base: Path,
    start: Classifier | None,
    *,
    cache: Path,
    device: torch.device,
    show: Progress,
) -> tuple[Classifier, ...]:
    """Train what a card describes, or read from the cache what an earlier run trained.

    Args:
        alias: its name in ids and thresholds.
        card: with a recipe.
        base: the folder that the card's paths are relative to.
        start: the classifier of ``card.start``, which is copied; None without one.
        cache: the folder for finished trainings; each is written as soon as it is done.
        device: where it is trained, in fp32, and where the classifiers are left.
        show: reports the progress.

    Returns:
        One classifier a seed, in the recipe's order: in eval mode, frozen, ``training`` filled.

    Raises:
        UnavailableError: the data or a package is missing on this machine.
        UserError: a mistake in the recipe, its data or the network.
        torch.OutOfMemoryError: unchanged.
    """
    recipe = card.recipe
    assert recipe is not None
    refuse_contradictions(card, alias)
    data = load(recipe, base, "bilinear" if start is None else start.input.interpolation, alias)
    preprocessing = _input(start, recipe.data, data.geometry)
    shared = _Shared(alias, card, recipe, base, start, data, preprocessing, device)
    classifiers = []
    for place, seed in enumerate(recipe.seeds, 1):
        with as_user_error(f"{alias}: cannot be built"):
            network = shared.untrained(seed).to(device)
        file = store.training_file(
            cache, card, seed, start, network, preprocessing, data, device=device
        )
        training = store.read(file, network)
        if training is None:
            title = f"{alias}, seed {seed} ({place} of {len(recipe.seeds)})"
            training = shared.train(title, network, seed, show)
            store.write(file, network, training)
        classifiers.append(shared.classifier(network, training))
    return tuple(classifiers)


@dataclass(frozen=True)
class _Shared:
    """What the trainings of one recipe share, whatever their seed."""

    alias: str
    card: Card
    recipe: Recipe
    base: Path
    start: Classifier | None
    data: Data
    preprocessing: Input
    device: torch.device

    def untrained(self, seed: int) -> nn.Module:
        """Return the network before its first step, on the CPU."""
        alias, classes, size = self.alias, self.data.classes, self.data.geometry.crop
        assert isinstance(size, int)
        cpu = torch.device("cpu")
        with seeded(seed, "init", cpu):
            if self.start is None:
                built = networks.build_untrained(self.card, self.base, len(classes), size, alias)
                network = built.cpu()
            else:
                network = networks.continue_from(self.start, classes, alias)
            networks.prepare(network, self.recipe, alias)
        network.requires_grad_(requires_grad=True)
        networks.refuse_unfit(network, self.recipe, size, len(classes), alias, cpu)
        return network

    def train(self, title: str, network: nn.Module, seed: int, show: Progress) -> log.Training:
        """Train a network in place, and return how that went."""
        data, recipe, device = self.data, self.recipe, self.device
        steps = -(-len(data.train) // recipe.batch_size)
        normalise = Normalise(self.preprocessing).to(device)
        alone = len(data.train) % recipe.batch_size == 1
        hint = "; the last batch holds one picture, so try another batch_size" if alone else ""
        with (
            as_user_error(f"{title}: cannot be trained", hint),
            numerics(device, "fp32"),
            show(title, recipe.epochs * steps, unit="steps") as advance,
        ):
            return train(network, normalise, data, recipe, seed, device=device, advance=advance)

    def classifier(self, network: nn.Module, training: log.Training) -> Classifier:
        """Return the classifier of a finished training, on the device."""
        network.eval().requires_grad_(requires_grad=False)
        classes, preprocessing = self.data.classes, self.preprocessing
        return Classifier(
            alias=self.alias,
            card=self.card,
            network=network,
            input=preprocessing,
            classes=classes,
            fingerprint=fingerprint(network, preprocessing, classes.fingerprint, self.card),
            weights=f"trained on {training.data}",
            training=training,
        ).to(self.device)


def _input(start: Classifier | None, data: str, geometry: Geometry) -> Input:
    """Return the preprocessing that the network is trained, validated and judged with."""
    if start is None:
        plain = data in BUILT_IN_DATA  # pixels in [0, 1] as they are: black backgrounds stay 0
        mean, std = (0.0, 1.0) if plain else (0.5, 0.5)
        return Input(resize=geometry.resize, crop=geometry.crop, mean=(mean,) * 3, std=(std,) * 3)
    cut = {"resize": geometry.resize, "crop": geometry.crop}
    return start.input.model_copy(update=cut)
