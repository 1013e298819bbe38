"""Shares by row and column as a field of squares: dead units by layer and epoch."""

from __future__ import annotations

import altair as alt

from vision_evals.report.trainings import Grid
from vision_evals.report.vega.drawing import Drawing, colour, filled, layered, of, tips, unchecked

ROW = 22
"""Height of one layer, in pixels."""


@unchecked
def grid(field: Grid) -> Drawing:
    """Return the chart of a grid: a row a layer, a column an epoch, the darker the more."""
    rows = [
        {"head": head, "layer": layer, "value": value, "text": f"{100 * value:.3g} %"}
        for layer, values in field.rows
        for head, value in zip(field.heads, values, strict=True)
        if value is not None
    ]
    axis = alt.Axis(labelOverlap="greedy", labelAngle=0)
    squares = (
        of("rows")
        .mark_rect()
        .encode(
            x=alt.X("head:O", title=field.x_label, sort=list(field.heads), axis=axis),
            y=alt.Y("layer:N", title=None, sort=None, axis=alt.Axis(labelLimit=130)),
            color=alt.ColorValue(colour(field.colour)),
            opacity=alt.Opacity(
                "value:Q",
                scale=alt.Scale(domain=[0, 1], range=[0.04, 1]),
                legend=alt.Legend(title=None, format="%"),
            ),
            tooltip=tips(("layer", "layer"), ("head", field.x_label), ("text", field.title)),
        )
    )
    said = f"{field.title}, over {field.x_label}"
    return Drawing(filled(layered([squares], ROW * len(field.rows)), said, rows=rows))
