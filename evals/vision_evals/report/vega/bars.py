"""A share of each classifier as a bar, with its interval, its seeds and numbers from elsewhere."""

from __future__ import annotations

import functools
from dataclasses import asdict
from typing import Any

import altair as alt

from vision_evals.report.charts import Bar, Chart
from vision_evals.report.vega import drawing

ROW_HEIGHT = 52
"""Height of one classifier, in pixels: its name and numbers above its bar."""

_WHO = ("who", "classifier")
"""Field and title of a tooltip's first line."""


@drawing.unchecked
def bars(chart: Chart) -> drawing.ChartSpec:
    """Return the chart of one metric: a bar a classifier on an axis from 0 to 100 %."""
    rows = [_row(bar) for bar in chart.bars]
    seeds: list[drawing.ChartRow] = [
        {"who": bar.classifier, "value": seed, "text": f"{100 * seed:.4g} %"}
        for bar in chart.bars
        for seed in bar.seeds
    ]
    bands: list[drawing.ChartRow] = [asdict(band) for band in chart.bands]
    published = any(bar.published is not None for bar in chart.bars)
    spec = _spec(bool(bands), published, bool(seeds))
    texts = [f"{bar.classifier} {bar.reading.value}" for bar in chart.bars]
    texts += [f"{band.label} {band.text}" for band in chart.bands]
    text = f"{chart.metric}: {'; '.join(texts)}"
    sized = {**spec, "height": ROW_HEIGHT * len(rows)}
    return drawing.ChartSpec(drawing.filled(sized, text, rows=rows, seeds=seeds, bands=bands))


@functools.cache  # all that differs between two of these are their rows
def _spec(bands: bool, published: bool, seeds: bool) -> dict[str, Any]:
    layers = [*(_bands() if bands else []), *_bars()]
    if published:
        layers.append(
            drawing.chart_of("rows")
            .transform_filter("isValid(datum.published)")
            .mark_tick(color=drawing.INK, thickness=2.5, size=26)
            .encode(
                x=_x("published"),
                y=_y(),
                tooltip=drawing.tips(_WHO, ("published_text", "published")),
            )
        )
    if seeds:
        layers.append(
            drawing.chart_of("seeds")
            .mark_point(filled=True, color=drawing.INK, size=36, opacity=0.75)
            .encode(x=_x(), y=_y(), tooltip=drawing.tips(_WHO, ("text", "one seed")))
        )
    return drawing.layered(layers)


def _bands() -> list[alt.Chart]:
    base = drawing.chart_of("bands").encode(
        x=_x(),
        tooltip=drawing.tips(("label", "reference"), ("text", "value"), ("source", "source")),
    )
    return [
        base.mark_rect(color=drawing.INK, opacity=0.09).encode(x=_x("low"), x2=alt.X2("high:Q")),
        base.mark_rule(color=drawing.SOFT, strokeDash=[4, 3], strokeWidth=1.5),
        base.mark_text(color=drawing.SOFT, baseline="bottom", dy=-3).encode(
            y=alt.YValue(0), text=alt.Text("key:N")
        ),
    ]


def _bars() -> list[alt.Chart]:
    base = drawing.chart_of("rows").encode(
        x=_x(),
        y=_y(),
        tooltip=drawing.tips(_WHO, ("text", "value"), ("interval", "interval"), ("n", "n")),
    )
    whole = base.transform_filter("isValid(datum.low)").encode(x=_x("low"), x2=alt.X2("high:Q"))
    return [
        base.mark_bar(height=16, cornerRadiusEnd=2).encode(color=alt.Color("colour:N", scale=None)),
        whole.mark_rule(color=drawing.PAPER, strokeWidth=5),
        whole.mark_rule(color=drawing.INK, strokeWidth=2),
        base.mark_text(
            align="left", baseline="bottom", dy=-11, color=drawing.INK, fontSize=12.5
        ).encode(x=alt.XValue(0), text=alt.Text("label:N")),
    ]


def _x(field: str = "value") -> alt.X:
    return alt.X(**drawing.share(field, labelFlush=True))


def _y() -> alt.Y:
    return alt.Y("who:N", sort=None, axis=None)


def _row(bar: Bar) -> drawing.ChartRow:
    value = (
        bar.reading.value
        if bar.value is not None
        else f"none ({bar.reading.reason or 'no reason given'})"
    )
    between = f" ({bar.reading.interval})" if bar.value is not None and bar.reading.interval else ""
    return {
        "who": bar.classifier,
        "label": f"{bar.classifier}: {value}{between}, n = {bar.reading.n}",
        "value": bar.value,
        "low": bar.low,
        "high": bar.high,
        "text": bar.reading.value,
        "interval": bar.reading.interval or bar.reading.reason or "none",
        "n": bar.reading.n,
        "published": bar.published,
        "published_text": bar.published_text,
        "colour": drawing.colour(bar.colour),
    }
