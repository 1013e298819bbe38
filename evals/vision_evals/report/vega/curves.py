"""Shares along an axis, such as robust accuracy over epsilon."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt

from vision_evals.report.curves import Curve, Plot, Sweep, number
from vision_evals.report.vega.drawing import (
    ASIDE,
    SHAPES,
    Drawing,
    Row,
    colour,
    dashes,
    filled,
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


@unchecked
def curves(plot: Plot, sweep: Sweep) -> Drawing:
    """Return the chart of one plot of a sweep.

    A numeric axis is drawn in powers around zero, where sweeps are dense, and to scale on demand.
    """
    names = ", ".join(dict.fromkeys(curve.metric for curve in plot.curves))
    who = ", ".join(dict.fromkeys(curve.classifier for curve in plot.curves))
    ends = f"from {sweep.ticks[0]} to {sweep.ticks[-1]}"
    types = (("symlog", "logarithmic"), ("linear", "linear")) if sweep.numeric else ()
    said = f"{names} of {who} over {sweep.axis or 'the axis'} {ends}"
    spec = filled(layered(_layers(plot, sweep)), said, rows=list(_rows(plot, sweep)))
    return Drawing(spec, "x" if types else "", types)


def _layers(plot: Plot, sweep: Sweep) -> list[alt.Chart]:
    several = len({one.classifier for one in plot.curves}) > 1
    metrics = [one.metric for one in plot.curves]
    aliases = [one.classifier for one in plot.curves]
    shapes = [SHAPES[one.shape % len(SHAPES)] for one in plot.curves]
    base = of("rows").encode(
        x=_across(sweep),
        y=_up(),
        color=alt.Color(
            "who:N",
            scale=signs(aliases, [colour(one.colour) for one in plot.curves]),
            legend=legend(shown=several),
        ),
        tooltip=tips(
            ("who", "classifier"), ("metric", "metric"), ("at", sweep.axis or "at"),
            ("text", "value"), ("between", "interval"), ("n", "n"),
        ),
    )  # fmt: skip
    dash = dashes(metrics, [one.dash for one in plot.curves], "metric")
    shape = alt.Shape("sign:N", scale=None)
    if several:  # the legend shows colours and shapes in one
        shape = alt.Shape("who:N", scale=signs(aliases, shapes), legend=legend(shown=True))
    aside = alt.expr("datum.aside")
    ends = base.transform_filter("isValid(datum.low)")
    return [
        base.mark_line(xOffset=aside, strokeWidth=2).encode(strokeDash=dash, detail="curve:N"),
        ends.mark_rule(xOffset=aside, strokeWidth=4, opacity=0.38).encode(
            y=_up("low"), y2="high:Q"
        ),
        base.transform_filter("datum.marked")
        .mark_point(xOffset=aside, filled=True, size=55, opacity=1)
        .encode(shape=shape),
    ]


def _rows(plot: Plot, sweep: Sweep) -> Iterator[Row]:
    n = len(plot.curves)
    for place, curve in enumerate(plot.curves):
        aside = round(ASIDE * (place - (n - 1) / 2)) if n <= len(SHAPES) else 0
        yield from _curve(curve, sweep, f"{place}", aside)


def _curve(curve: Curve, sweep: Sweep, name: str, aside: int) -> Iterator[Row]:
    for point in curve.points:
        shown = curve.whiskers
        yield {
            "x": number(point.at) if sweep.numeric else point.at,
            "at": point.at,
            "curve": name,
            "who": curve.classifier,
            "metric": curve.metric,
            "sign": SHAPES[curve.shape % len(SHAPES)],
            "value": point.value,
            "low": point.low if shown else None,
            "high": point.high if shown else None,
            "text": point.text,
            "between": point.interval or "none",
            "n": point.n,
            "aside": aside,
            "marked": shown or None,
        }


def _up(field: str = "value") -> alt.Y:
    return alt.Y(
        field,
        type="quantitative",
        title=None,
        scale=share_scale(),
        axis=share_axis(),
    )


def _across(sweep: Sweep) -> alt.X:
    if not sweep.numeric:
        return alt.X("x:O", sort=list(sweep.ticks), title=sweep.axis)
    values = [number(at) for at in sweep.ticks]
    least = min((abs(value) for value in values if value), default=1.0)
    # Below the smallest step but zero the scale turns from logarithmic to straight.
    scale = alt.Scale(type="symlog", constant=least, nice=False, domain=[values[0], values[-1]])
    written = labelled(values, sweep.ticks)
    axis = alt.Axis(values=values, labelExpr=written, labelOverlap="greedy")
    return alt.X("x:Q", title=sweep.axis, scale=scale, axis=axis)
