"""A large run in a browser: the first screen is there, and the filter answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.large import write
from vision_evals import log, report

pytestmark = pytest.mark.slow

IMAGES, NETWORKS = 50_000, 4


def test_fifty_thousand_images_open_and_their_pictures_are_found_in_time(
    visit: Any, tmp_path: Path
) -> None:
    write(tmp_path, IMAGES, NETWORKS)
    path = report.write(log.read(tmp_path), tmp_path, tmp_path / "report.html")
    assert path.stat().st_size < 12_000_000
    with visit(path) as seen:
        page = seen.page
        assert page.locator("h1").is_visible()
        assert page.locator("a.finding").first.is_visible()
        seen.settle()
        took = page.evaluate(
            """async () => {
              const start = performance.now();
              const network = document.querySelector("#filters select[name=network]");
              network.selectedIndex = 1;
              network.dispatchEvent(new Event("input", { bubbles: true }));
              await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
              return performance.now() - start;
            }"""
        )
        shown = page.locator(".tile:not([hidden])").count()
        assert 0 < shown < page.locator(".tile").count()
        assert took < 2000, "milliseconds"
        assert seen.said == []
        assert seen.asked == []
