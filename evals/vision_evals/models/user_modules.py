"""Networks of the user's own: ``module:function``, called without arguments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from vision_evals.core.errors import ExitError, UserError, contained, words
from vision_evals.core.imports import importable, load
from vision_evals.models.card import Card
from vision_evals.models.fit import fit
from vision_evals.models.source import Blueprint, NetworkFacts, Weights


def facts(card: Card) -> NetworkFacts:  # noqa: ARG001 - only the card can state it
    """Return that nothing is known."""
    return NetworkFacts(None)


def unavailable(card: Card) -> str | None:  # noqa: ARG001
    """Return that nothing has to be fetched."""
    return None


def weights(card: Card, *, download: bool) -> Weights:  # noqa: ARG001
    """Return that the function brings its weights."""
    return Weights(None, f"built by {card.network}", None)


def network(blueprint: Blueprint) -> tuple[nn.Module, str]:
    """Return the network that the function builds, with a checkpoint's weights if there are any.

    How many classes it has is compared with the class map at its first logits.
    """
    built = without_weights(blueprint.card, blueprint.base, blueprint.where)
    if blueprint.state is None:
        return built, ""
    return built, fit(built, blueprint.state, blueprint.where)


def without_weights(card: Card, base: Path, where: str) -> nn.Module:
    """Return the network as the function of a card builds it.

    Args:
        card: that names the function.
        base: the folder that the card's paths are relative to.
        where: begins the messages.
    """
    with importable(base):
        build = load(card.network, base, where, "function")
        if not callable(build):
            raise UserError(f"{where}: {card.network} is not a function that builds a network")
        repair = "; it must build the network without arguments"
        with as_user_error(f"{where}: {card.network}() failed", repair):
            built = build()
    if not isinstance(built, nn.Module):
        several = isinstance(built, tuple | list) and any(isinstance(b, nn.Module) for b in built)
        repair = "; return the network alone" if several else ""
        raise UserError(
            f"{where}: {card.network}() returned a {type(built).__name__}, not a torch.nn.Module"
            + repair
        )
    return built


@contextmanager
def as_user_error(failure: str, repair: str = "") -> Iterator[None]:
    """Turn what the code of a network raises into a UserError: it fails this classifier alone.

    A network may be of any class and raise anything. A UserError stays as it is, and so does
    ``torch.OutOfMemoryError``.

    Args:
        failure: begins the message.
        repair: ends it.
    """
    try:
        with contained():
            yield
    except Exception as error:
        told = isinstance(error, UserError | torch.OutOfMemoryError)
        if told and not isinstance(error, ExitError):
            raise
        raise UserError(f"{failure}: {words(error)}{repair}") from error
