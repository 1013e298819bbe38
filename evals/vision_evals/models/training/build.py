"""From a card with a recipe to trained classifiers, one a seed."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from vision_evals import log
from vision_evals.core.progress import Advance, Progress, titled
from vision_evals.images.geometry import Geometry
from vision_evals.models.card import Card, Input
from vision_evals.models.classifier import Classifier, Normalise
from vision_evals.models.device import numerics
from vision_evals.models.fingerprint import fingerprint
from vision_evals.models.layout import arrange
from vision_evals.models.processes import one_thread
from vision_evals.models.recipe import BUILT_IN_DATA, Recipe
from vision_evals.models.training import networks, store
from vision_evals.models.training.checks import refuse_contradictions
from vision_evals.models.training.data import Data, load
from vision_evals.models.training.loop import seeded, train
from vision_evals.models.user_modules import as_user_error


@dataclass(frozen=True, slots=True)
class Trained:
    """A training of this run."""

    training: log.Training
    state: dict[str, Tensor]
    """The trained weights."""


Finished = MutableMapping[tuple[str, int], Trained]
"""By alias and seed."""


@dataclass(frozen=True)
class RecipePlan:
    """What the trainings of one recipe share, whatever their seed."""

    alias: str
    card: Card
    recipe: Recipe
    base: Path
    start: Classifier | None
    data: Data
    preprocessing: Input
    device: torch.device
    _files: dict[int, Path] = field(default_factory=dict)
    _networks: dict[int, nn.Module] = field(default_factory=dict)
    """By seed: untrained, and not asked for yet."""

    @property
    def steps(self) -> int:
        """Of one training, at most."""
        return self.recipe.epochs * -(-len(self.data.train) // self.recipe.batch_size)

    def title(self, seed: int) -> str:
        """Return what progress calls a training."""
        seeds = self.recipe.seeds
        return f"{self.alias}, seed {seed} ({seeds.index(seed) + 1} of {len(seeds)})"

    def file(self, cache: Path, seed: int) -> Path:
        """Return where a training is kept."""
        if seed not in self._files:
            network = self._networks[seed] = self._build(seed)
            self._files[seed] = store.training_file(
                *(cache, self.card, seed, self.start, network, self.preprocessing, self.data),
                device=self.device,
            )
        return self._files[seed]

    def untrained(self, seed: int) -> nn.Module:
        """Return the network before its first step; each call has one of its own."""
        network = self._networks.pop(seed, None)
        return self._build(seed) if network is None else network

    def _build(self, seed: int) -> nn.Module:
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
        with as_user_error(f"{alias}: cannot be built"):
            arrange(network, self.data.geometry.size)
            return network.to(self.device)

    def train(self, network: nn.Module, seed: int, advance: Advance) -> log.Training:
        """Train a network in place, and return how that went."""
        data, recipe, device, title = self.data, self.recipe, self.device, self.title(seed)
        normalise = Normalise(self.preprocessing).to(device)
        alone = len(data.train) % recipe.batch_size == 1
        hint = "; the last batch holds one picture, so try another batch_size" if alone else ""
        with as_user_error(f"{title}: cannot be trained", hint), numerics(device, "fp32"):
            return train(network, normalise, data, recipe, seed, device=device, advance=advance)

    def classifier(self, network: nn.Module, training: log.Training) -> Classifier:
        """Return the classifier of a finished training, on the device."""
        network.eval()  # one of the user's own may forget to return itself
        network.requires_grad_(requires_grad=False)
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


def plan_recipe(
    alias: str, card: Card, base: Path, start: Classifier | None, device: torch.device
) -> RecipePlan:
    """Load what the trainings of a recipe share.

    Args:
        alias: its name in ids and thresholds.
        card: with a recipe.
        base: the folder that the card's paths are relative to.
        start: the classifier of ``card.start``, which is copied; None without one.
        device: where it is trained, in fp32, and where the classifiers are left.

    Raises:
        UnavailableError: the data or a package is missing on this machine.
        UserError: a mistake in the recipe or its data.
    """
    recipe = card.recipe
    assert recipe is not None
    refuse_contradictions(card, alias)
    data = load(recipe, base, "bilinear" if start is None else start.input.interpolation, alias)
    preprocessing = _input(start, recipe.data, data.geometry)
    return RecipePlan(alias, card, recipe, base, start, data, preprocessing, device)


def train_recipe(
    plan: RecipePlan, *, cache: Path, show: Progress, finished: Finished | None = None
) -> tuple[Classifier, ...]:
    """Train what a card describes, or read from the cache what an earlier run trained.

    On a CPU with one thread, so that the weights do not depend on the number of cores.

    Args:
        plan: of the card.
        cache: the folder for finished trainings; each is written as soon as it is done.
        show: reports the progress.
        finished: trainings of this run; those of the plan are taken out.

    Returns:
        One classifier a seed, in the recipe's order: in eval mode, frozen, ``training`` filled.

    Raises:
        UserError: a mistake in the recipe, its data or the network.
        torch.OutOfMemoryError: unchanged.
    """
    classifiers = []
    with one_thread(plan.device):
        for seed in plan.recipe.seeds:
            trained = None if finished is None else finished.pop((plan.alias, seed), None)
            file = plan.file(cache, seed)
            network = plan.untrained(seed)
            if trained is None:
                training = _trained(plan, seed, network, file, show)
            else:
                network.load_state_dict(trained.state)
                training = trained.training
            classifiers.append(plan.classifier(network, training))
    return tuple(classifiers)


def _input(start: Classifier | None, data: str, geometry: Geometry) -> Input:
    """Return the preprocessing that the network is trained, validated and judged with."""
    if start is None:
        plain = data in BUILT_IN_DATA  # pixels in [0, 1] as they are: black backgrounds stay 0
        mean, std = (0.0, 1.0) if plain else (0.5, 0.5)
        return Input(resize=geometry.resize, crop=geometry.crop, mean=(mean,) * 3, std=(std,) * 3)
    cut = {"resize": geometry.resize, "crop": geometry.crop}
    return start.input.model_copy(update=cut)


def _trained(
    plan: RecipePlan, seed: int, network: nn.Module, file: Path, show: Progress
) -> log.Training:
    """Read a training from the cache, or train."""
    if (kept := store.read(file, network)) is not None:
        return kept
    with titled(show, plan.title(seed))("epoch 1", plan.steps, unit="steps") as advance:
        training = plan.train(network, seed, advance)
    store.write(file, network.state_dict(), training)
    return training
