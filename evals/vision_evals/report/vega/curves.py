"""Shares along an axis, such as robust accuracy over epsilon."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt

from vision_evals.report.curves import Sweep, SweepPlot, number
from vision_evals.report.vega import drawing


@drawing.unchecked
def curves(plot: SweepPlot, sweep: Sweep) -> drawing.ChartSpec:
    """Return the chart of one plot of a sweep.

    A numeric axis is drawn in powers around zero, where sweeps are dense, and to scale on demand.
    """
    names = ", ".join(dict.fromkeys(curve.metric for curve in plot.curves))
    aliases = ", ".join(dict.fromkeys(curve.classifier for curve in plot.curves))
    ends = f"from {sweep.ticks[0]} to {sweep.ticks[-1]}"
    types = (("symlog", "logarithmic"), ("linear", "linear")) if sweep.numeric else ()
    text = f"{names} of {aliases} over {sweep.axis or 'the axis'} {ends}"
    layered = drawing.layered(_layers(plot, sweep))
    spec = drawing.filled(layered, text, rows=list(_rows(plot, sweep)))
    return drawing.ChartSpec(spec, "x" if types else "", types)


def _layers(plot: SweepPlot, sweep: Sweep) -> list[alt.Chart]:
    metrics = [curve.metric for curve in plot.curves]
    aliases = [curve.classifier for curve in plot.curves]
    base = drawing.chart_of("rows").encode(
        x=_across(sweep),
        y=alt.Y(**drawing.share("value")),
        color=drawing.by_classifier(aliases, [curve.colour for curve in plot.curves]),
        tooltip=drawing.tips(
            ("who", "classifier"), ("metric", "metric"), ("at", sweep.axis or "at"),
            ("text", "value"), ("between", "interval"), ("n", "n"),
        ),
    )  # fmt: skip
    dash = drawing.dashes(metrics, [curve.dash for curve in plot.curves], "metric")
    shape = drawing.shapes(aliases, [curve.shape for curve in plot.curves])
    offset = alt.expr("datum.offset")
    return [
        base.mark_line(xOffset=offset, strokeWidth=2).encode(
            strokeDash=dash, detail=alt.Detail("curve:N")
        ),
        drawing.whiskers(base, alt.Y(**drawing.share("low"))),
        base.transform_filter("datum.marked")
        .mark_point(xOffset=offset, filled=True, size=55, opacity=1)
        .encode(shape=shape),
    ]


def _rows(plot: SweepPlot, sweep: Sweep) -> Iterator[drawing.ChartRow]:
    for place, curve in enumerate(plot.curves):
        offset = drawing.offset_of(place, len(plot.curves))
        for point in curve.points:
            yield {
                "x": number(point.at) if sweep.numeric else point.at,
                "at": point.at,
                "curve": f"{place}",
                "who": curve.classifier,
                "metric": curve.metric,
                "sign": drawing.shape(curve.shape),
                "value": point.value,
                "low": point.low if curve.whiskers else None,
                "high": point.high if curve.whiskers else None,
                "text": point.reading.value,
                "between": point.reading.interval or "none",
                "n": point.reading.n,
                "offset": offset,
                "marked": curve.whiskers or None,
            }


def _across(sweep: Sweep) -> alt.X:
    if not sweep.numeric:
        return alt.X("x:O", sort=list(sweep.ticks), title=sweep.axis)
    values = [number(at) for at in sweep.ticks]
    least = min((abs(value) for value in values if value), default=1.0)
    # Below the smallest step but zero the scale turns from logarithmic to straight.
    scale = alt.Scale(type="symlog", constant=least, nice=False, domain=[values[0], values[-1]])
    written = drawing.labelled(values, sweep.ticks)
    axis = alt.Axis(values=values, labelExpr=written, labelOverlap="greedy")
    return alt.X("x:Q", title=sweep.axis, scale=scale, axis=axis)
