"""A plot of the log: lines over numbers or named places, histograms, upright marks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Literal

import altair as alt

from vision_evals.report.plots import Frame, Spot, Trace
from vision_evals.report.scales import tidy
from vision_evals.report.vega import drawing

MANY_POINTS = 24
"""Points on one line above which their marks are smaller."""

MAX_LEVEL_TICK_CHARS = 44
"""Letters that fit side by side under a frame on a narrow screen; more stand aslant."""


@drawing.unchecked
def lines(frame: Frame) -> drawing.ChartSpec:
    """Return the chart of a frame."""
    names = ", ".join(dict.fromkeys(trace.name for trace in frame.traces))
    both = frame.up.both and not frame.share
    types = (("log", "logarithmic"), ("linear", "linear"))
    first = types if frame.up.logarithmic else types[::-1]
    text = f"{frame.title}: {names} over {frame.x_label}"
    rows = [_row(trace, place, frame) for place, trace in enumerate(frame.traces)]
    flags = list(_flags(frame))
    spec = drawing.filled(drawing.layered(_layers(frame)), text, rows=rows, flags=flags)
    return drawing.ChartSpec(spec, "y" if both else "", first if both else ())


def _layers(frame: Frame) -> list[alt.Chart]:
    interpolate: Literal["step-after", "linear"] = "step-after" if frame.steps else "linear"
    fields: list[str | alt.FieldName] = ["x", "y", "seen"]
    fields += ["at"] if _worded(frame) else []
    fields += ["to"] if frame.steps else []
    fields += ["low", "high"] if _whiskered(frame) else []
    fields += ["n"] if _counted(frame) else []
    fields += ["value"] if frame.clipped else []
    base = (
        drawing.chart_of("rows")
        .transform_flatten(fields)
        .encode(x=_across(frame), y=_up(frame), color=_colour(frame))
    )
    offset = alt.expr("datum.offset")
    hovered = base.encode(tooltip=_tips(frame))
    names, ranks = [t.name for t in frame.traces], [t.dash for t in frame.traces]
    dash = drawing.dashes(names, ranks, "name")
    layers = [
        (base if frame.steps else hovered)
        .mark_line(interpolate=interpolate, xOffset=offset, clip=frame.clipped)
        .encode(
            strokeDash=dash,
            strokeWidth=alt.StrokeWidth("width:Q", scale=None, legend=None),
            detail=alt.Detail("key:N"),
        )
    ]
    if frame.steps:  # of several only the first is filled, and all are seen
        filled_one = base.transform_filter("datum.filled")
        layers.append(filled_one.mark_area(interpolate=interpolate, opacity=0.2))
        # a line's tooltip is that of its nearest point, in half of a bin the next bin's
        bins = hovered.transform_filter("isValid(datum.to)").mark_rule(strokeWidth=14, opacity=0)
        layers.append(bins.encode(x2=alt.X2("to:Q")))
    else:
        layers.append(_marks(hovered, frame))
    if _whiskered(frame):
        layers.append(drawing.whiskers(hovered, _up(frame, "low"), clip=frame.clipped))
    return [*layers, *(_flag_layers(frame) if frame.flags else [])]


def _marks(base: alt.Chart, frame: Frame) -> alt.Chart:
    """Return points to hover over; they are seen where they are a sign, or stand alone."""
    size = 36 if any(len(trace.spots) > MANY_POINTS for trace in frame.traces) else 55
    aliases = list(dict.fromkeys(trace.classifier for trace in frame.traces))
    offset = alt.expr("datum.offset")
    drawn = base.mark_point(filled=True, size=size, xOffset=offset, clip=frame.clipped)
    marks: alt.Chart = drawn.encode(
        opacity=alt.Opacity("seen:Q", scale=None, legend=None),
        shape=drawing.shapes(aliases, range(len(aliases))),
    )
    return marks


def _flag_layers(frame: Frame) -> list[alt.Chart]:
    base = drawing.chart_of("flags").encode(x=_across(frame), tooltip=drawing.tips(("tip", "here")))
    return [
        base.mark_rule(strokeDash=[5, 4], strokeWidth=1.4).encode(
            color=alt.Color("colour:N", scale=None)
        ),
        base.transform_filter("isValid(datum.label)")
        .mark_text(align="left", baseline="top", dx=4, color=drawing.INK, fontSize=11.5)
        .encode(y=alt.YValue(2), text=alt.Text("label:N")),
    ]


def _tips(frame: Frame) -> list[alt.Tooltip]:
    several = len({trace.classifier for trace in frame.traces}) > 1
    texts = drawing.tips(*([("who", "classifier")] if several else []), ("line", "line"))
    numbers = [("value" if frame.clipped else "y", frame.y_label)]
    numbers += [("low", "from"), ("high", "to")] * _whiskered(frame)
    numbers += [("n", "n")] * _counted(frame)
    if _worded(frame):
        texts += drawing.tips(("at", frame.x_label))
    else:
        numbers = [("x", frame.x_label), *numbers]
    return texts + [
        alt.Tooltip(field, type="quantitative", title=drawing.key(title), format=".4~g")
        for field, title in numbers
    ]


def _across(frame: Frame) -> alt.X:
    domain = [tidy(frame.across.low), tidy(frame.across.high)]
    scale = alt.Scale(domain=domain, nice=False, zero=False)
    if not frame.ticks:
        axis = alt.Axis(tickCount=7, labelOverlap="greedy")
    else:
        places = list(range(len(frame.ticks)))
        slanted = sum(map(len, frame.ticks)) > MAX_LEVEL_TICK_CHARS
        axis = alt.Axis(
            values=places,
            labelExpr=drawing.labelled(places, frame.ticks),
            labelAngle=-60 if slanted else 0,
            labelAlign="right" if slanted else "center",
            labelLimit=150,
            labelOverlap="greedy",
        )
    return alt.X("x:Q", title=frame.x_label or None, scale=scale, axis=axis)


def _up(frame: Frame, field: str = "y") -> alt.Y:
    title = frame.y_label or None
    if frame.share:
        return alt.Y(**drawing.share(field, title))
    domain = [tidy(frame.up.low), tidy(frame.up.high)]
    kind = "log" if frame.up.logarithmic else "linear"
    scale = alt.Scale(type=kind, domain=domain, nice=True)  # type: ignore[arg-type]
    axis = alt.Axis(tickCount=6)
    return alt.Y(field, type="quantitative", title=title, scale=scale, axis=axis)


def _colour(frame: Frame) -> Any:
    drawn = [trace for trace in frame.traces if not trace.reference]
    colours = [trace.colour for trace in drawn]
    by_classifier = drawing.by_classifier([trace.classifier for trace in drawn], colours)
    if len(drawn) == len(frame.traces):
        return by_classifier
    # a reference line has no classifier's colour
    return alt.when("isValid(datum.who)").then(by_classifier).otherwise(alt.value(drawing.SOFT))


def _row(trace: Trace, place: int, frame: Frame) -> drawing.ChartRow:
    """Return a line with its points in lists, a tenth of what a row a point takes."""
    spots = trace.spots
    lists: dict[str, list[Any]] = {
        "x": [tidy(spot.x) for spot in spots],
        "y": [None if spot.y is None else tidy(frame.up.near(spot.y)) for spot in spots],
        "seen": [int(visible) for visible in _seen(trace)],
    }
    if _worded(frame):
        lists["at"] = list(_places(trace, frame))
    if frame.steps:
        lists["to"] = [*lists["x"][1:], None][: len(spots)] if trace.steps else [None] * len(spots)
    if trace.steps and len(spots) > 1:  # the last step ends where its bin does
        lists["y"][-1] = lists["y"][-2]
    if frame.clipped:
        lists["value"] = [tidy(spot.y) for spot in spots]
    if _whiskered(frame):
        lists |= {
            "low": [tidy(spot.low) for spot in spots],
            "high": [tidy(spot.high) for spot in spots],
        }
    if _counted(frame):
        lists["n"] = [spot.n for spot in spots]
    return {
        "who": None if trace.reference else trace.classifier,
        "name": trace.name,
        "line": trace.full,
        "key": f"{place}",
        "sign": drawing.shape(trace.shape or 0),
        "offset": _line_offset(place, frame),
        "width": 1.2 if trace.thin or trace.reference else 2.2,
        "filled": (place == 0) or None,
        **lists,
    }


def _seen(trace: Trace) -> Iterator[bool]:
    """Yield whether the mark of each point is seen: a line shows nothing of a lone one."""
    values = [None, *(spot.y for spot in trace.spots), None]
    for spot, before, after in zip(trace.spots, values[:-2], values[2:], strict=True):
        alone = before is None and after is None
        yield trace.shape is not None or spot.low is not None or alone


def _counted(frame: Frame) -> bool:
    """Whether points say how many observations they rest on."""
    return any(spot.n is not None for trace in frame.traces for spot in trace.spots)


def _whiskered(frame: Frame) -> bool:
    """Whether points have intervals."""
    return any(spot.low is not None for trace in frame.traces for spot in trace.spots)


def _flags(frame: Frame) -> Iterator[drawing.ChartRow]:
    """Yield the upright lines; one word stands for all that mean the same."""
    labels: set[str] = set()
    for flag in frame.flags:
        first = flag.label not in labels
        labels.add(flag.label)
        label = flag.label if first else None
        yield {
            "x": tidy(flag.x),
            "label": label,
            "tip": flag.label,
            "colour": drawing.colour(flag.colour),
        }


def _line_offset(place: int, frame: Frame) -> int:
    """Return by how many pixels a line stands offset: of networks that are equal all are seen."""
    aliases = list(dict.fromkeys(trace.classifier for trace in frame.traces))
    return drawing.offset_of(aliases.index(frame.traces[place].classifier), len(aliases))


def _worded(frame: Frame) -> bool:
    """Whether places on the x axis are written as words: names or bins."""
    return bool(frame.ticks) or frame.steps


def _places(trace: Trace, frame: Frame) -> Iterator[str]:
    words = [_word(spot, frame) for spot in trace.spots]
    after = words[1:] if trace.steps else []
    for word, end in zip_longest(words, after):
        yield word if end is None else f"{word} to {end}"


def _word(spot: Spot, frame: Frame) -> str:
    place = int(spot.x) if spot.x.is_integer() else -1
    return frame.ticks[place] if 0 <= place < len(frame.ticks) else f"{spot.x:.6g}"
