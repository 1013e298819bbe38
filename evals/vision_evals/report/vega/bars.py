"""A share of each classifier as a bar, with its interval, its seeds and numbers from elsewhere."""

from __future__ import annotations

import functools
from typing import Any

import altair as alt

from vision_evals.report.charts import Bar, Chart
from vision_evals.report.vega.drawing import (
    INK,
    PAPER,
    SOFT,
    Drawing,
    Row,
    colour,
    filled,
    layered,
    of,
    share_axis,
    share_scale,
    tips,
    unchecked,
)

ROW = 52
"""Height of one classifier, in pixels: its name and numbers above its bar."""


@unchecked
def bars(chart: Chart) -> Drawing:
    """Return the chart of one metric: a bar a classifier on an axis from 0 to 100 %."""
    rows = [_row(bar) for bar in chart.bars]
    seeds: list[Row] = [
        {"who": bar.classifier, "value": seed, "text": f"{100 * seed:.4g} %"}
        for bar in chart.bars
        for seed in bar.seeds
    ]
    bands: list[Row] = [
        {"key": b.key, "label": b.label, "value": b.value, "low": b.low, "high": b.high,
         "text": b.text, "source": b.source}
        for b in chart.bands
    ]  # fmt: skip
    published = any(bar.published is not None for bar in chart.bars)
    spec = _spec(bool(bands), published, bool(seeds))
    said = [f"{bar.classifier} {bar.text}" for bar in chart.bars]
    said += [f"{band.label} {band.text}" for band in chart.bands]
    text = f"{chart.metric}: {'; '.join(said)}"
    sized = {**spec, "height": ROW * len(rows)}
    return Drawing(filled(sized, text, rows=rows, seeds=seeds, bands=bands))


@functools.cache  # all that differs between two of these are their rows
def _spec(bands: bool, published: bool, seeds: bool) -> dict[str, Any]:
    layers = [*(_bands() if bands else []), *_bars()]
    if published:
        layers.append(
            of("rows")
            .transform_filter("isValid(datum.published)")
            .mark_tick(color=INK, thickness=2.5, size=26)
            .encode(
                x=_x("published"),
                y=_y(),
                tooltip=tips(("who", "classifier"), ("published_text", "published")),
            )
        )
    if seeds:
        layers.append(
            of("seeds")
            .mark_point(filled=True, color=INK, size=36, opacity=0.75)
            .encode(x=_x(), y=_y(), tooltip=tips(("who", "classifier"), ("text", "one seed")))
        )
    return layered(layers)


def _bands() -> list[alt.Chart]:
    base = of("bands").encode(
        x=_x(), tooltip=tips(("label", "beside it"), ("text", "value"), ("source", "source"))
    )
    return [
        base.mark_rect(color=INK, opacity=0.09).encode(x=_x("low"), x2="high:Q"),
        base.mark_rule(color=SOFT, strokeDash=[4, 3], strokeWidth=1.5),
        base.mark_text(color=SOFT, baseline="bottom", dy=-3).encode(y=alt.YValue(0), text="key:N"),
    ]


def _bars() -> list[alt.Chart]:
    base = of("rows").encode(
        x=_x(),
        y=_y(),
        tooltip=tips(
            ("who", "classifier"), ("text", "value"), ("interval", "interval"), ("n", "n")
        ),
    )
    whole = base.transform_filter("isValid(datum.low)").encode(x=_x("low"), x2="high:Q")
    return [
        base.mark_bar(height=16, cornerRadiusEnd=2).encode(color=alt.Color("colour:N", scale=None)),
        whole.mark_rule(color=PAPER, strokeWidth=5),
        whole.mark_rule(color=INK, strokeWidth=2),
        base.mark_text(align="left", baseline="bottom", dy=-11, color=INK, fontSize=12.5).encode(
            x=alt.XValue(0), text="label:N"
        ),
    ]


def _x(field: str = "value") -> alt.X:
    return alt.X(
        field,
        type="quantitative",
        title=None,
        scale=share_scale(),
        axis=share_axis(labelFlush=True),
    )


def _y() -> alt.Y:
    return alt.Y("who:N", sort=None, axis=None)


def _row(bar: Bar) -> Row:
    said = bar.text if bar.value is not None else f"none ({bar.reason or 'no reason given'})"
    between = f" ({bar.interval})" if bar.value is not None and bar.interval else ""
    return {
        "who": bar.classifier,
        "label": f"{bar.classifier}: {said}{between}, n = {bar.n}",
        "value": bar.value,
        "low": bar.low,
        "high": bar.high,
        "text": bar.text,
        "interval": bar.interval or bar.reason or "none",
        "n": bar.n,
        "published": bar.published,
        "published_text": bar.published_text,
        "colour": colour(bar.colour),
    }
