"""A picture of the gallery: what is seen on it, and what every classifier made of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from vision_evals.log import Classifier, ImageSet, Item, Panel, Picture, Plot
from vision_evals.report import answers, facets, panels, plots, samples
from vision_evals.report.answers import Column
from vision_evals.report.facets import Facet
from vision_evals.report.files import Row
from vision_evals.report.panels import Pair
from vision_evals.report.picture_budget import Shown
from vision_evals.report.plots import Frame
from vision_evals.report.subjects import Subject
from vision_evals.report.words import listed


@dataclass(frozen=True, slots=True)
class Known:
    """What the log and its tables say of pictures."""

    items: Sequence[Item]
    classifiers: Mapping[str, Classifier]
    sets: Mapping[str, ImageSet]
    suites: Mapping[str, str]
    """Path to what the suite is called."""
    colours: Mapping[str, str]
    tables: Mapping[str, Mapping[str, Row]]
    """Item to image to row."""

    def row(self, item: Item, image: str) -> Row | None:
        """Return what is known of an image."""
        return self.tables.get(item.id, {}).get(image)


@dataclass(frozen=True, slots=True)
class About:
    """What the image set knows of an image."""

    title: str | None = None
    maker: str = ""
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of the gallery."""

    album: int
    """Its place among the albums."""
    image: str
    images: str
    heading: str
    label: str | None
    """The right answer, where the heading is another."""
    about: About
    fair: bool
    word: str
    why: str
    shown: Shown | None
    missing: str | None
    alt: str
    classifier: str | None
    """The only one that it is about; None where columns say what each made of it."""
    check: str
    suite: str
    verdict: str
    """Of that check on it."""
    caption: str
    agreement: str | None
    columns: tuple[Column, ...]
    panels: tuple[Panel, ...]
    pair: Pair | None
    frame: Frame | None
    facets: tuple[Facet, ...]

    @property
    def data(self) -> list[dict[str, Any]]:
        """The facets, as the script of the page reads them."""
        return [asdict(facet) for facet in self.facets]

    @property
    def surest(self) -> float:
        """The confidence of the surest answer."""
        return max((column.confidence or 0.0 for column in self.columns), default=0.0)


def tile(
    subject: Subject, album: int, known: Known, shown: Shown | None, missing: str | None
) -> Tile:
    """Return what the page shows of a picture, or of one that is ``missing``."""
    item, picture = subject.item, subject.picture
    columns = (
        ()
        if subject.alone
        else tuple(
            answers.columns_of(
                subject.key, known.items, known.tables, known.classifiers, known.colours
            )
        )
    )
    about, label = _about(known.sets.get(item.images or ""), picture.image), _label(subject, known)
    heading = about.title or label or picture.image
    return Tile(
        album=album,
        image=picture.image,
        images=item.images or "",
        heading=heading,
        label=label if heading != label else None,
        about=about,
        fair=subject.fair,
        word=_word(item, picture, known),
        why=_why(subject, known),
        shown=shown,
        missing=missing,
        alt=_alt(heading, columns, picture.caption),
        classifier=item.classifier if subject.alone else None,
        check=item.check,
        suite=known.suites[item.suite],
        verdict=item.verdict.value,
        caption=picture.caption,
        agreement=None if label else answers.agreement(columns),
        columns=columns,
        panels=picture.panels,
        pair=panels.pair(picture.panels),
        frame=_frame(item.classifier, picture.plot, known.colours),
        facets=tuple(_together(_facets(subject, known), None if label else answers.agree(columns))),
    )


def _about(images: ImageSet | None, image: str) -> About:
    known = dict(images.about.get(image, {})) if images is not None else {}
    title = known.pop("title", None) or None
    maker = ", ".join(filter(None, (known.pop("artist", ""), known.pop("year", ""))))
    return About(title, maker, tuple((name, fact) for name, fact in known.items() if fact))


def _label(subject: Subject, known: Known) -> str | None:
    for item, picture in subject.found:
        row = known.row(item, picture.image)
        if row is not None and (names := answers.right_names(row, _card(item, known))):
            return " or ".join(dict.fromkeys(names))
    return None


def _card(item: Item, known: Known) -> Classifier | None:
    return known.classifiers.get(item.classifier)


def _alt(heading: str, columns: Sequence[Column], caption: str) -> str:
    said = [
        f"{column.classifier} sees {column.answers[0].name} ({column.answers[0].share})"
        for column in columns
    ]
    return "; ".join([heading, *said]) if said else f"{heading}: {caption}"


def _why(subject: Subject, known: Known) -> str:
    aliases: dict[str, list[str]] = {}
    for item, picture in subject.found:
        who = aliases.setdefault(_word(item, picture, known), [])
        if item.classifier not in who:
            who.append(item.classifier)
    ranked = sorted(aliases.items(), key=lambda entry: entry[0] == samples.FAIR.word)
    return "; ".join(f"{word} for {listed(who)}" for word, who in ranked if word)


def _word(item: Item, picture: Picture, known: Known) -> str:
    """Return as what a picture was picked; of a set that is shown whole the rest was not."""
    if picture.sample == "worst":
        return samples.worst(item).word
    images = known.sets.get(item.images or "")
    whole = images is not None and len(item.pictures) >= images.n
    return "" if whole else samples.FAIR.word


def _frame(alias: str, plot: Plot | None, colours: Mapping[str, str]) -> Frame | None:
    if plot is None:
        return None
    return plots.frame([(alias, plot)], colours, plots.scale([plot]))


def _together(found: Iterable[Facet], agreed: bool | None) -> Iterator[Facet]:
    """Yield the facets, and in each whether the networks agree where nobody says who is right."""
    word = {True: ("the networks agree",), False: ("the networks disagree",), None: ()}[agreed]
    for facet in found:
        yield replace(facet, answers=(*facet.answers, *word))


def _facets(subject: Subject, known: Known) -> Iterator[Facet]:
    image = subject.picture.image
    if subject.alone:
        item, picture = subject.item, subject.picture
        suite, word = known.suites[item.suite], _word(item, picture, known)
        only = known.row(item, image) or {}
        yield facets.of_panels(item, suite, word, only, _card(item, known), picture.panels)
        return
    words = {item.id: _word(item, picture, known) for item, picture in subject.found}
    for item in known.items:
        row = known.row(item, image) if answers.set_of(item) == subject.key[:2] else None
        if row is not None or item.id in words:
            suite, word = known.suites[item.suite], words.get(item.id, "")
            yield facets.of_row(item, suite, word, row or {}, _card(item, known))
