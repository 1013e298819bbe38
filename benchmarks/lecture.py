"""The pictures of docs/lecture.md: `python benchmarks/lecture.py`, or with names of slides.

Runs the command of each slide in an empty folder, as a student does, and takes from its report the
element that the comment above the picture names. `--runs DIR` takes runs from before.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from screenshots import SETTLED, browser

from vision_evals.core.errors import UserError

PAGE = Path(__file__).parents[1] / "docs" / "lecture.md"

MAX_BYTES = 120_000
"""Of a picture."""

QUALITIES = (90, 80, 65, 50)
"""Of WebP, where the picture is too large without loss."""

WINDOW = {"width": 800, "height": 2400}
"""Pixels: high enough for the large view of a picture, which would scroll."""

SLIDE = re.compile(
    r"^## (?P<title>.+?)$(?:(?!^## ).)*?^```sh\n(?P<command>[^\n]+)\n```$(?:(?!^## ).)*?"
    r"^<!-- picture: (?P<selector>.+?) -->\n!\[(?P<alt>[^\]]+)\]\((?P<file>lecture/[\w-]+\.webp)\)$"
    r"(?P<text>(?:(?!^## ).)*)",
    re.MULTILINE | re.DOTALL,
)


class Slide(NamedTuple):
    """A heading of the page, with its command and its picture."""

    title: str
    command: str
    selector: str
    """Of the element of the report."""
    alt: str
    file: str
    """Below docs/."""
    text: str
    """Below the picture."""

    @property
    def name(self) -> str:
        """The name of its picture."""
        return Path(self.file).stem


def slides(page: Path = PAGE) -> list[Slide]:
    """Return the slides of the page in their order."""
    return [Slide(**found.groupdict()) for found in SLIDE.finditer(page.read_text("utf-8"))]


def picture(chromium: Any, report: Path, selector: str) -> bytes:
    """Return the one element of a report that a selector names, as a PNG.

    A picture of the gallery stands in full where there are no scripts, and charts are drawn by
    them. A chart of a picture is in its large view: ``article... | figure...``.

    Raises:
        UserError: no element is meant, or several are.
    """
    tile, _, inner = selector.rpartition(" | ")
    tab = chromium.new_page(
        viewport=WINDOW,
        color_scheme="light",
        reduced_motion="reduce",
        java_script_enabled=bool(tile) or not inner.startswith("article"),
    )
    try:
        tab.goto(report.resolve().as_uri())
        if tile:
            _only(tab, tile).locator("img").click()
        element = _only(tab, inner)
        places = [None, element.bounding_box()]
        while places[-1] != places[-2]:  # charts above it are drawn when they are near
            element.scroll_into_view_if_needed()
            tab.wait_for_timeout(SETTLED)
            places.append(element.bounding_box())
        png: bytes = element.screenshot()
        return png
    finally:
        tab.close()


def _only(tab: Any, selector: str) -> Any:
    element = tab.locator(selector)
    if element.count() != 1:
        raise UserError(f"{selector}: {element.count()} elements of the report, and not one")
    return element


def small(png: bytes) -> bytes:
    """Return a picture as WebP, without loss where that is small enough.

    Raises:
        UserError: it is too large at every quality.
    """
    whole = Image.open(io.BytesIO(png)).convert("RGB")
    for options in ({"lossless": True}, *({"quality": quality} for quality in QUALITIES)):
        out = io.BytesIO()
        whole.save(out, "WEBP", method=6, **options)
        if out.tell() < MAX_BYTES:
            return out.getvalue()
    raise UserError(f"{out.tell():,} bytes at quality {QUALITIES[-1]}: take a smaller element")


def main() -> None:
    """Draw the pictures of all slides, or of some."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", help="of pictures; default: all")
    parser.add_argument("--runs", type=Path, help="a folder for each slide, with runs/ in it")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser(), chromium_sandbox=os.geteuid() != 0
        )
        for slide in slides():
            if args.names and slide.name not in args.names:
                continue
            folder = (args.runs or Path(scratch)) / slide.name
            if args.runs is None:
                folder.mkdir()
                subprocess.run(["bash", "-c", slide.command], cwd=folder, check=True)  # noqa: S603, S607
            try:
                png = picture(chromium, folder / "runs/latest/report.html", slide.selector)
                content = small(png)
            except UserError as error:
                sys.exit(f"{slide.name}: {error}")
            file = PAGE.parent / slide.file
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
            sys.stdout.write(f"{slide.file} {len(content):,} bytes\n")
        chromium.close()


if __name__ == "__main__":
    main()
