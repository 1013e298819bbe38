"""From names to model cards. Imports no torch; torchvision only when a name is looked up."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.first_import import first_import_of
from vision_evals.core.paths import data_folder
from vision_evals.core.tables import read_toml
from vision_evals.models.card import Card, parse_cards

PACKAGED = (
    "squeezenet1_1_caffe",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
)
"""Classifiers whose weights come with ordinary packages."""

_SNIPPET = """\
[models.my_net]
network = "{name}"

[models.my_net.input]
resize = 256
crop   = 224
mean   = [0.485, 0.456, 0.406]
std    = [0.229, 0.224, 0.225]"""


@dataclass(frozen=True)
class Registry:
    """The user's cards, the packaged classifiers, torchvision's and timm's."""

    cards: Mapping[str, tuple[Card, Path]] = field(default_factory=lambda: MappingProxyType({}))
    """The user's, each with the folder that its paths are relative to."""
    searched: str = "none was read"
    """Where the user's cards were looked for, and which are there."""

    @classmethod
    def read(
        cls,
        pyproject_tables: Mapping[str, Any],
        cards_file: Path | None,
        root: Path,
        pyproject: Path | None = None,
    ) -> Registry:
        """Gather the user's cards.

        Args:
            pyproject_tables: the tables under ``[tool.evals.models]``.
            cards_file: a TOML file of ``[models.NAME]`` tables.
            root: folder of the pyproject.toml.
            pyproject: that file, if there is one.

        Raises:
            UserError: a file that cannot be read, a wrong card, or a name with two meanings.
        """
        own = parse_cards(pyproject_tables, "pyproject.toml", "tool.evals.models")
        cards = {name: (card, root) for name, card in own.items()}
        if cards_file is not None:
            for name, card in parse_cards(_models(cards_file), str(cards_file)).items():
                if name in cards:
                    raise _two_meanings(name, f"both pyproject.toml and {cards_file}")
                cards[name] = (card, cards_file.parent)
        searched = _searched(cards, cards_file, root, pyproject)
        for name in set(cards) & set(PACKAGED):
            raise _two_meanings(name, "a card and a packaged classifier")
        for name, (card, base) in _shipped().items():
            if name in cards and cards[name][0] != card:
                raise _two_meanings(name, "a card of yours and a recipe that is shipped")
            cards.setdefault(name, (card, base))
        return cls(MappingProxyType(cards), searched)

    def names(self) -> tuple[str, ...]:
        """Return the cards, the user's and the shipped ones, and the packaged classifiers."""
        return (*self.cards, *PACKAGED)

    def card(self, name: str) -> tuple[Card, Path]:
        """Return the card of a name and the folder that its paths are relative to.

        Raises:
            UserError: the name is unknown, has two meanings, or states no preprocessing.
        """
        if name in self.cards:
            if name in torchvision_names():
                raise _two_meanings(name, "a card and a torchvision network")
            return self.cards[name]
        source, colon, network = name.partition(":")
        if colon and network and source not in ("packaged", "timm", "torchvision"):
            raise UserError(
                f'"{name}" says how to build a network but not how to feed it; write a card in '
                f"pyproject.toml ([tool.evals.models.my_net]) or a cards file, and name that:",
                *_SNIPPET.format(name=name).splitlines(),
            )
        if source == "timm" and network:
            return Card(network=name), Path()
        if name in PACKAGED or (source == "packaged" and network in PACKAGED):
            return Card(network=f"packaged:{network or name}"), Path()
        published = torchvision_names()
        if name in published or (source == "torchvision" and network in published):
            return Card(network=f"torchvision:{network or name}"), Path()
        near = did_you_mean(network or name, (*self.names(), *published))
        raise UserError(
            f'no classifier is called "{name}"{near}; a network of your own has a card in '
            "[tool.evals.models] of pyproject.toml, or in the file of --evals-cards "
            f"({self.searched})"
        )


def _searched(
    cards: Mapping[str, object], cards_file: Path | None, root: Path, pyproject: Path | None
) -> str:
    files = " and ".join(str(file) for file in (pyproject, cards_file) if file is not None)
    if not files:
        return f"no pyproject.toml in or above {root} has [tool.evals], and no cards file is named"
    return f"read: {files}, with {', '.join(sorted(cards)) or 'no card'}"


@functools.cache
def _shipped() -> Mapping[str, tuple[Card, Path]]:
    """Return the recipes of the shipped suites."""
    folder = data_folder("suites") / "cards"
    return {
        name: (card, file.parent)
        for file in sorted(folder.glob("*.toml"))
        for name, card in parse_cards(_models(file), str(file)).items()
    }


@functools.cache
def torchvision_names() -> tuple[str, ...]:
    """Return torchvision's classification networks."""
    with first_import_of("torch"):
        from vision_evals.images.light_torchvision import models

    return tuple(models.list_models(module=models))


def _two_meanings(name: str, meanings: str) -> UserError:
    return UserError(
        f'one name, one meaning: "{name}" is {meanings}; call the card something else, '
        f"such as [models.my_{name}]"
    )


def _models(file: Path) -> Mapping[str, Any]:
    if not file.exists():
        raise UserError(f"{file}: no such cards file")
    tables = read_toml(file)
    for key in tables:
        if key != "models":
            raise UserError(
                f'{file}: unknown table "{key}"{did_you_mean(key, ["models"])}; '
                "a cards file holds [models.NAME] tables only"
            )
    models = tables.get("models", {})
    if not isinstance(models, dict):
        raise UserError(f"{file}: models = {models!r}: must be tables [models.NAME]")
    return models
