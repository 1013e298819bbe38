"""A picture of the gallery: what is seen on it, and what every classifier made of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from vision_evals.log import Classifier, ImageSet, Item, Panel, Picture
from vision_evals.report import answers, facets, picked, plots
from vision_evals.report.answers import AnswerColumn
from vision_evals.report.facets import Facet, Pair
from vision_evals.report.files import TableRow
from vision_evals.report.groups import grouped
from vision_evals.report.picked import PickedPicture
from vision_evals.report.picture_budget import Shown
from vision_evals.report.plots import Frame
from vision_evals.report.words import listed, unique


@dataclass(frozen=True, slots=True)
class GalleryData:
    """What the log and its tables say of pictures."""

    items: Sequence[Item]
    classifiers: Mapping[str, Classifier]
    sets: Mapping[str, ImageSet]
    suites: Mapping[str, str]
    """Path to what the suite is called."""
    colours: Mapping[str, str]
    tables: Mapping[str, Mapping[str, TableRow]]
    """Item to image to row."""

    def row(self, item: Item, image: str) -> TableRow | None:
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
    columns: tuple[AnswerColumn, ...]
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
    subject: PickedPicture, album: int, data: GalleryData, shown: Shown | None, missing: str | None
) -> Tile:
    """Return what the page shows of a picture, or of one that is ``missing``."""
    item, picture = subject.item, subject.picture
    columns = () if subject.alone else tuple(_columns(subject, data))
    about, label = _about(data.sets.get(item.images or ""), picture.image), _label(subject, data)
    heading = about.title or label or picture.image
    return Tile(
        album=album,
        image=picture.image,
        images=item.images or "",
        heading=heading,
        label=label if heading != label else None,
        about=about,
        fair=subject.fair,
        word=_word(item, picture, data),
        why=_why(subject, data),
        shown=shown,
        missing=missing,
        alt=_alt(heading, columns, picture.caption),
        classifier=item.classifier if subject.alone else None,
        check=item.check,
        suite=data.suites[item.suite],
        verdict=item.verdict.value,
        caption=picture.caption,
        agreement=None if label else answers.agreement(columns),
        columns=columns,
        panels=picture.panels,
        pair=facets.pair(picture.panels),
        frame=plots.frame([(item.classifier, picture.plot)], data.colours)
        if picture.plot
        else None,
        facets=tuple(_together(_facets(subject, data), None if label else answers.agree(columns))),
    )


def _columns(subject: PickedPicture, data: GalleryData) -> Iterator[AnswerColumn]:
    return answers.columns_of(subject.key, data.items, data.tables, data.classifiers, data.colours)


def _about(images: ImageSet | None, image: str) -> About:
    fields = dict(images.about.get(image, {})) if images is not None else {}
    title = fields.pop("title", None) or None
    maker = ", ".join(filter(None, (fields.pop("artist", ""), fields.pop("year", ""))))
    return About(title, maker, tuple((name, fact) for name, fact in fields.items() if fact))


def _label(subject: PickedPicture, data: GalleryData) -> str | None:
    for item, picture in subject.picks:
        row = data.row(item, picture.image)
        if row is not None and (names := answers.right_names(row, _card(item, data))):
            return " or ".join(unique(names))
    return None


def _card(item: Item, data: GalleryData) -> Classifier | None:
    return data.classifiers.get(item.classifier)


def _alt(heading: str, columns: Sequence[AnswerColumn], caption: str) -> str:
    answers_seen = [
        f"{column.classifier} sees {column.answers[0].name} ({column.answers[0].share})"
        for column in columns
    ]
    return "; ".join([heading, *answers_seen]) if answers_seen else f"{heading}: {caption}"


def _why(subject: PickedPicture, data: GalleryData) -> str:
    picks = subject.picks
    aliases = grouped((_word(item, picture, data), item.classifier) for item, picture in picks)
    ranked = sorted(aliases.items(), key=lambda entry: entry[0] == picked.FAIR.word)
    return "; ".join(f"{word} for {listed(unique(networks))}" for word, networks in ranked if word)


def _word(item: Item, picture: Picture, data: GalleryData) -> str:
    """Return as what a picture was picked; of a set that is shown whole the rest was not."""
    if picture.sample == "worst":
        return picked.worst(item).word
    images = data.sets.get(item.images or "")
    whole = images is not None and len(item.pictures) >= images.n
    return "" if whole else picked.FAIR.word


def _together(plain_facets: Iterable[Facet], agreed: bool | None) -> Iterator[Facet]:
    """Yield the facets, and in each whether the networks agree where the image has no label."""
    word = {True: ("the networks agree",), False: ("the networks disagree",), None: ()}[agreed]
    for facet in plain_facets:
        yield replace(facet, answers=(*facet.answers, *word))


def _facets(subject: PickedPicture, data: GalleryData) -> Iterator[Facet]:
    image = subject.picture.image
    if subject.alone:
        item, picture = subject.item, subject.picture
        suite, word = data.suites[item.suite], _word(item, picture, data)
        own_row = data.row(item, image) or {}
        yield facets.of_panels(item, suite, word, own_row, _card(item, data), picture.panels)
        return
    words = {item.id: _word(item, picture, data) for item, picture in subject.picks}
    for item in data.items:
        row = data.row(item, image) if answers.set_of(item) == subject.key[:2] else None
        if row is not None or item.id in words:
            suite, word = data.suites[item.suite], words.get(item.id, "")
            yield facets.of_row(item, suite, word, row or {}, _card(item, data))
