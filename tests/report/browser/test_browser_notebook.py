"""A run inside a notebook that is light or dark, on a wide window and on a narrow one."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import Run
from vision_evals.log.outcome import exit_code

pytestmark = pytest.mark.slow

NOTEBOOKS = {"light": ("#ffffff", "#111111"), "dark": ("#111111", "#dddddd")}

CONTRAST = """() => {
  const light = colour => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(c => c / 255)
      .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
  }
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor
      if (!/^rgba.* 0\\)$/.test(colour)) return colour
    }
  }
  const words = '.vision-evals-run :is(p, a, td, th, li, figcaption, .verdict)'
  return [...document.querySelectorAll(words)]
    .map(e => [light(getComputedStyle(e).color), light(ground(e))].sort((a, b) => a - b))
    .map(([dark, bright]) => (bright + 0.05) / (dark + 0.05))
}"""


@pytest.mark.parametrize("notebook", NOTEBOOKS)
@pytest.mark.parametrize("width", [1280, 390])
def test_all_words_can_be_read_and_nothing_is_loaded(
    visit: Any, runs: ModuleType, tmp_path: Path, notebook: str, width: int
) -> None:
    log = runs.make_run(*runs.every_verdict(tmp_path))
    ground, ink = NOTEBOOKS[notebook]
    html = Run(log, tmp_path, tmp_path / "report.html", exit_code(log))._repr_html_()
    page = tmp_path / "notebook.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><title>n</title>"
        f"<body style='background:{ground};color:{ink}'><p id=cell>a cell</p>{html}",
        encoding="utf-8",
    )
    with visit(page, width=width) as seen:
        contrasts = seen.page.evaluate(CONTRAST)
        assert len(contrasts) > 30
        assert min(contrasts) >= 4.5
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        loaded = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
        assert seen.page.evaluate(loaded)
        plain = "getComputedStyle(document.getElementById('cell')).fontSize"
        assert seen.page.evaluate(plain) == "16px", "the style is ours alone"
        assert seen.asked == []
        assert seen.said == []


def test_without_a_style_the_words_are_still_there(
    visit: Any, runs: ModuleType, tmp_path: Path
) -> None:
    """As a notebook that is not trusted, or GitHub, shows it."""
    log = runs.make_run(*runs.every_verdict(tmp_path))
    html = Run(log, tmp_path, None, exit_code(log))._repr_html_()
    page = tmp_path / "notebook.html"
    page.write_text(f"<!doctype html><meta charset=utf-8>{html}", encoding="utf-8")
    with visit(page, java_script_enabled=False) as seen:
        assert seen.page.locator(".vision-evals-run tbody tr").count() > 10
        assert seen.page.locator(".vision-evals-run figure img").count() == 8
