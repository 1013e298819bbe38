"""Shares by row and column as a field of squares: dead units by layer and epoch."""

from __future__ import annotations

import altair as alt

from vision_evals.report.trainings import Grid
from vision_evals.report.vega import drawing

ROW_HEIGHT = 22
"""Height of one layer, in pixels."""


@drawing.unchecked
def grid(shares: Grid) -> drawing.ChartSpec:
    """Return the chart of a grid: a row a layer, a column an epoch, the darker the more."""
    rows = [
        {"head": head, "layer": layer, "value": value, "text": f"{100 * value:.3g} %"}
        for layer, values in shares.rows
        for head, value in zip(shares.heads, values, strict=True)
        if value is not None
    ]
    axis = alt.Axis(labelOverlap="greedy", labelAngle=0)
    squares = (
        drawing.chart_of("rows")
        .mark_rect()
        .encode(
            x=alt.X("head:O", title=shares.x_label, sort=list(shares.heads), axis=axis),
            y=alt.Y("layer:N", title=None, sort=None, axis=alt.Axis(labelLimit=130)),
            color=alt.ColorValue(drawing.colour(shares.colour)),
            opacity=alt.Opacity(
                "value:Q",
                scale=alt.Scale(domain=[0, 1], range=[0.04, 1]),
                legend=alt.Legend(title=None, format="%"),
            ),
            tooltip=drawing.tips(
                ("layer", "layer"), ("head", shares.x_label), ("text", shares.title)
            ),
        )
    )
    text = f"{shares.title}, over {shares.x_label}"
    return drawing.ChartSpec(
        drawing.filled(drawing.layered([squares], ROW_HEIGHT * len(shares.rows)), text, rows=rows)
    )
