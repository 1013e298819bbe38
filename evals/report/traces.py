"""Lines of a frame: by what sign each is known, and where it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from evals.log import Line
from evals.report.scales import Scale
from evals.report.words import listed

DASHES = ("solid", "dashed", "dashdot", "dotted")
"""Classes of ``style.css`` for the lines of one frame, by name."""

SHAPES = 4
"""Marks ``m0`` to ``m3`` of the macros: of classifiers, or of names beyond the dashes."""

SPOTS = 8
"""Marks on one line, at most about."""

UNITS = 4000
"""Steps of an axis that a path can tell apart: more than a wide screen shows."""

_SEED = re.compile(r"seed (\d{1,9})[ ,:]*(.*)", re.DOTALL)

Owned = tuple[str, Line]
"""An alias and a line of its plot."""


@dataclass(frozen=True, slots=True)
class Sign:
    """How lines of one kind look: an entry of the legend."""

    text: str
    colour: str
    dash: str
    shape: str


@dataclass(frozen=True, slots=True)
class Trace:
    """One line: its path on a square of ``UNITS``, and its marks in shares of the frame."""

    sign: Sign
    thin: bool
    path: str
    spots: tuple[tuple[float, float], ...]
    beyond: bool
    whiskers: tuple[tuple[float, float, float], ...] = ()
    """Place, and both ends of the interval there."""


def base(name: str) -> str:
    """Return ``validation`` for ``seed 3 validation``: variants of one line share it."""
    match = _SEED.fullmatch(name)
    return match[2] if match else name


def signs_of(lines: Sequence[Owned], colours: Mapping[str, str]) -> list[Sign]:
    """Return the sign of each line: colour by classifier, dash by name, shape where needed."""
    aliases = list(dict.fromkeys(alias for alias, _ in lines))
    names = list(dict.fromkeys(base(line.name) for _, line in lines))
    signs = []
    for alias, line in lines:
        rank = names.index(base(line.name))
        # Shapes tell classifiers apart without colour; of one alone, names when dashes run out.
        shape = aliases.index(alias) if len(aliases) > 1 else rank // len(DASHES) - 1
        signs.append(
            Sign(
                text=names[rank],
                colour=colours[alias],
                dash=DASHES[rank % len(DASHES)],
                shape=f"m{shape % SHAPES}" if shape >= 0 else "",
            )
        )
    return signs


def trace(line: Line, sign: Sign, across: Scale, up: Scale, *, marked: bool) -> Trace:
    """Return a line on two axes; where y is missing it breaks.

    Args:
        line: of the log.
        sign: how it looks.
        across: the x axis.
        up: the y axis.
        marked: whether it bears its shape; of several seeds one is enough.
    """
    runs = list(_runs(line, across, up))
    known = [point for run in runs for point in run]
    spots = known[:: -(-len(known) // SPOTS) or 1] if sign.shape and marked else []
    if line.low:  # each point with an interval of its own was measured, and nothing between
        spots = known
    alone = [run[0] for run in runs if len(run) == 1]  # a path of one point shows nothing
    return Trace(
        sign=sign,
        thin=_SEED.fullmatch(line.name) is not None,
        path="".join(_path(run) for run in runs if len(run) > 1),
        spots=tuple(spot for spot in dict.fromkeys([*spots, *alone]) if _inside(spot)),
        beyond=not all(map(_inside, known)),
        whiskers=tuple(
            (across.place(x), 1 - up.place(low), 1 - up.place(high))
            for x, low, high in zip(line.x, line.low, line.high, strict=False)
            if low is not None and high is not None
        ),
    )


def of_classifiers(lines: Sequence[Owned], signs: Sequence[Sign]) -> tuple[Sign, ...]:
    """Return the legend of a frame that several classifiers share: colours and shapes."""
    first: dict[str, Sign] = {}
    for (alias, _), sign in zip(lines, signs, strict=True):
        first.setdefault(alias, replace(sign, text=alias, dash=DASHES[0]))
    return tuple(first.values())


def of_names(lines: Sequence[Owned], signs: Sequence[Sign]) -> tuple[Sign, ...]:
    """Return the legend of the names: one entry for all seeds of a line."""
    several = len({alias for alias, _ in lines}) > 1
    seeds: dict[str, list[int]] = {}
    first: dict[str, Sign] = {}
    for (_, line), sign in zip(lines, signs, strict=True):
        match = _SEED.fullmatch(line.name)
        seeds.setdefault(sign.text, []).extend([int(match[1])] if match else [])
        first.setdefault(sign.text, replace(sign, colour="", shape="") if several else sign)
    return tuple(
        replace(sign, text=", ".join(filter(None, (name, _seeds(seeds[name])))))
        for name, sign in first.items()
    )


def _seeds(found: Sequence[int]) -> str:
    seeds = sorted(set(found))
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"seeds {seeds[0]} to {seeds[-1]}"
    said = listed([str(seed) for seed in seeds])
    return said and f"{'seed' if len(seeds) == 1 else 'seeds'} {said}"


def _runs(line: Line, across: Scale, up: Scale) -> Iterator[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for x, y in zip(line.x, line.y, strict=False):
        if y is not None:
            run.append((across.place(x), 1 - up.place(y)))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _inside(point: tuple[float, float]) -> bool:
    return all(-1e-9 <= share <= 1 + 1e-9 for share in point)


def _path(run: Sequence[tuple[float, float]]) -> str:
    return "M" + " ".join(f"{round(UNITS * x)} {round(UNITS * y)}" for x, y in run)
