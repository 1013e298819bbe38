"""Pictures with what every classifier made of them, worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evals.log import Classifier, Item, Picture
from evals.report import files
from evals.report.answers import Column, Key, class_name, columns_of, right_classes, set_of
from evals.report.words import listed

BUDGET = 2_500_000
"""Bytes of pictures on one page; what does not fit is counted and named."""


@dataclass(frozen=True, slots=True)
class Card:
    """One image."""

    image: str
    images: str
    label: str
    sample: Literal["worst", "fair"]
    why: str
    uri: str | None
    missing: str | None
    alt: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """All pictures of a run."""

    cards: tuple[Card, ...]
    left_out: tuple[str, ...]
    missing: tuple[str, ...]


def gallery(
    items: Sequence[Item],
    classifiers: Mapping[str, Classifier],
    colours: Mapping[str, str],
    directory: Path,
) -> Gallery:
    """Gather the pictures of all items by image, and read the rows that explain them."""
    groups: dict[Key, list[tuple[Item, Picture]]] = {}
    for item in items:
        for picture in item.pictures:
            key = (item.images or "", item.measure, picture.image)
            groups.setdefault(key, []).append((item, picture))
    missing: list[str] = []
    tables = dict(_tables(items, groups, directory, missing))
    cards: list[Card] = []
    left_out: list[str] = []
    room = BUDGET
    # Stable: within the worst and within the fair sample the order is the log's, which is by
    # badness.
    for key, found in sorted(groups.items(), key=lambda group: _sample(group[1]) != "worst"):
        uri, lacking = None, None
        try:
            content = files.picture(directory, found[0][1].file)
        except files.Missing as error:
            lacking = str(error)
            missing.append(lacking)
        else:
            if len(content) > room:
                left_out.append(key[2])
                continue
            room -= len(content)
            uri = files.data_uri(content)
        columns = tuple(columns_of(key, items, tables, classifiers, colours))
        cards.append(_card(key, found, columns, tables, classifiers, uri, lacking))
    return Gallery(tuple(cards), tuple(left_out), tuple(missing))


def _tables(
    items: Sequence[Item],
    groups: Mapping[Key, object],
    directory: Path,
    missing: list[str],
) -> Iterator[tuple[str, dict[str, files.Row]]]:
    for item in items:
        wanted = {image for role, measure, image in groups if (role, measure) == set_of(item)}
        if item.table is None or not wanted:
            continue
        try:
            yield item.id, files.rows(directory, item.table, wanted)
        except files.Missing as error:
            missing.append(f"{error}; the answers of {item.classifier} cannot be shown")


def _sample(found: Sequence[tuple[Item, Picture]]) -> Literal["worst", "fair"]:
    return "worst" if any(picture.sample == "worst" for _, picture in found) else "fair"


def _card(
    key: Key,
    found: Sequence[tuple[Item, Picture]],
    columns: tuple[Column, ...],
    tables: Mapping[str, Mapping[str, files.Row]],
    classifiers: Mapping[str, Classifier],
    uri: str | None,
    missing: str | None,
) -> Card:
    label = _label(found, tables, classifiers)
    said = [
        f"{column.classifier} sees {column.answers[0].name} ({column.answers[0].share})"
        for column in columns
    ]
    return Card(
        image=key[2],
        images=key[0],
        label=label or "no label",
        sample=_sample(found),
        why=_why(found),
        uri=uri,
        missing=missing,
        alt="; ".join([label, *said]) if label and said else found[0][1].caption,
        columns=columns,
    )


def _label(
    found: Sequence[tuple[Item, Picture]],
    tables: Mapping[str, Mapping[str, files.Row]],
    classifiers: Mapping[str, Classifier],
) -> str | None:
    for item, picture in found:
        row = tables.get(item.id, {}).get(picture.image)
        if row is not None and (right := sorted(right_classes(row))):
            first = row.get("label")
            order = sorted(right, key=lambda index: index != first)
            card = classifiers.get(item.classifier)
            return " or ".join(class_name(index, card) for index in order)
    return None


def _why(found: Sequence[tuple[Item, Picture]]) -> str:
    aliases: dict[str, list[str]] = {"worst": [], "fair": []}
    for item, picture in found:
        if item.classifier not in aliases[picture.sample]:
            aliases[picture.sample].append(item.classifier)
    words = {"worst": "worst for", "fair": "fair sample for"}
    return "; ".join(f"{words[kind]} {listed(who)}" for kind, who in aliases.items() if who)
