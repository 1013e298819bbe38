"""Mistakes in a recipe that are refused before anything runs. Imports torch only inside."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from vision_evals.core.errors import UnavailableError, UserError
from vision_evals.models.card import Card
from vision_evals.models.recipe import BUILT_IN_DATA, NETWORKS, Recipe
from vision_evals.models.training import datasets
from vision_evals.models.training.split import split_folder


def check_recipe(card: Card, name: str, base: Path) -> None:
    """Refuse the mistakes in a recipe that can be found at collection.

    Args:
        card: with a recipe.
        name: of the card, for messages.
        base: the folder that its relative paths start from.

    Raises:
        UnavailableError: its data or a package is not on this machine; the message says how to
            get it.
        UserError: any mistake in it, with the repair.
    """
    recipe, where = card.recipe, f"[models.{name}]"
    assert recipe is not None
    refuse_contradictions(card, where)
    place = datasets.place(recipe, base, where)
    if place is not None and recipe.data not in BUILT_IN_DATA:
        split_folder(place, recipe, f'{where}: data = "{recipe.data}"')
    if card.start is None and card.network not in NETWORKS:
        _network(card, recipe, where)


def refuse_contradictions(card: Card, where: str) -> None:
    """Raise a UserError where keys of a card contradict each other."""
    recipe = card.recipe
    assert recipe is not None
    if card.input is not None:
        raise UserError(f"{where}: the input of a recipe follows from its size; leave out input")
    if card.start is None:
        return
    for key, overwrites in (
        ("init", recipe.init != "default"),
        ("bias_start", recipe.bias_start is not None),
    ):
        if overwrites:
            raise UserError(
                f'{where}: {key} would overwrite what start = "{card.start}" has learnt; '
                "leave it out"
            )


def _network(card: Card, recipe: Recipe, where: str) -> None:
    """Build a network of torchvision's on the meta device, and run it: no memory, no arithmetic."""
    import torch

    from vision_evals.models.training import networks

    if card.source == "timm" and find_spec("timm") is None:
        raise UnavailableError(
            f"{where}: {card.network} needs timm; pip install 'vision-evals[timm]'"
        )
    if card.source not in {"torchvision", "packaged", card.network}:
        return  # the user's own is built when it is trained
    networks.torchvision_name(card, where)
    size = recipe.size or (32 if recipe.data in BUILT_IN_DATA else 224)
    classes = 10
    meta = torch.device("meta")
    with meta, torch.random.fork_rng(devices=[]):
        network = networks.build_untrained(card, Path(), classes, size, where)
        networks.prepare(network, recipe, where)
        networks.refuse_unfit(network, recipe, size, classes, where, meta)
