"""Plots of the log as frames: which share one, and where their lines run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evals.log import Item, Line, Mark, Plot
from evals.report import rounding, scales
from evals.report.scales import Scale
from evals.report.traces import DASHES, Sign, Trace, base, of_classifiers, of_names, signs_of, trace

Drawn = tuple[str, Plot]
"""An alias and what is drawn of it."""


@dataclass(frozen=True, slots=True)
class Flag:
    """An upright line, and its word in one of the rows above the frame."""

    place: float
    colour: str
    label: str
    row: int


@dataclass(frozen=True, slots=True)
class Column:
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
    across: Scale
    up: Scale
    traces: tuple[Trace, ...]
    flags: tuple[Flag, ...]
    classifiers: tuple[Sign, ...]
    names: tuple[Sign, ...]
    heads: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def clipped(self) -> bool:
        """Whether a line leaves the frame."""
        return any(trace.beyond for trace in self.traces)

    @property
    def rows(self) -> int:
        """Rows of words above the frame."""
        return len({flag.row for flag in self.flags})


def frames(items: Sequence[Item], colours: Mapping[str, str]) -> tuple[Frame, ...]:
    """Return the plots of one check: those with one title and one x axis share a frame."""
    titles: dict[tuple[str, str], list[Drawn]] = {}
    for item in items:
        for plot in item.plots:
            titles.setdefault((plot.title, plot.y_label), []).append((item.classifier, plot))
    return tuple(
        frame(shared, colours, scale([plot for _, plot in drawn]))
        for drawn in titles.values()
        for shared in _sharing(drawn)
    )


def scale(plots: Sequence[Plot]) -> Scale:
    """Return one y axis for plots that are to be compared."""
    if all(plot.share for plot in plots):
        return scales.shares()
    lines = [line for plot in plots for line in plot.lines]
    return scales.up(y for line in lines for y in (*line.y, *line.low, *line.high) if y is not None)


def width(plots: Sequence[Plot]) -> Scale:
    """Return one x axis for plots that are to be compared."""
    if plots[0].ticks:
        return scales.places(plots[0].ticks)
    lines = [x for plot in plots for line in plot.lines for x in line.x]
    return scales.across([*lines, *(mark.x for plot in plots for mark in plot.marks)])


def frame(
    drawn: Sequence[Drawn],
    colours: Mapping[str, str],
    up: Scale,
    across: Scale | None = None,
) -> Frame:
    """Return the frame of plots that share their x axis.

    Args:
        drawn: the plots, each with the alias that it is about.
        colours: alias to its class of ``style.css``.
        up: the y axis.
        across: the x axis; by default what holds these plots.
    """
    plots = [plot for _, plot in drawn]
    lines = [(alias, line) for alias, plot in drawn for line in plot.lines]
    xs = sorted({x for _, line in lines for x in line.x})
    aliases = list(dict.fromkeys(alias for alias, _ in drawn))
    one = aliases[0] if len(aliases) == 1 else None
    signs = signs_of(lines, colours)
    across = across or width(plots)
    traces = [
        trace(line, sign, across, up, marked=sign not in signs[:rank])
        for rank, ((_, line), sign) in enumerate(zip(lines, signs, strict=True))
    ]
    return Frame(
        title=plots[0].title,
        about=" ".join(dict.fromkeys(plot.about for plot in plots if plot.about)),
        classifier=one,
        colour=colours[one] if one is not None else "",
        x_label=plots[0].x_label,
        y_label=plots[0].y_label,
        share=plots[0].share,
        across=across,
        up=up,
        traces=tuple(traces),
        flags=tuple(_flags(drawn, across, colours)),
        classifiers=() if one is not None else of_classifiers(lines, signs),
        names=of_names(lines, signs),
        heads=tuple(_head(x, plots[0].ticks) for x in xs),
        columns=tuple(_column(alias, line, colours, xs) for alias, line in lines),
    )


def _sharing(drawn: Sequence[Drawn]) -> list[list[Drawn]]:
    """Return plots by x axis; by classifier too, where dashes could not tell the names apart."""
    names = {base(line.name) for _, plot in drawn for line in plot.lines}
    shared: dict[tuple[object, ...], list[Drawn]] = {}
    for alias, plot in drawn:
        apart = alias if len(names) > len(DASHES) else ""
        shared.setdefault((plot.x_label, plot.ticks, plot.share, apart), []).append((alias, plot))
    return list(shared.values())


def _flags(drawn: Sequence[Drawn], across: Scale, colours: Mapping[str, str]) -> Iterator[Flag]:
    several = len({alias for alias, _ in drawn}) > 1
    rows: list[str] = []
    marks: dict[tuple[str, Mark], None] = {
        (colours[alias] if several else "", mark): None
        for alias, plot in drawn
        for mark in plot.marks
    }
    for colour, mark in marks:
        first = mark.label not in rows
        if first:
            rows.append(mark.label)
        label = mark.label if first else ""  # one word for all lines that mean the same
        yield Flag(across.place(mark.x), colour, label, rows.index(mark.label))


def _head(x: float, ticks: Sequence[str]) -> str:
    place = int(x) if x.is_integer() else -1
    return ticks[place] if 0 <= place < len(ticks) else rounding.written(x)


def _column(alias: str, line: Line, colours: Mapping[str, str], xs: Sequence[float]) -> Column:
    known = dict(zip(line.x, line.y, strict=False))
    ends = zip(line.low, line.high, strict=False)
    spread = {
        x: f" ({rounding.brief(low)} to {rounding.brief(high)})"
        for x, (low, high) in zip(line.x, ends, strict=False)
        if low is not None and high is not None
    }
    cells = ((x, known.get(x)) for x in xs)
    texts = tuple("" if y is None else rounding.brief(y) + spread.get(x, "") for x, y in cells)
    return Column(alias, colours[alias], line.name, texts)
