"""Networks of the user's own: ``module:function``, called without arguments."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor, nn

from evals.classifiers.card import Card
from evals.classifiers.checkpoint import fit
from evals.classifiers.source import Facts, Weights
from evals.errors import UserError, did_you_mean


def facts(card: Card) -> Facts:  # noqa: ARG001 - only the card's author knows
    """Return that nothing is known."""
    return Facts(None)


def unavailable(card: Card) -> str | None:  # noqa: ARG001
    """Return that nothing has to be fetched."""
    return None


def weights(card: Card, *, download: bool) -> Weights:  # noqa: ARG001
    """Return that the function brings its weights."""
    return Weights(None, f"built by {card.network}", None)


def network(
    card: Card,
    base: Path,
    state: Mapping[str, Tensor] | None,
    classes: int,  # noqa: ARG001 - the first logits are compared with the class map
    where: str,
) -> nn.Module:
    """Return what the function returns, with the checkpoint's weights if there are any."""
    module, _, function = card.network.partition(":")
    with _importable(base):
        _refuse_namesakes(module.partition(".")[0], base, where)
        try:
            loaded = importlib.import_module(module)
        except Exception as error:
            missing = isinstance(error, ModuleNotFoundError) and error.name in _parents(module)
            repair = f"; {base} holds no such module and none is installed" if missing else ""
            raise UserError(f"{where}: cannot import {module}: {_words(error)}{repair}") from error
        if not callable(build := getattr(loaded, function, None)):
            near = did_you_mean(function, (name for name in vars(loaded) if name[0] != "_"))
            raise UserError(f'{where}: {loaded.__file__} has no function "{function}"{near}')
        try:
            built = build()
        except Exception as error:
            raise UserError(
                f"{where}: {card.network}() failed: {_words(error)}; "
                "it must build the network without arguments"
            ) from error
    if not isinstance(built, nn.Module):
        raise UserError(
            f"{where}: {card.network}() returned a {type(built).__name__}, not a torch.nn.Module"
        )
    if state is not None:
        fit(built, state, where)
    return built


def _refuse_namesakes(package: str, base: Path, where: str) -> None:
    wanted = importlib.machinery.PathFinder.find_spec(package, [str(base.resolve())])
    there = getattr(sys.modules.get(package), "__spec__", None)
    if wanted and there and wanted.origin != there.origin:
        raise UserError(
            f"{where}: {wanted.origin} and {there.origin} have one name, and the second is "
            "already imported; rename the first"
        )


def _parents(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[: n + 1]) for n in range(len(parts))}


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


@contextmanager
def _importable(base: Path) -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, str(base.resolve()))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
