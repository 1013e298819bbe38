"""The pictures of a run: the worst first, works of a collection together, a fair sample last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_evals.log import ImageSet, Item, Run
from vision_evals.report import files, picked, picture_budget, rounding, tiles
from vision_evals.report.addresses import Addresses
from vision_evals.report.answers import set_of
from vision_evals.report.groups import grouped
from vision_evals.report.picked import PickedPicture, picked_pictures
from vision_evals.report.tiles import GalleryData, Tile
from vision_evals.report.words import listed, unique

AlbumKey = tuple[str, str, bool]
"""Suite and check; of images that several classifiers look at, their set and measure."""


@dataclass(frozen=True, slots=True)
class PictureAlbum:
    """The pictures of one check, or of one collection."""

    title: str
    suites: str
    n: int
    meaning: str
    remarks: tuple[str, ...]
    collection: bool
    """Whether its images are known by title: works of art."""


def key_of(subject: PickedPicture) -> AlbumKey:
    """Return which album a picture is in."""
    item = subject.item
    return (item.suite, item.check, True) if subject.alone else (*set_of(item), False)


def collection(subject: PickedPicture, sets: Mapping[str, ImageSet]) -> ImageSet | None:
    """Return the image set of a picture that stays with the others of it: it knows their titles."""
    images = sets.get(subject.item.images or "")
    return None if subject.alone or images is None or not images.about else images


def album(
    subjects: Sequence[PickedPicture], entries: Sequence[Tile], sets: Mapping[str, ImageSet]
) -> PictureAlbum:
    """Return the description of an album.

    Args:
        subjects: its pictures.
        entries: what the page shows of each of them.
        sets: role to image set.
    """
    items = [item for subject in subjects for item, _ in subject.picks]
    works = collection(subjects[0], sets)
    checks = listed(unique(item.check for item in items))
    return PictureAlbum(
        title=checks if works is None else works.role.capitalize(),
        suites=listed(unique(item.suite for item in items)),
        n=len(subjects),
        meaning=_meaning(subjects, works),
        remarks=() if works is None else tuple(_overconfident(entries)),
        collection=works is not None,
    )


def _meaning(subjects: Sequence[PickedPicture], works: ImageSet | None) -> str:
    if works is not None:
        return f"{len(subjects)} of {works.n} works, the most confident answer first."
    if all(subject.fair for subject in subjects):
        return ""
    return picked.worst(subjects[0].item).meaning


def _overconfident(entries: Sequence[Tile]) -> Iterator[str]:
    named: dict[tuple[str, float], list[str]] = {}
    for tile in entries:
        for column in tile.columns:
            names = named.setdefault((column.classifier, column.limit), [])
            if column.overconfident and tile.heading not in names:
                names.append(tile.heading)
    for (classifier, limit), names in named.items():
        works = f"on {listed(names)}" if names else "on none of them"
        yield f"{classifier} is more than {rounding.share(limit)} confident {works}."


@dataclass(frozen=True, slots=True)
class Gallery:
    """All pictures of a run."""

    note: str
    albums: tuple[PictureAlbum, ...]
    tiles: tuple[Tile, ...]
    """In the order of the page; each says the place of its album."""
    left_out: tuple[str, ...]
    missing: tuple[str, ...]


def gallery(run: Run, colours: Mapping[str, str], directory: Path, addresses: Addresses) -> Gallery:
    """Gather the pictures of all items, and read the rows that explain them.

    Args:
        run: the log.
        colours: alias to its class of the style.
        directory: the run's.
        addresses: how pictures reach the reader.
    """
    sets = {images.role: images for images in run.image_sets}
    pictures = [(subject, _wanted(subject, sets)) for subject in picked_pictures(run.items)]
    judged = sum(item.verdict.judged for item in run.items)
    stock = picture_budget.select(
        [wish for _, wish in pictures], directory, addresses, picture_budget.gallery_bytes(judged)
    )
    fitting = [(subject, wish) for subject, wish in pictures if wish not in stock.left_out]
    tables, missing = _tables(run.items, [subject for subject, _ in fitting], directory)
    data = GalleryData(
        items=run.items,
        classifiers={card.alias: card for card in run.classifiers},
        sets=sets,
        suites=_suites(run),
        colours=colours,
        tables=tables,
    )
    described: list[PictureAlbum] = []
    all_tiles: list[Tile] = []
    for pairs in grouped((key_of(subject), (subject, wish)) for subject, wish in fitting).values():
        entries = [
            tiles.tile(s, len(described), data, stock.shown.get(wish), stock.missing.get(wish))
            for s, wish in pairs
        ]
        described.append(album([subject for subject, _ in pairs], entries, sets))
        all_tiles += entries
    return Gallery(
        picked.note({entry.word for entry in all_tiles}),
        tuple(described),
        tuple(_in_order(all_tiles, described)),
        tuple(entry.name for entry in stock.left_out),
        (*stock.missing.values(), *missing),
    )


def _in_order(entries: Sequence[Tile], all_albums: Sequence[PictureAlbum]) -> Iterator[Tile]:
    """Yield the worst in the order of the log, collections, and what no answer picked."""
    works = [entry for entry in entries if all_albums[entry.album].collection]
    others = [entry for entry in entries if not all_albums[entry.album].collection]
    yield from (entry for entry in others if not entry.fair)
    yield from sorted(works, key=lambda entry: (entry.album, -entry.surest))
    yield from (entry for entry in others if entry.fair)


def _wanted(subject: PickedPicture, sets: Mapping[str, ImageSet]) -> picture_budget.Wanted:
    item, picture = subject.item, subject.picture
    name = f"{picture.image} ({item.check}, {item.classifier})" if subject.alone else picture.image
    # A collection is shown whole: none of it waits until the worst of the others are there.
    fair = subject.fair and collection(subject, sets) is None
    return picture_budget.Wanted(picture.file, name, item.id, fair)


def _tables(
    items: Sequence[Item], pictures: Sequence[PickedPicture], directory: Path
) -> tuple[dict[str, dict[str, files.TableRow]], list[str]]:
    """Return item to image to row, and what is not shown because a table is missing."""
    images: dict[tuple[str, ...], set[str]] = {}
    for subject in pictures:
        key = (subject.item.id,) if subject.alone else subject.key[:2]
        images.setdefault(key, set()).add(subject.picture.image)
    tables, missing = {}, []
    for item in items:
        wanted = images.get((item.id,), set()) | images.get(set_of(item), set())
        if item.table is None or not wanted:
            continue
        try:
            tables[item.id] = files.rows(directory, item.table, wanted)
        except files.Missing as error:
            missing.append(f"{error}; the answers of {item.classifier} cannot be shown")
    return tables, missing


def _suites(run: Run) -> dict[str, str]:
    """Return what suites are called: by title, by path where two share it."""
    titles = {suite.path: suite.title for suite in run.suites}
    shared = list(titles.values())
    paths = {item.suite: item.suite for item in run.items}
    return paths | {path: title for path, title in titles.items() if shared.count(title) == 1}
