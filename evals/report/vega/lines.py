"""A plot of the log: lines over numbers or named places, histograms, upright marks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import altair as alt

from evals.report.plots import Frame
from evals.report.scales import tidy
from evals.report.traces import Spot, Trace
from evals.report.vega.drawing import (
    DASHES,
    INK,
    PERCENT,
    SHAPES,
    SOFT,
    Drawing,
    Row,
    colour,
    filled,
    labelled,
    layered,
    legend,
    of,
    signs,
    tips,
)

MANY = 24
"""Points on one line above which their marks are smaller."""

WORDS = 44
"""Letters that fit side by side under a frame on a narrow screen; more stand aslant."""


def lines(frame: Frame) -> Drawing:
    """Return the chart of a frame."""
    names = ", ".join(dict.fromkeys(trace.name for trace in frame.traces))
    both = frame.up.both and not frame.share
    types = (("log", "logarithmic"), ("linear", "straight"))
    first = types if frame.up.logarithmic else types[::-1]
    return Drawing(
        filled(
            layered(_layers(frame)),
            rows=[
                row for place, one in enumerate(frame.traces) for row in _rows(one, place, frame)
            ],
            flags=list(_flags(frame)),
        ),
        f"{frame.title}: {names} over {frame.x_label}",
        "y" if both else "",
        first if both else (),
    )


def _layers(frame: Frame) -> list[alt.Chart]:
    interpolate: Literal["step-after", "linear"] = "step-after" if frame.steps else "linear"
    base = of("rows").encode(
        x=_across(frame), y=_up(frame), color=_colour(frame), tooltip=_tips(frame)
    )
    names = [one.name for one in frame.traces]
    dash = alt.StrokeDash(
        "name:N",
        scale=signs(names, [DASHES[one.dash] for one in frame.traces]),
        legend=legend(shown=len(set(names)) > 1, symbolSize=300, columns=2),
    )
    layers = [
        base.mark_line(interpolate=interpolate, clip=True).encode(
            strokeDash=dash,
            strokeWidth=alt.StrokeWidth("width:Q", scale=None, legend=None),
            detail="line:N",
        )
    ]
    if frame.steps:  # of several only the first is filled, and all are seen
        filled_one = base.transform_filter("datum.filled")
        layers.append(filled_one.mark_area(interpolate=interpolate, opacity=0.2, clip=True))
    else:
        layers.append(_marks(base, frame))
    if any(spot.low is not None for one in frame.traces for spot in one.spots):
        ends = base.transform_filter("isValid(datum.low)")
        whiskers = ends.mark_rule(strokeWidth=4, opacity=0.38, clip=True)
        layers.append(whiskers.encode(y=_up(frame, "low"), y2="high:Q"))
    return [*layers, *(_flag_layers(frame) if frame.flags else [])]


def _marks(base: alt.Chart, frame: Frame) -> alt.Chart:
    """Return points to hover over; they are seen where they are a sign, or stand alone."""
    size = 36 if any(len(one.spots) > MANY for one in frame.traces) else 55
    aliases = list(dict.fromkeys(one.classifier for one in frame.traces))
    marks: alt.Chart = base.mark_point(filled=True, size=size, clip=True).encode(
        opacity=alt.Opacity("seen:Q", scale=None, legend=None)
    )
    shapes = [SHAPES[(one.shape or 0) % len(SHAPES)] for one in frame.traces]
    if len(set(shapes)) > 1:
        by, keys = ("who:N", [one.classifier for one in frame.traces])
        if len(aliases) == 1:
            by, keys = ("sign:N", [one.name for one in frame.traces])
        marks = marks.encode(
            shape=alt.Shape(by, scale=signs(keys, shapes), legend=legend(shown=len(aliases) > 1))
        )
    return marks


def _rows(trace: Trace, place: int, frame: Frame) -> Iterator[Row]:
    known = [None, *(spot.y for spot in trace.spots), None]
    for spot, before, after in zip(trace.spots, known[:-2], known[2:], strict=True):
        alone = before is None and after is None  # a line shows nothing of it
        yield {
            "x": tidy(spot.x),
            "y": None if spot.y is None else tidy(spot.y),
            "low": spot.low,
            "high": spot.high,
            "who": None if trace.reference else trace.classifier,
            "name": trace.name,
            "sign": trace.name if trace.shape is not None else None,
            "line": trace.full if len({one.classifier for one in frame.traces}) < 2
            else f"{trace.classifier}, {trace.full}",
            "at": _word(spot, frame),
            "text": spot.text,
            "width": 1.2 if trace.thin or trace.reference else 2.2,
            "filled": (place == 0) or None,
            "seen": int(trace.shape is not None or spot.low is not None or alone),
        }  # fmt: skip


def _flags(frame: Frame) -> Iterator[Row]:
    said: set[str] = set()
    for flag in frame.flags:
        first = flag.label not in said  # one word for all lines that mean the same
        said.add(flag.label)
        label = flag.label if first else None
        yield {"x": tidy(flag.x), "label": label, "tip": flag.label, "colour": colour(flag.colour)}


def _flag_layers(frame: Frame) -> list[alt.Chart]:
    base = of("flags").encode(x=_across(frame), tooltip=tips(("tip", "here")))
    return [
        base.mark_rule(strokeDash=[5, 4], strokeWidth=1.4).encode(
            color=alt.Color("colour:N", scale=None)
        ),
        base.mark_text(align="left", baseline="top", dx=4, color=INK, fontSize=11.5).encode(
            y=alt.value(2), text="label:N"
        ),
    ]


def _tips(frame: Frame) -> list[alt.Tooltip]:
    several = len({trace.classifier for trace in frame.traces}) > 1
    fields = [("who", "classifier")] if several else []
    return tips(*fields, ("line", "line"), ("at", frame.x_label), ("text", frame.y_label))


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
        scale = alt.Scale(domain=[0, 1], nice=False)
        axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], labelExpr=PERCENT)
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
    # what nobody measured has nobody's colour
    return alt.when("isValid(datum.who)").then(own).otherwise(alt.value(SOFT))


def _word(spot: Spot, frame: Frame) -> str:
    place = int(spot.x) if spot.x.is_integer() else -1
    return frame.ticks[place] if 0 <= place < len(frame.ticks) else f"{spot.x:.6g}"
