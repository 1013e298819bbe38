"""Pictures that belong together, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vision_evals.log import ImageSet
from vision_evals.report import rounding, samples
from vision_evals.report.answers import set_of
from vision_evals.report.subjects import Subject
from vision_evals.report.tiles import Tile
from vision_evals.report.words import listed

Key = tuple[str, str, bool]
"""Suite and check; of images that several classifiers look at, their set and measure."""


@dataclass(frozen=True, slots=True)
class Album:
    """The pictures of one check, or of one collection."""

    title: str
    suites: str
    n: int
    meaning: str
    remarks: tuple[str, ...]
    collection: bool
    """Whether its images are known by title: works of art."""


def key_of(subject: Subject) -> Key:
    """Return which album a picture is in."""
    item = subject.item
    return (item.suite, item.check, True) if subject.alone else (*set_of(item), False)


def collection(subject: Subject, sets: Mapping[str, ImageSet]) -> ImageSet | None:
    """Return the image set of a picture that stays with the others of it: it knows their titles."""
    known = sets.get(subject.item.images or "")
    return None if subject.alone or known is None or not known.about else known


def album(found: Sequence[tuple[Subject, Tile]], sets: Mapping[str, ImageSet]) -> Album:
    """Return what is to be said of the pictures of an album.

    Args:
        found: the pictures.
        sets: role to image set.
    """
    tiles = [tile for _, tile in found]
    items = [item for subject, _ in found for item, _ in subject.found]
    works = collection(found[0][0], sets)
    checks = listed(_once(item.check for item in items))
    return Album(
        title=checks if works is None else works.role.capitalize(),
        suites=listed(_once(item.suite for item in items)),
        n=len(tiles),
        meaning=_meaning([subject for subject, _ in found], works),
        remarks=() if works is None else tuple(_overconfident(tiles)),
        collection=works is not None,
    )


def _meaning(subjects: Sequence[Subject], works: ImageSet | None) -> str:
    if works is not None:
        return f"{len(subjects)} of {works.n} works, the most confident answer first."
    picked = any(not subject.fair for subject in subjects)
    return samples.worst(subjects[0].item).meaning if picked else ""


def _overconfident(tiles: Sequence[Tile]) -> Iterator[str]:
    named: dict[tuple[str, float], list[str]] = {}
    for tile in tiles:
        for column in tile.columns:
            names = named.setdefault((column.classifier, column.limit), [])
            if column.overconfident and tile.heading not in names:
                names.append(tile.heading)
    for (classifier, limit), names in named.items():
        said = f"on {listed(names)}" if names else "on none of them"
        yield f"{classifier} is more than {rounding.share(limit)} confident {said}."


def _once(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))
