"""Pictures with what every classifier made of them: in albums by image, in series by check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from evals.log import Classifier, ImageSet, Item, Panel, Picture, Plot, Run
from evals.report import answers, files, plots, rounding, samples
from evals.report.answers import Column, Key, class_name, columns_of, right_classes, set_of
from evals.report.plots import Frame
from evals.report.words import listed

BUDGET = 3_400_000
"""Bytes of pictures on one page, a third more as text; what does not fit is counted and named."""

Sample = Literal["worst", "fair"]


@dataclass(frozen=True, slots=True)
class About:
    """What the image set knows of an image."""

    title: str | None = None
    maker: str = ""
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """One image with the likeliest classes of every classifier."""

    image: str
    images: str
    heading: str
    label: str | None
    about: About
    sample: Sample
    why: str
    uri: str | None
    missing: str | None
    alt: str
    agreement: str | None
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Album:
    """Cards under one heading, with what is to be said of them together."""

    title: str
    meaning: str
    remarks: tuple[str, ...]
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Strip:
    """One picture of several panels, or with a plot below it."""

    image: str
    heading: str
    about: About
    sample: Sample
    word: str
    uri: str | None
    missing: str | None
    caption: str
    panels: tuple[Panel, ...]
    frame: Frame | None


@dataclass(frozen=True, slots=True)
class Series:
    """The strips of one check on one classifier, the worst first."""

    suite: str
    check: str
    classifier: str
    colour: str
    meaning: str
    strips: tuple[Strip, ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """All pictures of a run."""

    albums: tuple[Album, ...]
    series: tuple[Series, ...]
    left_out: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(slots=True)
class _Shelf:
    """Pictures taken from the run directory until the page is full."""

    directory: Path
    room: int
    left_out: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def take(self, file: str, name: str) -> tuple[str | None, str | None] | None:
        """Return a picture's address, or why there is none; None when it does not fit."""
        try:
            content = files.picture(self.directory, file)
        except files.Missing as error:
            self.missing.append(str(error))
            return None, str(error)
        if len(content) > self.room:
            self.left_out.append(name)
            return None
        self.room -= len(content)
        return files.data_uri(content), None


def gallery(run: Run, colours: Mapping[str, str], directory: Path) -> Gallery:
    """Gather the pictures of all items, and read the rows that explain them."""
    cards_of = {card.alias: card for card in run.classifiers}
    sets = {images.role: images for images in run.image_sets}
    shelf = _Shelf(directory, BUDGET)
    plain: dict[Key, list[tuple[Item, Picture]]] = {}
    strips: dict[str, list[Strip]] = {item.id: [] for item in run.items}
    for item in run.items:
        for picture in item.pictures:
            if not _stands_alone(picture):
                plain.setdefault((*set_of(item), picture.image), []).append((item, picture))
    tables = dict(_tables(run.items, plain, shelf))
    cards: dict[tuple[str, str], list[Card]] = {}
    # The worst of everything before any fair sample: when the page is full, those go first.
    for sample in ("worst", "fair"):
        for key, found in plain.items():
            if _sample(found) != sample:
                continue
            taken = shelf.take(found[0][1].file, key[2])
            if taken is not None:
                columns = tuple(columns_of(key, run.items, tables, cards_of, colours))
                about = _about(sets.get(key[0]), key[2])
                label = _label(found, tables, cards_of)
                cards.setdefault(key[:2], []).append(
                    _card(key, found, columns, label, about, *taken)
                )
        for item in run.items:
            for picture in item.pictures:
                if not _stands_alone(picture) or picture.sample != sample:
                    continue
                name = f"{picture.image} ({item.check}, {item.classifier})"
                taken = shelf.take(picture.file, name)
                if taken is not None:
                    about = _about(sets.get(item.images or ""), picture.image)
                    strips[item.id].append(_strip(item, picture, about, colours, *taken))
    return Gallery(
        tuple(_albums(cards, sets)),
        tuple(_series(item, strips[item.id], colours) for item in run.items if strips[item.id]),
        tuple(shelf.left_out),
        tuple(shelf.missing),
    )


def _tables(
    items: Sequence[Item], plain: Mapping[Key, object], shelf: _Shelf
) -> Iterator[tuple[str, dict[str, files.Row]]]:
    for item in items:
        wanted = {image for role, measure, image in plain if (role, measure) == set_of(item)}
        if item.table is None or not wanted:
            continue
        try:
            yield item.id, files.rows(shelf.directory, item.table, wanted)
        except files.Missing as error:
            shelf.missing.append(f"{error}; the answers of {item.classifier} cannot be shown")


