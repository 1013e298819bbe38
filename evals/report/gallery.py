"""Pictures with what every classifier made of them, worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evals.log import Classifier, Item, Picture
from evals.report import files, rounding
from evals.report.words import listed

BUDGET = 2_500_000
"""Bytes of pictures on one page; what does not fit is counted and named."""

Key = tuple[str, str, str]
"""Image set, measure, image: items that share it show the same picture."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the classes a classifier finds likeliest."""

    name: str
    confidence: float
    share: str
    right: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One classifier's answers to one image."""

    classifier: str
    colour: str
    checks: str
    answers: tuple[Answer, ...]
    labelled: bool

    @property
    def right(self) -> str:
        """What these answers come to, in words."""
        if not self.labelled:
            return "no label to judge by"
        hits = [place for place, answer in enumerate(self.answers, 1) if answer.right]
        if not hits:
            return f"no right answer among the {len(self.answers)} likeliest"
        return "right" if hits[0] == 1 else f"right in place {hits[0]}"


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
        columns = tuple(_columns(key, items, tables, classifiers, colours))
        cards.append(_card(key, found, columns, tables, classifiers, uri, lacking))
    return Gallery(tuple(cards), tuple(left_out), tuple(missing))


def _tables(
    items: Sequence[Item],
    groups: Mapping[Key, object],
    directory: Path,
    missing: list[str],
) -> Iterator[tuple[str, dict[str, files.Row]]]:
    for item in items:
        wanted = {image for role, measure, image in groups if (role, measure) == _set(item)}
        if item.table is None or not wanted:
            continue
        try:
            yield item.id, files.rows(directory, item.table, wanted)
        except files.Missing as error:
            missing.append(f"{error}; the answers of {item.classifier} cannot be shown")


def _set(item: Item) -> tuple[str, str]:
    return item.images or "", item.measure


def _sample(found: Sequence[tuple[Item, Picture]]) -> Literal["worst", "fair"]:
    return "worst" if any(picture.sample == "worst" for _, picture in found) else "fair"


def _columns(
    key: Key,
    items: Sequence[Item],
    tables: Mapping[str, Mapping[str, files.Row]],
    classifiers: Mapping[str, Classifier],
    colours: Mapping[str, str],
) -> Iterator[Column]:
    """Yield a column a classifier; checks that saw the same share one."""
    same: dict[tuple[str, tuple[Answer, ...]], list[Item]] = {}
    labelled: dict[str, bool] = {}
    for item in items:
        row = tables.get(item.id, {}).get(key[2])
        if row is None or _set(item) != key[:2] or not row.get("top5"):
            continue
        right = _right(row)
        labelled[item.id] = bool(right)
        answers = _answers(row, right, classifiers.get(item.classifier))
        same.setdefault((item.classifier, answers), []).append(item)
    aliases = [alias for alias, _ in same]
    for (alias, answers), sharing in same.items():
        several = aliases.count(alias) > 1
        yield Column(
            classifier=alias,
            colour=colours[alias],
            checks=listed([item.check for item in sharing]) if several else "",
            answers=answers,
            labelled=labelled[sharing[0].id],
        )


def _right(row: files.Row) -> set[int]:
    right = {index for index in row.get("accepted") or () if index is not None}
    label = row.get("label")
    return right | ({int(label)} if label is not None else set())


def _answers(row: files.Row, right: set[int], card: Classifier | None) -> tuple[Answer, ...]:
    confidences = row.get("top5_confidence") or [None] * len(row["top5"])
    return tuple(
        Answer(
            name=_class(index, card),
            confidence=min(max(confidence or 0.0, 0.0), 1.0),
            share="none" if confidence is None else rounding.share(confidence),
            right=index in right,
        )
        for index, confidence in zip(row["top5"], confidences, strict=False)
    )


def _class(index: int, card: Classifier | None) -> str:
    names = card.class_names if card else ()
    return names[index] if 0 <= index < len(names) else f"class {index}"


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
        if row is not None and (right := sorted(_right(row))):
            first = row.get("label")
            order = sorted(right, key=lambda index: index != first)
            card = classifiers.get(item.classifier)
            return " or ".join(_class(index, card) for index in order)
    return None


def _why(found: Sequence[tuple[Item, Picture]]) -> str:
    aliases: dict[str, list[str]] = {"worst": [], "fair": []}
    for item, picture in found:
        if item.classifier not in aliases[picture.sample]:
            aliases[picture.sample].append(item.classifier)
    words = {"worst": "worst for", "fair": "fair sample for"}
    return "; ".join(f"{words[kind]} {listed(who)}" for kind, who in aliases.items() if who)
