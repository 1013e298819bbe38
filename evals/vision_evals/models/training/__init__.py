"""Recipes become trained classifiers. Imports no torch before something is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals.models.training.checks import check

if TYPE_CHECKING:
    import torch

    from vision_evals.core.progress import Progress
    from vision_evals.models.card import Card
    from vision_evals.models.classifier import Classifier

__all__ = ["check", "trained"]


def trained(
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

    Args:
        alias: its name in ids and thresholds.
        card: with a recipe.
        base: the folder that the card's paths are relative to.
        start: the classifier of ``card.start``, which is copied; None without one.
        cache: the folder below which finished trainings are kept, each as soon as it is done.
        device: where it is trained, in fp32, and where the classifiers are left.
        show: told how far it is.

    Returns:
        One classifier a seed, in the recipe's order: in eval mode, frozen, ``training`` filled.

    Raises:
        UnavailableError: the data or a package is not to be had here.
        UserError: a mistake in the recipe, its data or the network.
        torch.OutOfMemoryError: as it came.
    """
    from vision_evals.models.training.build import build

    return build(alias, card, base, start, cache=cache, device=device, show=show)
