"""What "the worst" pictures of a measure are, in words: a measure says it here and nowhere else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """Why pictures were picked."""

    word: str
    meaning: str


_CONFIDENTLY_WRONG = Sample("worst", "The worst are those that became most confidently wrong.")

_WORST: Mapping[str, Sample] = {
    "accuracy": Sample(
        "worst",
        "The worst are the images whose right class a network gave the smallest probability.",
    ),
    "predictions": Sample(
        "most confident",
        "The most confident are those of which a network was surest. Nobody says what is right "
        "here, so these are no mistakes.",
    ),
    "fgsm": _CONFIDENTLY_WRONG,
    "adversarial": _CONFIDENTLY_WRONG,
    "targeted": Sample(
        "worst", "The worst are those that the smallest budget made surest of the target."
    ),
    "linear_response": Sample(
        "worst", "The worst are those that turn wrong at the smallest change."
    ),
    "dropout_gap": Sample(
        "worst", "The worst are those to which most masks answer otherwise than eval mode."
    ),
}

FAIR = Sample(
    "fair sample",
    "The fair sample is picked by a hash of the image's id among those that are not the worst: of "
    "many images it shows how the networks usually do, of a few it is the better part.",
)
"""The pictures that are not the worst."""

_NOT_HOW_OFTEN = "The worst show how a network fails, not how often."


def worst(measure: str) -> Sample:
    """Return the words for the pictures that a measure puts first."""
    return _WORST.get(measure) or Sample(
        "worst", f"The worst are those that {measure} itself puts first."
    )


def note(words: Collection[str]) -> str:
    """Return what holds of all pictures that were picked for these words."""
    said = [_NOT_HOW_OFTEN] if "worst" in words else []
    return " ".join([*said, FAIR.meaning] if FAIR.word in words else said)
