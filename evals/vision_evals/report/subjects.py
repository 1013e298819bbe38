"""What there are pictures of: an image that several checks picked, or one attack on one network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vision_evals.log import Item, Picture
from vision_evals.report.answers import Key, set_of


@dataclass(frozen=True, slots=True)
class Subject:
    """One picture with the items that picked it: several pick one image, an attack is alone."""

    found: tuple[tuple[Item, Picture], ...]

    @property
    def item(self) -> Item:
        """The first of them."""
        return self.found[0][0]

    @property
    def picture(self) -> Picture:
        """As the first has it: all have the same."""
        return self.found[0][1]

    @property
    def key(self) -> Key:
        """What items must share to be about the same picture."""
        return (*set_of(self.item), self.picture.image)

    @property
    def alone(self) -> bool:
        """Whether it is about one check on one classifier."""
        return _alone(self.picture)

    @property
    def fair(self) -> bool:
        """Whether nobody picked it for its answers."""
        return all(picture.sample == "fair" for _, picture in self.found)


def subjects(items: Sequence[Item]) -> Iterator[Subject]:
    """Yield pictures in the order of the log, those of one image once."""
    plain: dict[Key, list[tuple[Item, Picture]]] = {}
    pairs = [(item, picture) for item in items for picture in item.pictures]
    for item, picture in pairs:
        if not _alone(picture):
            plain.setdefault((*set_of(item), picture.image), []).append((item, picture))
    for item, picture in pairs:
        if _alone(picture):
            yield Subject(((item, picture),))
        elif found := plain.pop((*set_of(item), picture.image), None):
            yield Subject(tuple(found))


def _alone(picture: Picture) -> bool:
    """Whether a picture is about one classifier; others show what several made of an image."""
    return bool(picture.panels) or picture.plot is not None
