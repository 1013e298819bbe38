"""A check as runs judged it, and which of them asked the same: lines join those alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vision_evals.log import Item, Metric, Run, Verdict
from vision_evals.report import words
from vision_evals.report.lines import At
from vision_evals.verdict.baseline.provenance import Side, differences


@dataclass(frozen=True, slots=True)
class Seen:
    """A check as one run judged it."""

    run: Run
    items: Mapping[str, Item]
    """By alias; those without numbers that can be believed are left out."""
    metrics: Mapping[str, Mapping[At, Metric]]
    """Of each of them."""

    @classmethod
    def of(cls, run: Run, items: Sequence[Item]) -> Seen:
        """Return a check of a run."""
        sound = {
            item.classifier: item
            for item in items
            if item.metrics and item.verdict is not Verdict.INVALID
        }
        metrics = {
            alias: {(metric.name, metric.at): metric for metric in item.metrics}
            for alias, item in sound.items()
        }
        return cls(run, sound, metrics)


@dataclass(frozen=True, slots=True)
class Change:
    """A run that asked something else than those before it."""

    name: str
    """Of what it asked, as in the legend."""
    than: str
    """The same of those that come nearest."""
    run: str
    date: str
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """Runs that asked the same of networks, by their place."""

    name: str
    places: tuple[int, ...]


def questions(many: Sequence[Seen]) -> tuple[tuple[Question, ...], tuple[Change, ...]]:
    """Return which runs of a check asked the same, and what the others changed.

    The same is what a gate demands of two runs, and the precision. A run without numbers is a
    place of every question, where its line breaks.

    Args:
        many: oldest first.
    """
    groups: list[list[int]] = []
    changes = []
    sides = {place: _side(one) for place, one in enumerate(many) if one.items}
    for place, side in sides.items():
        apart = [differences(sides[group[-1]], side) for group in groups]
        if () in apart:
            groups[apart.index(())].append(place)
            continue
        groups.append([place])
        if apart:
            nearest = min(range(len(apart)), key=lambda rank: len(apart[rank]))
            changes.append(_change(len(groups), nearest + 1, many[place].run, apart[nearest]))
    empty = [place for place in range(len(many)) if place not in sides]
    asked = (
        Question(_name(number), tuple(sorted([*group, *empty])))
        for number, group in enumerate(groups, 1)
    )
    return tuple(asked), tuple(changes)


def _side(one: Seen) -> Side:
    """Return what must be equal for two runs to be about the same; their networks may differ."""
    item = next(iter(one.items.values()))
    roles = {item.images, item.against}
    images = tuple(images for images in one.run.image_sets if images.role in roles)
    return Side(item, None, one.run.settings, images)


def _change(number: int, than: int, run: Run, differs: tuple[str, ...]) -> Change:
    return Change(_name(number), _name(than), run.id, words.date(run.started), differs)


def _name(number: int) -> str:
    return f"conditions {number}"
