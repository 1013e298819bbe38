"""What all charts have in common: signs, tooltips, legends, and the finished specification."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
from altair.utils.schemapi import debug_mode

INK, SOFT, PAPER = "var(--ink)", "var(--soft)", "var(--paper)"

DASHES = ([1, 0], [6, 4], [8, 3, 2, 3], [2, 3])
"""Solid, dashed, dashes and dots, dotted."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")

FRAME_HEIGHT = 240
"""Of a frame, in pixels; the width is what the page has."""

OFFSET_PIXELS = 5
"""Pixels between networks at one point, so that none hides another."""

LONG_NAME_CHARS = 20
"""Letters of a name above which a narrow screen holds one column of a legend."""

LAYER = ("data", "transform", "mark", "encoding")
"""What a layer says itself; a configuration is the script's, one for all charts."""

ChartRow = Mapping[str, object]

unchecked = debug_mode(False)
"""Decorates what builds charts: the tests hold them against Vega-Lite's schema, which takes longer
than building them."""


@dataclass(frozen=True, slots=True)
class ChartSpec:
    """A chart as the page holds it."""

    spec: Mapping[str, Any]
    """Vega-Lite; its ``description`` says what it shows to those who cannot see it."""
    channel: str = ""
    """``x`` or ``y``: the scale that a reader may switch."""
    types: tuple[tuple[str, str], ...] = ()
    """Vega's type of that scale and the word for it; the first is drawn first."""


def layered(layers: Sequence[alt.Chart], height: int = FRAME_HEIGHT) -> dict[str, Any]:
    """Return the specification of layers as wide as the page lets them be, without their rows."""
    specs = [layer.to_dict(validate=False) for layer in layers]
    # Altair's own layers copy each one several times over: half of what a page takes.
    return {
        "$schema": specs[0]["$schema"],
        "width": "container",
        "height": height,
        "layer": [{k: v for k, v in spec.items() if k in LAYER} for spec in specs],
    }


def filled(spec: Mapping[str, Any], description: str, **rows: Sequence[ChartRow]) -> dict[str, Any]:
    """Return a specification with the rows that its layers name; what is None is left out.

    Args:
        spec: of `layered`.
        description: what the chart shows, for those who cannot see it.
        rows: by name.
    """
    datasets = {
        name: [{k: v for k, v in row.items() if v is not None} for row in table]
        for name, table in rows.items()
    }
    return {**spec, "description": description, "datasets": datasets}


def chart_of(rows: str) -> alt.Chart:
    """Return a chart of the rows of this name, without marks yet."""
    return alt.Chart(alt.NamedData(rows))


def colour(name: str) -> str:
    """Return the style's variable for a classifier's class: ``c3`` is ``var(--c3)``."""
    return f"var(--{name})" if name else INK


def labelled(values: Sequence[float], words: Sequence[str]) -> str:
    """Return the expression that writes the words of an axis at their values."""
    return f"{json.dumps(list(words))}[indexof({json.dumps(list(values))}, datum.value)]"


def tips(*fields: tuple[str, str]) -> list[alt.Tooltip]:
    """Return tooltips of texts: field and title."""
    return [alt.Tooltip(field, type="nominal", title=key(title)) for field, title in fields]


def key(title: str) -> str:
    """Return the title of a tooltip's line as Vega-Lite may have it, whatever the log calls it.

    It pastes titles into an expression, in which it escapes quotes and no backslash. The colon
    keeps a line called ``image`` from being one: its text would be loaded as the address of one.
    """
    return json.dumps(f"{title}:")[1:-1].replace('\\"', '"')


def signs(values: Sequence[str], signs_of: Sequence[Any]) -> alt.Scale:
    """Return a scale that gives each value its own sign, for legends in this order."""
    pairs = dict(zip(values, signs_of, strict=True))
    return alt.Scale(domain=list(pairs), range=list(pairs.values()))


def share(field: str, title: str | None = None, **more: Any) -> dict[str, Any]:
    """Return the arguments of an axis of shares, from 0 to 100 % in quarters."""
    written = "format(100 * datum.value, '~g') + (datum.value == 1 ? ' %' : '')"
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], labelExpr=written, **more)
    scale = alt.Scale(domain=[0, 1], nice=False)
    return {
        "shorthand": field,
        "type": "quantitative",
        "title": title,
        "scale": scale,
        "axis": axis,
    }


def by_classifier(aliases: Sequence[str], colours: Sequence[str]) -> alt.Color:
    """Return the colour of each classifier, with a legend where there are several."""
    scale = signs(aliases, [colour(name) for name in colours])
    return alt.Color("who:N", scale=scale, legend=legend(shown=len(set(aliases)) > 1))


def shape(rank: int) -> str:
    """Return the shape of this rank; they repeat."""
    return SHAPES[rank % len(SHAPES)]


def shapes(aliases: Sequence[str], ranks: Sequence[int]) -> alt.Shape:
    """Return shapes; the legend of several classifiers shows colours and shapes in one."""
    if len(set(aliases)) < 2:
        return alt.Shape("sign:N", scale=None)
    scale = signs(aliases, [shape(rank) for rank in ranks])
    return alt.Shape("who:N", scale=scale, legend=legend(shown=True))


def offset_of(place: int, n: int) -> int:
    """Return by how many pixels one of ``n`` stands to the side, so that all are seen."""
    return round(OFFSET_PIXELS * (place - (n - 1) / 2)) if n <= len(SHAPES) else 0


def whiskers(base: alt.Chart, low: alt.Y, **more: Any) -> alt.Chart:
    """Return the intervals of a chart as pale bars, where it has any."""
    ends = base.transform_filter("isValid(datum.low)")
    offset = alt.expr("datum.offset")
    drawn = ends.mark_rule(xOffset=offset, strokeWidth=4, opacity=0.38, **more)
    whole: alt.Chart = drawn.encode(y=low, y2=alt.Y2("high:Q"))
    return whole


def legend(*, shown: bool, **more: Any) -> alt.Legend | None:
    """Return a legend, or none where it would say what the heading says."""
    return alt.Legend(title=None, **more) if shown else None


def dashes(names: Sequence[str], ranks: Sequence[int], field: str) -> alt.StrokeDash:
    """Return dashes by the values of a field, with a legend where there are several."""
    unique = set(names)
    long = any(len(name) > LONG_NAME_CHARS for name in unique)
    shown_legend = legend(
        shown=len(unique) > 1, symbolType="stroke", symbolSize=300, columns=1 if long else 2
    )
    scale = signs(names, [DASHES[rank] for rank in ranks])
    return alt.StrokeDash(field, type="nominal", scale=scale, legend=shown_legend)
