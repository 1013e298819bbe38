"""Pictures of several panels: which is the image before, which after, and what was said of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vision_evals.log import Panel

PLAIN = "image"
"""Title of the panel that shows the image as it is."""

_CONFIDENCE = re.compile(r"[01]\.\d+")
"""As a measure writes it, behind the class."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The panels that a reader slides between, by their places from 0."""

    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Said:
    """A class and how sure the network was of it."""

    name: str
    confidence: float


def pair(panels: Sequence[Panel]) -> Pair | None:
    """Return the image and the last panel, which is what became of it; None without both."""
    titles = [panel.title for panel in panels]
    if PLAIN not in titles[:-1]:
        return None
    return Pair(titles.index(PLAIN), len(titles) - 1)


def said(panel: Panel) -> Said | None:
    """Return the answer that a panel tells; None where it tells something else.

    The log has it as its measure wrote it: a class and two decimals, of a lone panel in the title,
    behind what made the network say so.
    """
    return _said(panel.said) or _said(panel.title.partition(": ")[2])


def _said(text: str) -> Said | None:
    name, _, confidence = text.rpartition(" ")
    if not name or not _CONFIDENCE.fullmatch(confidence):
        return None
    return Said(name, min(float(confidence), 1.0))
