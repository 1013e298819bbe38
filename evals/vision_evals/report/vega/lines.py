"""A plot of the log: lines over numbers or named places, histograms, upright marks."""

from __future__ import annotations

from typing import Any, Literal

import altair as alt

from vision_evals.report.plots import Frame
from vision_evals.report.scales import tidy
from vision_evals.report.vega import points
from vision_evals.report.vega.drawing import (
    INK,
    SHAPES,
    SOFT,
    Drawing,
    colour,
    dashes,
    filled,
    key,
    labelled,
    layered,
    legend,
    of,
    share_axis,
    share_scale,
    signs,
    tips,
    unchecked,
)

MANY = 24
"""Points on one line above which their marks are smaller."""

WORDS = 44
"""Letters that fit side by side under a frame on a narrow screen; more stand aslant."""


@unchecked
def lines(frame: Frame) -> Drawing:
    """Return the chart of a frame."""
    names = ", ".join(dict.fromkeys(trace.name for trace in frame.traces))
    both = frame.up.both and not frame.share
    types = (("log", "logarithmic"), ("linear", "linear"))
    first = types if frame.up.logarithmic else types[::-1]
    said = f"{frame.title}: {names} over {frame.x_label}"
    rows = [points.row(one, place, frame) for place, one in enumerate(frame.traces)]
    spec = filled(layered(_layers(frame)), said, rows=rows, flags=list(points.flags(frame)))
    return Drawing(spec, "y" if both else "", first if both else ())


def _layers(frame: Frame) -> list[alt.Chart]:
    interpolate: Literal["step-after", "linear"] = "step-after" if frame.steps else "linear"
    lists: list[str | alt.FieldName] = ["x", "y", "seen", *(["at"] if points.worded(frame) else [])]
    lists += ["to"] if frame.steps else []
    lists += ["low", "high"] if points.whiskered(frame) else []
    lists += ["n"] if points.counted(frame) else []
    lists += ["value"] if frame.clipped else []
    base = (
        of("rows")
        .transform_flatten(lists)
        .encode(x=_across(frame), y=_up(frame), color=_colour(frame))
    )
    aside = alt.expr("datum.aside")
    told = base.encode(tooltip=_tips(frame))
    dash = dashes([one.name for one in frame.traces], [t.dash for t in frame.traces], "name")
    layers = [
        (base if frame.steps else told)
        .mark_line(interpolate=interpolate, xOffset=aside, clip=frame.clipped)
        .encode(
            strokeDash=dash,
            strokeWidth=alt.StrokeWidth("width:Q", scale=None, legend=None),
            detail="key:N",
        )
    ]
    if frame.steps:  # of several only the first is filled, and all are seen
        filled_one = base.transform_filter("datum.filled")
        layers.append(filled_one.mark_area(interpolate=interpolate, opacity=0.2))
        # a line tells of the nearest of its points, which is the next bin's half the way
        bins = told.transform_filter("isValid(datum.to)").mark_rule(strokeWidth=14, opacity=0)
        layers.append(bins.encode(x2="to:Q"))
    else:
        layers.append(_marks(told, frame))
    if points.whiskered(frame):
        ends = told.transform_filter("isValid(datum.low)")
        whiskers = ends.mark_rule(strokeWidth=4, opacity=0.38, xOffset=aside, clip=frame.clipped)
        layers.append(whiskers.encode(y=_up(frame, "low"), y2="high:Q"))
    return [*layers, *(_flag_layers(frame) if frame.flags else [])]


def _marks(base: alt.Chart, frame: Frame) -> alt.Chart:
    """Return points to hover over; they are seen where they are a sign, or stand alone."""
    size = 36 if any(len(one.spots) > MANY for one in frame.traces) else 55
    aliases = list(dict.fromkeys(one.classifier for one in frame.traces))
    aside = alt.expr("datum.aside")
    drawn = base.mark_point(filled=True, size=size, xOffset=aside, clip=frame.clipped)
    marks: alt.Chart = drawn.encode(opacity=alt.Opacity("seen:Q", scale=None, legend=None))
    if len(aliases) < 2:
        marks = marks.encode(shape=alt.Shape("sign:N", scale=None))
    else:  # the legend shows colours and shapes in one
        scale = signs(aliases, [SHAPES[rank % len(SHAPES)] for rank in range(len(aliases))])
        shape = alt.Shape("who:N", scale=scale, legend=legend(shown=True))
        marks = marks.encode(shape=shape)
    return marks


def _flag_layers(frame: Frame) -> list[alt.Chart]:
    base = of("flags").encode(x=_across(frame), tooltip=tips(("tip", "here")))
    return [
        base.mark_rule(strokeDash=[5, 4], strokeWidth=1.4).encode(
            color=alt.Color("colour:N", scale=None)
        ),
        base.transform_filter("isValid(datum.label)")
        .mark_text(align="left", baseline="top", dx=4, color=INK, fontSize=11.5)
        .encode(y=alt.YValue(2), text="label:N"),
    ]


def _tips(frame: Frame) -> list[alt.Tooltip]:
    several = len({trace.classifier for trace in frame.traces}) > 1
    texts = tips(*([("who", "classifier")] if several else []), ("line", "line"))
    numbers = [("value" if frame.clipped else "y", frame.y_label)] + [
        ("low", "from"),
        ("high", "to"),
    ] * points.whiskered(frame)
    numbers += [("n", "n")] * points.counted(frame)
    if points.worded(frame):
        texts += tips(("at", frame.x_label))
    else:
        numbers = [("x", frame.x_label), *numbers]
    return texts + [
        alt.Tooltip(field, type="quantitative", title=key(title), format=".4~g")
        for field, title in numbers
    ]


def _across(frame: Frame) -> alt.X:
    domain = [tidy(frame.across.low), tidy(frame.across.high)]
    scale = alt.Scale(domain=domain, nice=False, zero=False)
    if not frame.ticks:
        axis = alt.Axis(tickCount=7, labelOverlap="greedy")
    else:
        places = list(range(len(frame.ticks)))
        slanted = sum(map(len, frame.ticks)) > WORDS
        axis = alt.Axis(
            values=places,
            labelExpr=labelled(places, frame.ticks),
            labelAngle=-60 if slanted else 0,
            labelAlign="right" if slanted else "center",
            labelLimit=150,
            labelOverlap="greedy",
        )
    return alt.X("x:Q", title=frame.x_label or None, scale=scale, axis=axis)


def _up(frame: Frame, field: str = "y") -> alt.Y:
    if frame.share:
        scale = share_scale()
        axis = share_axis()
    else:
        domain = [tidy(frame.up.low), tidy(frame.up.high)]
        kind = "log" if frame.up.logarithmic else "linear"
        scale = alt.Scale(type=kind, domain=domain, nice=True)  # type: ignore[arg-type]
        axis = alt.Axis(tickCount=6)
    title = frame.y_label or None
    return alt.Y(field, type="quantitative", title=title, scale=scale, axis=axis)


def _colour(frame: Frame) -> Any:
    drawn = [trace for trace in frame.traces if not trace.reference]
    aliases = [trace.classifier for trace in drawn]
    scale = signs(aliases, [colour(trace.colour) for trace in drawn])
    own = alt.Color("who:N", scale=scale, legend=legend(shown=len(set(aliases)) > 1))
    if len(drawn) == len(frame.traces):
        return own
    # what nobody measured has nobody's colour
    return alt.when("isValid(datum.who)").then(own).otherwise(alt.value(SOFT))
