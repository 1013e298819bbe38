"""What "the worst" pictures of a measure are, in words: a measure says it here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Worst:
    """The pictures a measure puts first."""

    title: str
    word: str
    meaning: str


_NOT_HOW_OFTEN = "They show how a network fails, not how often."

_WORST: Mapping[str, Worst] = {
    "accuracy": Worst(
        "The worst",
        "worst",
        "On these each classifier did worst, which for accuracy means: gave the right class the "
        f"smallest probability. {_NOT_HOW_OFTEN}",
    ),
    "predictions": Worst(
        "The most confident",
        "most confident",
        "Of these each classifier was surest. Nobody says what is right here, so this is no list "
        "of mistakes.",
    ),
    "fgsm": Worst(
        "The worst",
        "worst",
        f"The worst are those that became most confidently wrong. {_NOT_HOW_OFTEN}",
    ),
    "targeted": Worst(
        "The worst",
        "worst",
        f"The worst are those that the smallest budget made surest of the target. {_NOT_HOW_OFTEN}",
    ),
}


def worst(measure: str) -> Worst:
    """Return the words for the pictures that a measure puts first."""
    meaning = f"The worst are those that {measure} itself puts first. {_NOT_HOW_OFTEN}"
    return _WORST.get(measure) or Worst("The worst", "worst", meaning)


FAIR = Worst(
    "A fair sample",
    "fair sample",
    "Picked by a hash of the image's id, whatever the answers: these show how the classifiers "
    "usually do.",
)
"""The pictures that no answer picked."""

FAIR_ONES = "The fair sample is picked by a hash of the image's id, whatever the answers."
"""The same where worst and fair stand together."""
