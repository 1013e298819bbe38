"""The page: templates filled with the view of a run."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import evals
from evals.log import Run
from evals.paths import data_folder, whole_file
from evals.report import glossary, rounding, view, words
from evals.report.recipes import facts

STYLE = "style.css"

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""What no page may hold: controls other than white space, and halves of characters."""


def render(run: Run, directory: Path) -> str:
    """Return the report of a run as one HTML page that loads nothing.

    Args:
        run: the log.
        directory: the run's, with ``tables/`` and ``pictures/``. What is missing there is named
            on the page.
    """
    return _filled("report.html.jinja", run, view.page(run, directory))


def write(run: Run, directory: Path, path: Path) -> Path:
    """Write the report so that a reader sees the old page or the new one, never half of one."""
    return _put(render(run, directory), path)


def write_comparison(run: Run, directory: Path, path: Path) -> Path:
    """Write the page of two runs side by side.

    Args:
        run: the later one; its items hold what changed, its baseline is the other one.
        directory: with the thumbnails below ``pictures/``.
        path: of the page.
    """
    page = view.page(run, directory)
    if page.compared is not None:  # gates were held against another run than this
        page = replace(page, compared=replace(page.compared, gates=None))
    return _put(_filled("compare.html.jinja", run, page), path)


def _put(html: str, path: Path) -> Path:
    with whole_file(path) as partial:
        # Without newline translation: the style's hash counts every byte.
        partial.write_text(html, encoding="utf-8", newline="\n")
    return path


def _filled(template: str, run: Run, page: view.Page) -> str:
    environment = _environment()
    # Included by the layout as it is rendered here; the browser applies it by this hash alone.
    style = environment.get_template(STYLE).render()
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    html = environment.get_template(template).render(
        run=run,
        page=page,
        style_hash=f"sha256-{digest}",
        product=f"vision-evals {evals.__version__}",
    )
    # No template holds such a character: whatever stands here came with a name from the log.
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", html)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(data_folder("reports")),
        autoescape=True,  # everything; select_autoescape() would leave *.jinja out
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "position": _position,
        "seconds": rounding.seconds,
        "count": rounding.count,
        "plural": words.plural,
        "written": rounding.written,
        "recipe": facts,
    }
    environment.globals |= {
        "symbols": words.SYMBOLS,
        "verdict_words": glossary.VERDICTS,
        "method_words": glossary.METHODS,
    }
    return environment


def _position(share: float) -> str:
    """Return a share of the axis as a length in SVG, inside the axis."""
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"
