"""Recipes small enough to be trained in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from vision_evals.core.progress import Advance
from vision_evals.models.card import Card
from vision_evals.models.classifier import Classifier
from vision_evals.models.training.build import plan_recipe, train_recipe

CPU = torch.device("cpu")
SGD = {"lr": 0.05, "momentum": 0.9}


@contextmanager
def quiet(title: str, total: int, unit: str = "images") -> Iterator[Advance]:
    def advance(n: int, message: str = "") -> None:
        pass

    yield advance


def _card(network: str = "small_cnn", **recipe: Any) -> Card:
    given = {"data": "digits", "optimizer": SGD, "epochs": 1, "size": 8, "examples": 150}
    return Card.model_validate({"network": network, "recipe": given | recipe})


@pytest.fixture
def fit(tmp_path: Path) -> Callable[..., tuple[Classifier, ...]]:
    """Return a function that trains a recipe, its cache in a folder of the test's own."""

    def run(
        network: str = "small_cnn",
        base: Path = tmp_path,
        start: Classifier | None = None,
        **recipe: Any,
    ) -> tuple[Classifier, ...]:
        card = _card(network, **recipe)
        if start is not None:
            table = card.model_dump(exclude_none=True, include={"recipe"})
            card = Card.model_validate({"start": start.alias, **table})
        plan = plan_recipe("net", card, base, start, CPU)
        return train_recipe(plan, cache=tmp_path / "cache", show=quiet)

    return run


@pytest.fixture
def card_of() -> Callable[..., Card]:
    """Return a function of a network's name and keys of the recipe."""
    return _card
