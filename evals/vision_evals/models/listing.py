"""What ``evals models`` lists, without loading any weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vision_evals.core.errors import UserError
from vision_evals.models.build import preprocessing, published_metrics, source_of, unavailable
from vision_evals.models.card import Card
from vision_evals.models.registry import PACKAGED, Registry, torchvision_names


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One classifier that can be named."""

    name: str
    """As ``--evals-model`` takes it."""
    kind: str
    """``card``, ``recipe``, ``packaged`` or ``torchvision``."""
    unavailable: str | None = None
    """Why it cannot be used, or not without a download; None if it can."""
    input: str = ""
    """The preprocessing in words."""
    top1: float | None = None
    """Published accuracy as a fraction, or None."""
    top5: float | None = None
    """Published accuracy as a fraction, or None."""


def list_models(registry: Registry) -> tuple[ListedModel, ...]:
    """Return the user's cards, the packaged classifiers and torchvision's networks."""
    return (
        *(_listed(name, "card", *registry.cards[name]) for name in registry.cards),
        *(_listed(name, "packaged", *registry.card(name)) for name in PACKAGED),
        *(
            _listed(name, "torchvision", Card(network=f"torchvision:{name}"), Path())
            for name in torchvision_names()
        ),
    )


def _listed(name: str, kind: str, card: Card, base: Path) -> ListedModel:
    if card.recipe is not None:
        origin = card.network or f"from {card.start}"
        return ListedModel(name, "recipe", input=f"{origin} on {card.recipe.data}, trained here")
    try:
        facts = source_of(card).facts(card)
        words = str(preprocessing(name, card, facts))
        published = published_metrics(card, facts)
        reason = unavailable(card, base)
    except UserError as error:
        return ListedModel(name, kind, str(error))
    top1, top5 = published.get("top1_accuracy"), published.get("top5_accuracy")
    return ListedModel(name, kind, reason, words, top1, top5)
