"""Why pictures were picked, in words: what the worst are is said by their measure."""

from __future__ import annotations

from collections.abc import Collection

from vision_evals.log import Item, WorstFirst

FAIR = WorstFirst(
    word="fair sample",
    meaning="The fair sample is picked by a hash of the image's id among those that are not the "
    "worst: of many images it shows how the networks usually do, of a few it is the better part.",
)
"""The pictures that are not the worst."""

_NOT_HOW_OFTEN = "The worst show how a network fails, not how often."


def worst(item: Item) -> WorstFirst:
    """Return what is said of the pictures that the measure of an item puts first."""
    return item.worst_first or WorstFirst(
        meaning=f"The worst are those that {item.measure} itself puts first."
    )


def note(words: Collection[str]) -> str:
    """Return what holds of all pictures that were picked for these words."""
    said = [_NOT_HOW_OFTEN] if "worst" in words else []
    return " ".join([*said, FAIR.meaning] if FAIR.word in words else said)
