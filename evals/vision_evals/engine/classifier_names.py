"""Checks that every classifier that a suite names exists. No torch."""

from __future__ import annotations

from pathlib import Path

from vision_evals.core.errors import UnavailableError, UserError, did_you_mean
from vision_evals.engine.requests import Requests
from vision_evals.models.card import Card
from vision_evals.models.registry import Registry
from vision_evals.models.request import parse_request
from vision_evals.suite.suite import Suite


def check_classifier_names(suite: Suite, registry: Registry, requests: Requests) -> None:
    """Check every classifier that a suite names against model cards and command line.

    Raises:
        UserError: one of them does not exist, or is a recipe that cannot be trained.
    """
    named = {alias for check in suite.checks for alias in check.references(None)}
    typed = requests.by_alias.keys() | (requests.series.keys() - named)
    for name in sorted({*suite.models, *suite.references()} - typed):
        _check(name, suite.path, registry, requests)
    for check in suite.checks:
        for name in check.table.models or ():
            _check(name, f'{suite.path}:{check.line}, check "{check.name}"', registry, requests)


def _check(name: str, where: str, registry: Registry, requests: Requests) -> None:
    try:
        card, base = registry.card(name)
    except UserError as error:
        hint = did_you_mean(name, requests.by_alias) if requests.by_alias else ""
        if members := requests.series.get(name):
            hint = f"; it is a series: name one of its checkpoints, such as {members[-1]}"
        raise UserError(f'{where}: classifier "{name}": {error}{hint}') from None
    if card.recipe is not None:
        try:
            _check_recipe(card, name, base, registry)
        except UnavailableError:
            return  # missing data is reported when it is needed
        except UserError as error:
            raise UserError(f'{where}: classifier "{name}": {error}') from None


def _check_recipe(card: Card, name: str, base: Path, registry: Registry) -> None:
    """Check a recipe, and the network that it starts from."""
    from vision_evals.models.training.checks import check_recipe

    if card.start is not None:
        start, _ = registry.card(parse_request(card.start, base).name)
        if start.recipe is not None:
            raise UserError(
                f'start = "{card.start}" is a recipe itself; start from a network that has '
                "weights, or save what it trained as a checkpoint and give that a card"
            )
    check_recipe(card, name, base)
