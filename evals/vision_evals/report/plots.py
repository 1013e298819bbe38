"""Plots of the log as frames: which share one, and the lines in it with their signs and points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

from vision_evals.log import Item, Line, Plot
from vision_evals.report import rounding, scales
from vision_evals.report.groups import grouped
from vision_evals.report.scales import Scale
from vision_evals.report.words import listed

DASHES = 4
"""Dashes that can be told apart; more names than these are told apart by shapes, too."""

Drawn = tuple[str, Plot]
"""An alias and what is drawn of it."""

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


@dataclass(frozen=True, slots=True)
class Flag:
    """An upright line and its word."""

    x: float
    colour: str
    """Its classifier's; empty for all that the frame shows."""
    label: str


@dataclass(frozen=True, slots=True)
class FrameColumn:
    """The numbers of one line, by row of the table."""

    classifier: str
    colour: str
    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """Lines on one pair of axes."""

    title: str
    about: str
    classifier: str | None
    colour: str
    x_label: str
    y_label: str
    share: bool
    ticks: tuple[str, ...]
    """Names of x = 0, 1, 2, ...; none where x is a number."""
    across: Scale
    up: Scale
    traces: tuple[Trace, ...]
    flags: tuple[Flag, ...]
    heads: tuple[str, ...]
    columns: tuple[FrameColumn, ...]

    @property
    def steps(self) -> bool:
        """Whether it shows histograms."""
        return any(trace.steps for trace in self.traces)

    @property
    def clipped(self) -> bool:
        """Whether a line leaves the frame."""
        spots = (spot for trace in self.traces for spot in trace.spots)
        return any(spot.y is not None and not self.up.holds(spot.y) for spot in spots)


def frames(items: Sequence[Item], colours: Mapping[str, str]) -> tuple[Frame, ...]:
    """Return the plots of one check: those with one title and one x axis share a frame."""
    titles = grouped(
        ((plot.title, plot.y_label), (item.classifier, plot))
        for item in items
        for plot in item.plots
    )
    return tuple(
        frame(shared, colours, scale([plot for _, plot in drawn]))
        for drawn in titles.values()
        for shared in _sharing(drawn)
    )


def scale(plots: Sequence[Plot]) -> Scale:
    """Return one y axis for plots that are to be compared."""
    if all(plot.share for plot in plots):
        return scales.SHARES
    lines = [line for plot in plots for line in plot.lines]
    ends = [y for line in lines for y in (*line.y, *line.low, *line.high) if y is not None]
    # an area says how much by its height: it stands on 0
    floor = [0.0] if any(line.steps for line in lines) else []
    return scales.up([*floor, *ends])


def width(plots: Sequence[Plot]) -> Scale:
    """Return one x axis for plots that are to be compared."""
    if plots[0].ticks:
        return scales.places(plots[0].ticks)
    lines = [x for plot in plots for line in plot.lines for x in line.x]
    return scales.across([*lines, *(mark.x for plot in plots for mark in plot.marks)])


def frame(
    drawn: Sequence[Drawn],
    colours: Mapping[str, str],
    up: Scale | None = None,
    across: Scale | None = None,
) -> Frame:
    """Return the frame of plots that share their x axis.

    Args:
        drawn: the plots, each with the alias that it is about.
        colours: alias to its class of the style.
        up: the y axis; by default what holds these plots.
        across: the x axis; likewise.
    """
    plots = [plot for _, plot in drawn]
    lines = list(_lines(drawn))
    drawn_traces = tuple(traces(lines, colours))
    xs = sorted({x for _, line in lines for x in line.x})
    stepped = any(line.steps for _, line in lines)
    rows = xs[:-1] if stepped else xs
    aliases = list(dict.fromkeys(alias for alias, _ in drawn))
    alias = aliases[0] if len(aliases) == 1 else None
    return Frame(
        title=plots[0].title,
        about=" ".join(dict.fromkeys(plot.about for plot in plots if plot.about)),
        classifier=alias,
        colour=colours[alias] if alias is not None else "",
        x_label=plots[0].x_label,
        y_label=plots[0].y_label,
        share=all(plot.share for plot in plots),
        ticks=plots[0].ticks,
        across=across or width(plots),
        up=up or scale(plots),
        traces=drawn_traces,
        flags=tuple(dict.fromkeys(_flags(drawn, colours))),
        heads=tuple(_heads(xs, plots[0].ticks, stepped=stepped)),
        columns=tuple(_column(trace, rows) for trace in drawn_traces),
    )


def _lines(drawn: Sequence[Drawn]) -> Iterator[tuple[str, Line]]:
    """Yield every line with its alias; a reference line is the same for all and drawn once."""
    references: list[Line] = []
    for alias, line in ((alias, line) for alias, plot in drawn for line in plot.lines):
        if line not in references:
            yield alias, line
        references += [line] if line.reference else []


def _sharing(drawn: Sequence[Drawn]) -> list[list[Drawn]]:
    """Return plots by x axis; by classifier too, where dashes could not tell the names apart."""
    lines = [line for _, plot in drawn for line in plot.lines]
    names = {line.name for line in lines}
    stepped = any(line.steps for line in lines)  # one filled over another hides it
    apart = len(names) > DASHES or stepped
    shared = grouped(
        ((plot.x_label, plot.ticks, plot.share, alias if apart else ""), (alias, plot))
        for alias, plot in drawn
    )
    return list(shared.values())


def _flags(drawn: Sequence[Drawn], colours: Mapping[str, str]) -> Iterator[Flag]:
    several = len({alias for alias, _ in drawn}) > 1
    for alias, plot in drawn:
        for mark in plot.marks:
            yield Flag(mark.x, colours[alias] if several else "", mark.label)


def _heads(xs: Sequence[float], ticks: Sequence[str], *, stepped: bool) -> Iterator[str]:
    """Yield what a row of the table is about: a place, or of a histogram a bin."""
    words = [_head(x, ticks) for x in xs]
    yield from (f"{low} to {high}" for low, high in pairwise(words)) if stepped else words


def _head(x: float, ticks: Sequence[str]) -> str:
    place = int(x) if x.is_integer() else -1
    return ticks[place] if 0 <= place < len(ticks) else rounding.written(x)


def _column(trace: Trace, xs: Sequence[float]) -> FrameColumn:
    texts = {spot.x: spot.text for spot in trace.spots}
    cells = tuple(texts.get(x, "") for x in xs)
    return FrameColumn(trace.classifier, trace.colour, trace.full, cells)


def traces(lines: Sequence[Owned], colours: Mapping[str, str]) -> Iterator[Trace]:
    """Yield each line with its sign: colour by classifier, dash by name, shape where needed."""
    aliases = list(dict.fromkeys(alias for alias, _ in lines))
    names = list(dict.fromkeys(line.name for _, line in lines))
    for alias, line in lines:
        rank = names.index(line.name)
        # Shapes tell classifiers apart without colour; of one alone, names when dashes run out.
        shape = aliases.index(alias) if len(aliases) > 1 else rank // DASHES - 1
        seeds = [other.seed for _, other in lines if other.name == line.name]
        yield Trace(
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
