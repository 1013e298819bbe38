"""Pictures that checks picked, and why: an image of several checks, or one attack on a network."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from vision_evals.log import Item, Picture, WorstFirst
from vision_evals.report.answers import Key, set_of
from vision_evals.report.groups import grouped


@dataclass(frozen=True, slots=True)
class PickedPicture:
    """One picture with the items that picked it: several pick one image, an attack is alone."""

    picks: tuple[tuple[Item, Picture], ...]

    @property
    def item(self) -> Item:
        """The first of them."""
        return self.picks[0][0]

    @property
    def picture(self) -> Picture:
        """As the first has it: all have the same."""
        return self.picks[0][1]

    @property
    def key(self) -> Key:
        """What items must share to be about the same picture."""
        return (*set_of(self.item), self.picture.image)

    @property
    def alone(self) -> bool:
        """Whether it is about one check on one classifier; others show what several made of it."""
        return bool(self.picture.panels) or self.picture.plot is not None

    @property
    def fair(self) -> bool:
        """Whether no check picked it for its answers."""
        return all(picture.sample == "fair" for _, picture in self.picks)


def picked_pictures(items: Sequence[Item]) -> Iterator[PickedPicture]:
    """Yield pictures in the order of the log, those of one image once."""
    picks = [PickedPicture(((item, picture),)) for item in items for picture in item.pictures]
    # a picture that is alone shares its key with no other: its place is part of it
    by_image = grouped(
        ((*pick.key, place if pick.alone else None), pick.picks[0])
        for place, pick in enumerate(picks)
    )
    yield from (PickedPicture(tuple(pairs)) for pairs in by_image.values())


FAIR = WorstFirst(
    word="fair sample",
    meaning="The fair sample is picked by a hash of the image's id among those that are not the "
    "worst: of many images it shows typical answers, of few images the better ones.",
)
"""The pictures that are not the worst."""

_NOT_HOW_OFTEN = "The worst show how a network fails, not how often."


def worst(item: Item) -> WorstFirst:
    """Return what the pictures are that the measure of an item ranks first."""
    return item.worst_first or WorstFirst(
        meaning=f"The worst are those that {item.measure} itself ranks first."
    )


def note(words: Collection[str]) -> str:
    """Return what holds of all pictures that were picked for these words."""
    sentences = [_NOT_HOW_OFTEN] if "worst" in words else []
    return " ".join([*sentences, FAIR.meaning] if FAIR.word in words else sentences)
