"""What a picture is found by: one facet for each check on each classifier that it is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vision_evals.log import Classifier, Item, Panel
from vision_evals.report.answers import answers_of, right_classes, right_names
from vision_evals.report.files import TableRow
from vision_evals.report.words import unique


@dataclass(frozen=True, slots=True)
class Pair:
    """The panels that a reader slides between, by their places from 0."""

    before: int
    after: int


def pair(panels: Sequence[Panel]) -> Pair | None:
    """Return the image and the last panel, which is what became of it; None without both."""
    original = [place for place, panel in enumerate(panels[:-1]) if panel.original]
    return Pair(original[0], len(panels) - 1) if original else None


@dataclass(frozen=True, slots=True)
class Facet:
    """One check on one classifier: a picture is found where one of its facets is."""

    suite: str
    network: str
    verdict: str
    sample: str
    """Why this check picked the picture, empty where only another did."""
    answers: tuple[str, ...]
    """Whether the network is right, and what a change made of its answer."""
    classes: tuple[str, ...]
    """The right ones, and what the network named first."""
    confidence: float | None
    """In its answer; in that to the changed image where there is one."""


def of_row(item: Item, suite: str, sample: str, row: TableRow, card: Classifier | None) -> Facet:
    """Return the facet of an image whose row holds the likeliest classes.

    Args:
        item: one check on one classifier.
        suite: what its suite is called.
        sample: why it picked the picture, in a word; empty where it did not.
        row: of the image; an empty one where none was kept.
        card: of the classifier, for the names of classes.
    """
    first = answers_of(row, card)[:1] if row.get("top5") else ()
    judged = ["right" if answer.right else "wrong" for answer in first]
    return Facet(
        suite=suite,
        network=item.classifier,
        verdict=item.verdict.value,
        sample=sample,
        answers=tuple(judged) if right_classes(row) else ("no label",),
        classes=tuple(unique([*right_names(row, card), *(answer.name for answer in first)])),
        confidence=next((round(answer.confidence, 4) for answer in first), None),
    )


def of_panels(
    item: Item,
    suite: str,
    sample: str,
    row: TableRow,
    card: Classifier | None,
    parts: Sequence[Panel],
) -> Facet:
    """Return the facet of a picture of panels; the other arguments are those of `of_row`."""
    both = pair(parts)
    shown_panels = [parts[both.before], parts[both.after]] if both else parts[:1]
    answered = [(panel.answer, panel.confidence) for panel in shown_panels]
    named = [(name, sure) for name, sure in answered if name is not None and sure is not None]
    names = [name for name, _ in named]
    answers = [*_judged(names[0], row, card)] if named and named[0] == answered[0] else []
    if len(named) == 2:
        answers += _changed(names[0], names[1], _target(item, card))
    return Facet(
        suite=suite,
        network=item.classifier,
        verdict=item.verdict.value,
        sample=sample,
        answers=tuple(answers),
        classes=tuple(unique([*right_names(row, card), *names])),
        confidence=round(named[-1][1], 4) if named else None,
    )


def _judged(name: str, row: TableRow, card: Classifier | None) -> Iterator[str]:
    """Say whether a class is right by its name; nothing where two classes share the name."""
    right = right_classes(row)
    names = card.class_names if card else ()
    indices = {index for index, class_name in enumerate(names) if class_name == name}
    if not right:
        yield "no label"
    elif indices and indices <= right:
        yield "right"
    elif indices and indices.isdisjoint(right):
        yield "wrong"


def _changed(before: str, after: str, target: str | None) -> Iterator[str]:
    yield "the same after the change" if after == before else "another after the change"
    if target is not None:
        yield "target reached" if after == target else "target not reached"


def _target(item: Item, card: Classifier | None) -> str | None:
    """Return the name of the class that the check aims at: it is set by name, synset or index."""
    wanted, names = str(item.parameters.get("target", "")), card.class_names if card else ()
    if wanted in names:
        return wanted
    if card is not None and wanted in card.synsets[: len(names)]:
        return names[card.synsets.index(wanted)]
    return {str(index): name for index, name in enumerate(names)}.get(wanted)
