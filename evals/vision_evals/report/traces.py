"""Lines of a frame: by what sign each is known, and its points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from vision_evals.log import Line
from vision_evals.report import rounding
from vision_evals.report.words import listed

DASHES = 4
"""Dashes that can be told apart; more names than these are told apart by shapes, too."""

Owned = tuple[str, Line]
"""An alias and a line of its plot."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One point of a line."""

    x: float
    y: float | None
    low: float | None
    high: float | None
    n: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Trace:
    """One line. Colour says whose it is, the dash what it is: colour is never the only sign."""

    classifier: str
    colour: str
    name: str
    """What it is, all seeds of it in one: ``validation, seeds 0 to 4``."""
    full: str
    """The line's own name."""
    dash: int
    shape: int | None
    """None: it bears no marks but where it has intervals."""
    thin: bool
    """One seed of several."""
    reference: bool
    """Drawn for comparison, not measured."""
    steps: bool
    """Each y holds from its x to the next; the last x only ends it."""
    spots: tuple[Spot, ...]


def traces(lines: Sequence[Owned], colours: Mapping[str, str]) -> tuple[Trace, ...]:
    """Return each line with its sign: colour by classifier, dash by name, shape where needed."""
    aliases = list(dict.fromkeys(alias for alias, _ in lines))
    names = list(dict.fromkeys(line.name for _, line in lines))
    return tuple(_trace(alias, line, lines, aliases, names, colours) for alias, line in lines)


def _trace(
    alias: str,
    line: Line,
    lines: Sequence[Owned],
    aliases: Sequence[str],
    names: Sequence[str],
    colours: Mapping[str, str],
) -> Trace:
    rank = names.index(line.name)
    # Shapes tell classifiers apart without colour; of one alone, names when dashes run out.
    shape = aliases.index(alias) if len(aliases) > 1 else rank // DASHES - 1
    seeds = [other.seed for _, other in lines if other.name == line.name]
    return Trace(
        classifier=alias,
        colour=colours[alias],
        name=", ".join(filter(None, (line.name, _seeds(seeds)))),
        full=line.full,
        dash=rank % DASHES,
        shape=shape if shape >= 0 else None,
        thin=line.seed is not None,
        reference=line.reference,
        steps=line.steps,
        spots=tuple(_spots(line)),
    )


def _spots(line: Line) -> list[Spot]:
    return [
        Spot(*point, _text(*point[1:]))
        for point in zip_longest(line.x, line.y[: len(line.x)], line.low, line.high, line.n)
        if point[0] is not None
    ]


def _text(y: float | None, low: float | None, high: float | None, n: int | None) -> str:
    if y is None:
        return ""
    text = rounding.brief(y)
    if low is not None and high is not None:
        text += f" ({rounding.brief(low)} to {rounding.brief(high)})"
    return text if n is None else f"{text}, n = {rounding.count(n)}"


def _seeds(values: Sequence[int | None]) -> str:
    """Return ``seeds 0 to 4`` for one line's variants; nothing without seeds."""
    seeds = sorted({seed for seed in values if seed is not None})
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"seeds {seeds[0]} to {seeds[-1]}"
    names = listed([str(seed) for seed in seeds])
    return names and f"{'seed' if len(seeds) == 1 else 'seeds'} {names}"
