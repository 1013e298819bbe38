"""A check as runs judged it, and which of them ran under the same conditions.

The lines of a trend join only runs of the same conditions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vision_evals.log import Item, Metric, Run, Verdict
from vision_evals.report import words
from vision_evals.report.lines import At
from vision_evals.verdict.baseline.provenance import Side, differences


@dataclass(frozen=True, slots=True)
class JudgedCheck:
    """A check as one run judged it."""

    run: Run
    items: Mapping[str, Item]
    """By alias; items without valid numbers are left out."""
    metrics: Mapping[str, Mapping[At, Metric]]
    """Of each of them."""

    @classmethod
    def of(cls, run: Run, items: Sequence[Item]) -> JudgedCheck:
        """Return a check of a run."""
        valid = {
            item.classifier: item
            for item in items
            if item.metrics and item.verdict is not Verdict.INVALID
        }
        metrics = {
            alias: {(metric.name, metric.at): metric for metric in item.metrics}
            for alias, item in valid.items()
        }
        return cls(run, valid, metrics)


@dataclass(frozen=True, slots=True)
class ConditionChange:
    """A run whose conditions differ from those of all runs before it."""

    name: str
    """Of its conditions, as in the legend."""
    than: str
    """Name of the conditions that are nearest."""
    run: str
    date: str
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Runs of the same conditions, by their place."""

    name: str
    places: tuple[int, ...]


def runs_by_conditions(
    checks: Sequence[JudgedCheck],
) -> tuple[tuple[Conditions, ...], tuple[ConditionChange, ...]]:
    """Return which runs of a check have the same conditions, and what the others changed.

    The same means what a gate demands of two runs, and the precision. A run without numbers has a
    place under all conditions, where their line breaks.

    Args:
        checks: one for each run, oldest first.
    """
    groups: list[list[int]] = []
    changes = []
    sides = {place: _side(check) for place, check in enumerate(checks) if check.items}
    for place, side in sides.items():
        by_group = [differences(sides[group[-1]], side) for group in groups]
        if () in by_group:
            groups[by_group.index(())].append(place)
            continue
        groups.append([place])
        if by_group:
            nearest = min(range(len(by_group)), key=lambda rank: len(by_group[rank]))
            run, names = checks[place].run, (_name(len(groups)), _name(nearest + 1))
            date = words.date(run.started)
            changes.append(ConditionChange(*names, run.id, date, by_group[nearest]))
    empty = [place for place in range(len(checks)) if place not in sides]
    conditions = (
        Conditions(_name(number), tuple(sorted([*group, *empty])))
        for number, group in enumerate(groups, 1)
    )
    return tuple(conditions), tuple(changes)


def _side(check: JudgedCheck) -> Side:
    """Return what must be equal in two runs of the same conditions; networks may differ."""
    item = next(iter(check.items.values()))
    roles = {item.images, item.against}
    images = tuple(images for images in check.run.image_sets if images.role in roles)
    return Side(item, None, check.run.settings, images)


def _name(number: int) -> str:
    return f"conditions {number}"
