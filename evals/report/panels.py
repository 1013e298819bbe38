"""Pictures of several panels: which is the image before, which after, and what was said of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evals.log import Panel

PLAIN = "image"
"""Title of the panel that shows the image as it is."""

# The log has an answer as its measure wrote it: a class and two decimals, of a lone panel behind
# what made it say so.
_SAID = re.compile(r"(?P<name>.+) (?P<confidence>[01]\.\d+)")
_TITLED = re.compile(r".+?: (?P<name>.+) (?P<confidence>[01]\.\d+)")


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
    """Return the answer that a panel tells; None where it tells something else."""
    found = _SAID.fullmatch(panel.said) or _TITLED.fullmatch(panel.title)
    if found is None:
        return None
    return Said(found["name"], min(float(found["confidence"]), 1.0))
