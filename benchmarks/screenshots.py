"""The pictures of the README: `python benchmarks/screenshots.py runs/latest`.

Renders the report of a run and writes its first screen, wide to `docs/report.png` and as on a
telephone to `docs/report-narrow.png`, each under 300 kB.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from vision_evals import log, report
from vision_evals.core.errors import UserError

if TYPE_CHECKING:
    from playwright.sync_api import Playwright

SCREENS: Mapping[str, tuple[int, int]] = {
    "report.png": (1440, 900),
    "report-narrow.png": (390, 844),
}
"""File to width and height of the window."""

MOST = 300_000
"""Bytes of a picture."""

COLOURS = (256, 192, 128)
"""Of a palette, where the picture is too large with all of its own."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

SETTLED = 1500
"""Milliseconds for scripts to draw in."""


def browser() -> str:
    """Return the system's Chromium.

    Raises:
        UserError: there is none.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise UserError(f"no Chromium: none of {', '.join(BROWSERS)} is on the path; install one")
    return found


def shots(playwright: Playwright, page: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each file's name and the PNG that the browser made."""
    sandbox = os.geteuid() != 0  # root has none
    chromium = playwright.chromium.launch(executable_path=browser(), chromium_sandbox=sandbox)
    for name, (width, height) in SCREENS.items():
        tab = chromium.new_page(
            viewport={"width": width, "height": height},
            color_scheme="light",
            reduced_motion="reduce",
        )
        tab.goto(page.as_uri())
        tab.wait_for_timeout(SETTLED)
        yield name, tab.screenshot()
        tab.close()
    chromium.close()


def small(png: bytes) -> bytes:
    """Return the picture in few enough bytes, with fewer colours where it must be.

    Raises:
        UserError: it is too large even then.
    """
    whole = Image.open(io.BytesIO(png)).convert("RGB")
    fewer = (whole.quantize(n, dither=Image.Dither.NONE) for n in COLOURS)
    sizes = []
    for picture in (whole, *fewer):
        out = io.BytesIO()
        picture.save(out, "PNG", optimize=True)
        if out.tell() < MOST:
            return out.getvalue()
        sizes.append(out.tell())
    raise UserError(
        f"{min(sizes):,} bytes with {COLOURS[-1]} colours, and a picture of the README has under "
        f"{MOST:,}: take a run that shows fewer photographs on its first screen"
    )


def main() -> None:
    """Write both pictures, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("run", type=Path, help="a run directory, such as runs/latest")
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[1] / "docs")
    asked = parser.parse_args()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("playwright is not installed: pip install -e '.[test]'")
    try:
        with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
            page = report.write(log.read(asked.run), asked.run, Path(place) / "report.html")
            for name, png in shots(playwright, page):
                (asked.to / name).write_bytes(small(png))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
