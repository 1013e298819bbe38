"""The page: templates filled with the view of a run."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import vision_evals
from vision_evals.core.errors import printable
from vision_evals.core.paths import whole_file
from vision_evals.log import Run
from vision_evals.report import scripts, view
from vision_evals.report.addresses import Addresses, ExternalFiles, Inline
from vision_evals.report.templates import environment, template_errors

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""What no page may hold: controls other than white space, halves of characters, and orders to
write backwards, by which a name reverses the numbers next to it or a command to copy."""


def render(run: Run, directory: Path, templates: Path | None = None) -> str:
    """Return the report of a run as one HTML page that loads nothing.

    Args:
        run: the log.
        directory: the run's, with ``tables/`` and ``pictures/``. What is missing there is named
            on the page.
        templates: folder of a user's own partials, which go before ours of the same name.

    Raises:
        UserError: a template of the user's cannot be filled.
    """
    return _report(run, directory, Inline(), templates)


def write(run: Run, directory: Path, path: Path, templates: Path | None = None) -> Path:
    """Write the report so that a reader sees the old page or the new one, never half of one."""
    return _put(render(run, directory, templates), path)


def write_folder(
    run: Run, run_directory: Path, folder: Path, templates: Path | None = None
) -> Path:
    """Write the same report as ``index.html`` with all pictures as files below ``pictures/``.

    Args:
        run: the log.
        run_directory: with what the log names.
        folder: of the report. Pictures of an older report there are replaced; other files stay.
        templates: as for `render`.
    """
    external = ExternalFiles()
    html = _report(run, run_directory, external, templates)
    external.put(folder)
    page = _put(html, folder / "index.html")
    external.clear(folder)  # last: until now a reader may have the older page open
    return page


def write_comparison(run: Run, directory: Path, path: Path, templates: Path | None = None) -> Path:
    """Write the page of two runs side by side.

    Args:
        run: the later one; its items hold what changed, its baseline is the other one.
        directory: with the thumbnails below ``pictures/``.
        path: of the page.
        templates: as for `render`.
    """
    page = view.page(run, directory, Inline())
    if page.compared is not None:  # gates were held against another run than this
        page = replace(page, compared=replace(page.compared, gates=None))
    return _put(filled("compare.html.jinja", {"run": run, "page": page}, templates), path)


def _report(run: Run, directory: Path, addresses: Addresses, templates: Path | None) -> str:
    context = {"run": run, "page": view.page(run, directory, addresses)}
    return filled("report.html.jinja", context, templates, images=addresses.source)


def filled(
    template: str,
    context: Mapping[str, Any],
    templates: Path | None = None,
    images: str = "data:",
) -> str:
    """Return a page of ours: a template with what it shows, styles, scripts and their policy.

    Args:
        template: name of ours.
        context: what it shows, by name.
        templates: as for `render`.
        images: where it loads pictures from.
    """
    jinja = environment(templates)
    with template_errors(templates):
        # Included by the layout as they are rendered here: the browser goes by these hashes.
        style = jinja.get_template("style.css.jinja").render()
        script = jinja.get_template("script.js.jinja").render()
        html = jinja.get_template(template).render(
            **context,
            product=f"vision-evals {vision_evals.__version__}",
            vega=scripts.vega,
            policy=functools.partial(scripts.policy, style, script, images=images),
        )
    return without_controls(html)


def without_controls(html: str) -> str:
    """Return a page without them; no template has any: they came with names from the log."""
    return CONTROL.sub(lambda control: printable(control[0]), html)


def _put(html: str, path: Path) -> Path:
    with whole_file(path) as partial:
        # Without newline translation: the hashes count every byte.
        partial.write_text(html, encoding="utf-8", newline="\n")
    return path
