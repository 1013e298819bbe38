"""Pictures of several panels: which is the image before, and which after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vision_evals.log import Panel


@dataclass(frozen=True, slots=True)
class Pair:
    """The panels that a reader slides between, by their places from 0."""

    before: int
    after: int


def pair(panels: Sequence[Panel]) -> Pair | None:
    """Return the image and the last panel, which is what became of it; None without both."""
    original = [place for place, panel in enumerate(panels[:-1]) if panel.original]
    return Pair(original[0], len(panels) - 1) if original else None