def _sample(found: Sequence[tuple[Item, Picture]]) -> Sample:
    return "worst" if any(picture.sample == "worst" for _, picture in found) else "fair"


def _about(images: ImageSet | None, image: str) -> About:
    known = dict(images.about.get(image, {})) if images is not None else {}
    title = known.pop("title", None) or None
    maker = ", ".join(filter(None, (known.pop("artist", ""), known.pop("year", ""))))
    return About(title, maker, tuple((name, fact) for name, fact in known.items() if fact))


def _albums(
    cards: Mapping[tuple[str, str], Sequence[Card]], sets: Mapping[str, ImageSet]
) -> Iterator[Album]:
    """Yield the worst and the fair of a measure apart; works of a collection stay together."""
    collections = [key for key in cards if key[0] in sets and sets[key[0]].about]
    measures: dict[str, list[Card]] = {}
    for key, found in cards.items():
        if key not in collections:
            measures.setdefault(key[1], []).extend(found)
    for measure, found in measures.items():
        for sample, words in (("worst", samples.worst(measure)), ("fair", samples.FAIR)):
            chosen = tuple(card for card in found if card.sample == sample)
            if chosen:
                title = words.title if len(measures) == 1 else f"{words.title}: {measure}"
                yield Album(title, words.meaning, (), chosen)
    for key in collections:
        chosen = tuple(sorted(cards[key], key=_surest, reverse=True))
        meaning = f"{len(chosen)} of {sets[key[0]].n} works, the most confident answer first."
        yield Album(key[0].capitalize(), meaning, tuple(_overconfident(chosen)), chosen)


def _surest(card: Card) -> float:
    return max((column.confidence or 0.0 for column in card.columns), default=0.0)


def _overconfident(cards: Sequence[Card]) -> Iterator[str]:
    named: dict[tuple[str, float], list[str]] = {}
    for card in cards:
        for column in card.columns:
            names = named.setdefault((column.classifier, column.limit), [])
            if column.overconfident and card.heading not in names:
                names.append(card.heading)
    for (classifier, limit), names in named.items():
        said = f"on {listed(names)}" if names else "on none of them"
        yield f"{classifier} is more than {rounding.share(limit)} confident {said}."


def _card(
    key: Key,
    found: Sequence[tuple[Item, Picture]],
    columns: tuple[Column, ...],
    label: str | None,
    about: About,
    uri: str | None,
    missing: str | None,
) -> Card:
    heading = about.title or label or key[2]
    said = [
        f"{column.classifier} sees {column.answers[0].name} ({column.answers[0].share})"
        for column in columns
    ]
    return Card(
        image=key[2],
        images=key[0],
        heading=heading,
        label=label if heading != label else None,
        about=about,
        sample=_sample(found),
        why=_why(found),
        uri=uri,
        missing=missing,
        alt="; ".join([heading, *said]) if said else found[0][1].caption,
        agreement=None if label else answers.agreement(columns),
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
    words = {"worst": samples.worst(found[0][0].measure).word, "fair": samples.FAIR.word}
    return "; ".join(f"{words[kind]} for {listed(who)}" for kind, who in aliases.items() if who)


def _strip(
    item: Item,
    picture: Picture,
    about: About,
    colours: Mapping[str, str],
    uri: str | None,
    missing: str | None,
) -> Strip:
    words = samples.worst(item.measure) if picture.sample == "worst" else samples.FAIR
    return Strip(
        image=picture.image,
        heading=about.title or picture.image,
        about=about,
        sample=picture.sample,
        word=words.word,
        uri=uri,
        missing=missing,
        caption=picture.caption,
        panels=picture.panels,
        frame=_frame(item.classifier, picture.plot, colours),
    )


def _frame(alias: str, plot: Plot | None, colours: Mapping[str, str]) -> Frame | None:
    """Return what stands below a picture; its series names the classifier."""
    if plot is None:
        return None
    frame = plots.frame([(alias, plot)], colours, plots.scale([plot]))
    return replace(frame, classifier=None)


def _stands_alone(picture: Picture) -> bool:
    """Whether a picture is about one classifier; others show what several made of an image."""
    return bool(picture.panels) or picture.plot is not None


def _series(item: Item, strips: Sequence[Strip], colours: Mapping[str, str]) -> Series:
    kinds = {strip.sample for strip in strips}
    said = {"worst": samples.worst(item.measure).meaning, "fair": samples.FAIR_ONES}
    return Series(
        suite=item.suite,
        check=item.check,
        classifier=item.classifier,
        colour=colours[item.classifier],
        meaning=" ".join(meaning for sample, meaning in said.items() if sample in kinds),
        strips=tuple(strips),
    )
