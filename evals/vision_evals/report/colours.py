"""One colour for each name through the whole page."""

from __future__ import annotations

from collections.abc import Iterable

COLOURS = 8
"""Classes ``c0`` to ``c7`` of the style; a ninth name shares a colour, never its name."""


def coloured(names: Iterable[str]) -> dict[str, str]:
    """Return name to class of the style, in the order of the names."""
    return {name: f"c{rank % COLOURS}" for rank, name in enumerate(dict.fromkeys(names))}
