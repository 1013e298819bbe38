"""Where templates are looked for, and what they may use."""

from __future__ import annotations

from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined

from vision_evals.core.paths import data_folder
from vision_evals.report import rounding, vega, words
from vision_evals.report.recipes import facts


def environment(templates: Path | None = None) -> Environment:
    """Return Jinja's environment for our templates.

    Args:
        templates: folder of a user's own partials: one of the name of ours is taken in its place,
            and can include ours as ``ours/NAME``.
    """
    ours = FileSystemLoader(data_folder("reports"))
    own = [] if templates is None else [FileSystemLoader(templates)]
    made = Environment(
        loader=ChoiceLoader([*own, ours, PrefixLoader({"ours": ours})]),
        autoescape=True,  # everything; select_autoescape() would leave *.jinja out
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "position": _position,
        "seconds": rounding.seconds,
        "count": rounding.count,
        "plural": words.plural,
        "written": rounding.written,
        "recipe": facts,
        "bars": vega.bars,
        "curves": vega.curves,
        "lines": vega.lines,
        "grid": vega.grid,
    }
    made.globals |= {"symbols": words.SYMBOLS, "most": words.MOST}
    return made


def _position(share: float) -> str:
    """Return a share of the axis as a length in SVG, inside the axis."""
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"
