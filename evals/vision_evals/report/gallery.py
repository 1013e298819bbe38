"""The pictures of a run: the worst first, works of a collection together, a fair sample last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_evals.log import ImageSet, Item, Run
from vision_evals.report import albums, files, picture_budget, samples
from vision_evals.report.addresses import Addresses
from vision_evals.report.albums import Album
from vision_evals.report.answers import set_of
from vision_evals.report.subjects import Subject, subjects
from vision_evals.report.tiles import Known, Tile, tile


@dataclass(frozen=True, slots=True)
class Gallery:
    """All pictures of a run."""

    note: str
    albums: tuple[Album, ...]
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
    every = [(subject, _wanted(subject, sets)) for subject in subjects(run.items)]
    judged = sum(item.verdict.judged for item in run.items)
    stock = picture_budget.select(
        [one for _, one in every], directory, addresses, picture_budget.room(judged)
    )
    kept = [(subject, one) for subject, one in every if one not in stock.left_out]
    tables, missing = _tables(run.items, [subject for subject, _ in kept], directory)
    known = Known(
        items=run.items,
        classifiers={card.alias: card for card in run.classifiers},
        sets=sets,
        suites=_suites(run),
        colours=colours,
        tables=tables,
    )
    found: dict[albums.Key, list[tuple[Subject, Tile]]] = {}
    for subject, one in kept:
        key = albums.key_of(subject)
        pairs = found.setdefault(key, [])
        place = list(found).index(key)
        shown, lost = stock.shown.get(one), stock.missing.get(one)
        pairs.append((subject, tile(subject, place, known, shown, lost)))
    told = [albums.album(pairs, sets) for pairs in found.values()]
    tiles = [one for pairs in found.values() for _, one in pairs]
    return Gallery(
        samples.note({one.word for one in tiles}),
        tuple(told),
        tuple(_in_order(tiles, told)),
        tuple(one.name for one in stock.left_out),
        (*stock.missing.values(), *missing),
    )


def _in_order(tiles: Sequence[Tile], told: Sequence[Album]) -> Iterator[Tile]:
    """Yield the worst in the order of the log, collections, and what no answer picked."""
    works = [one for one in tiles if told[one.album].collection]
    others = [one for one in tiles if not told[one.album].collection]
    yield from (one for one in others if not one.fair)
    yield from sorted(works, key=lambda one: (one.album, -one.surest))
    yield from (one for one in others if one.fair)


def _wanted(subject: Subject, sets: Mapping[str, ImageSet]) -> picture_budget.Wanted:
    item, picture = subject.item, subject.picture
    name = f"{picture.image} ({item.check}, {item.classifier})" if subject.alone else picture.image
    # A collection is shown whole: none of it waits until the worst of the others are there.
    fair = subject.fair and albums.collection(subject, sets) is None
    return picture_budget.Wanted(picture.file, name, item.id, fair)


def _tables(
    items: Sequence[Item], seen: Sequence[Subject], directory: Path
) -> tuple[dict[str, dict[str, files.Row]], list[str]]:
    """Return item to image to row, and what cannot be told because a table is missing."""
    images: dict[tuple[str, ...], set[str]] = {}
    for subject in seen:
        of = (subject.item.id,) if subject.alone else subject.key[:2]
        images.setdefault(of, set()).add(subject.picture.image)
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
