"""What changed since the baseline, as a browser lays it out."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from vision_evals import report

pytestmark = pytest.mark.slow

side_by_side = importlib.import_module("tests.report.test_report_side_by_side")


@pytest.fixture
def page(runs: ModuleType, tmp_path: Path) -> Path:
    """A report with a change that nobody can call better or worse, and flips of 32 pixels."""
    run = side_by_side.run_beside(runs, tmp_path)
    flips = run.items[0].comparison.flips
    for flip in flips.lost:
        Image.new("RGB", (32, 32), "red").save(tmp_path / flip.file)
    return report.write(run, tmp_path, tmp_path / "report.html")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_row_that_decides_nothing_is_as_wide_as_the_others(
    visit: Any, page: Path, *, scripts: bool
) -> None:
    with visit(page, java_script_enabled=scripts) as seen:
        rows = seen.page.locator("#beside tbody tr")
        styles = "row => [row.className, getComputedStyle(row).display]"
        shown = [rows.nth(i).evaluate(styles) for i in range(rows.count())]
        assert ["open", "table-row"] in shown
        assert {display for _, display in shown} == {"table-row"}
        widths = {round(rows.nth(i).bounding_box()["width"]) for i in range(rows.count())}
        assert len(widths) == 1


@pytest.mark.parametrize("width", [390, 1280])
def test_a_small_flip_keeps_its_shape(visit: Any, page: Path, width: int) -> None:
    with visit(page, width=width) as seen:
        pictures = seen.page.locator(".flips img")
        assert pictures.count() == 3
        for picture in pictures.all():
            picture.scroll_into_view_if_needed()
            box = picture.bounding_box()
            assert box["height"] == pytest.approx(box["width"], abs=1)
            assert box["width"] > 100
