"""What every source of networks offers: torchvision, timm, packages, the user's own modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from torch import Tensor, nn

from vision_evals.models.card import Card, Input


@dataclass(frozen=True)
class NetworkFacts:
    """What a source knows about a network without loading it."""

    input: Input | None
    """Preprocessing of its weights; None if only a card can state it."""
    published: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Metrics of its weights under that preprocessing, as fractions."""


@dataclass(frozen=True)
class Weights:
    """Weights and where they came from."""

    state: Mapping[str, Tensor] | None
    """By name; None if the network is built with its weights."""
    origin: str
    """Source or file, for the log, without folders."""
    sha256: str | None
    """Of the file of weights."""


@dataclass(frozen=True)
class Blueprint:
    """What a source builds a network from."""

    card: Card
    base: Path
    """The folder that the card's paths are relative to."""
    state: Mapping[str, Tensor] | None
    """The weights: the source's own, or those of a checkpoint."""
    classes: int
    """Outputs of the network."""
    where: str
    """Begins every message."""


class NetworkSource(Protocol):
    """A module that builds networks. Every function may raise a UserError."""

    def facts(self, card: Card) -> NetworkFacts:
        """Return what is known without loading weights."""

    def unavailable(self, card: Card) -> str | None:
        """Return why the source's weights cannot be had without a download, or None."""

    def weights(self, card: Card, *, download: bool) -> Weights:
        """Return the source's weights, verified."""

    def network(self, blueprint: Blueprint) -> tuple[nn.Module, str]:
        """Return the network with the blueprint's weights, and what was taken off their names."""
