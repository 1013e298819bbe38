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

HEIGHT = 240
"""Of a frame, in pixels; the width is what the page has."""

ASIDE = 5
"""Pixels between networks at one point, so that none hides another."""

LONG = 20
"""Letters of a name above which a narrow screen holds one column of a legend."""

LAYER = ("data", "transform", "mark", "encoding")
"""What a layer says itself; a configuration is the script's, one for all charts."""

Row = Mapping[str, object]

unchecked = debug_mode(False)
"""Decorates what builds charts: the tests hold them against Vega-Lite's schema, which takes longer
than building them."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart as the page holds it."""

    spec: Mapping[str, Any]
    """Vega-Lite; its ``description`` says what it shows to those who cannot see it."""
    channel: str = ""
    """``x`` or ``y``: the scale that a reader may switch."""
    types: tuple[tuple[str, str], ...] = ()
    """Vega's type of that scale and the word for it; the first is drawn first."""


def layered(layers: Sequence[alt.Chart], height: int = HEIGHT) -> dict[str, Any]:
    """Return the specification of layers as wide as the page lets them be, without their rows."""
    specs = [layer.to_dict(validate=False) for layer in layers]
    # Altair's own layers copy each one several times over: half of what a page takes.
    return {
        "$schema": specs[0]["$schema"],
        "width": "container",
        "height": height,
        "layer": [{k: v for k, v in spec.items() if k in LAYER} for spec in specs],
    }


def filled(spec: Mapping[str, Any], said: str, **rows: Sequence[Row]) -> dict[str, Any]:
    """Return a specification with the rows that its layers name; what is None is left out.

    Args:
        spec: of `layered`.
        said: what the chart shows, for those who cannot see it.
        rows: by name.
    """
    kept = {
        name: [{k: v for k, v in row.items() if v is not None} for row in some]
        for name, some in rows.items()
    }
    return {**spec, "description": said, "datasets": kept}


def of(rows: str) -> alt.Chart:
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


def share_scale() -> alt.Scale:
    """Return the scale of shares, from 0 to 100 %."""
    return alt.Scale(domain=[0, 1], nice=False)


def share_axis(**more: Any) -> alt.Axis:
    """Return its axis, in quarters."""
    written = "format(100 * datum.value, '~g') + (datum.value == 1 ? ' %' : '')"
    return alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], labelExpr=written, **more)


def legend(*, shown: bool, **more: Any) -> alt.Legend | None:
    """Return a legend, or none where it would say what the heading says."""
    return alt.Legend(title=None, **more) if shown else None


def dashes(names: Sequence[str], ranks: Sequence[int], field: str) -> alt.StrokeDash:
    """Return dashes by the values of a field, with a legend where there are several."""
    unique = set(names)
    long = any(len(name) > LONG for name in unique)
    shown = legend(
        shown=len(unique) > 1, symbolType="stroke", symbolSize=300, columns=1 if long else 2
    )
    scale = signs(names, [DASHES[rank] for rank in ranks])
    return alt.StrokeDash(field, type="nominal", scale=scale, legend=shown)
