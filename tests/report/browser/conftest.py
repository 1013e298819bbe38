"""A real browser: Chromium as the system has it, driven by Playwright."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass
class Visit:
    """One page as a reader has it open, with all that it said and asked for."""

    page: Any
    said: list[str] = field(default_factory=list)
    """Errors and warnings of the console, and of scripts that nobody caught."""
    asked: list[str] = field(default_factory=list)
    """Addresses of everything that was to be loaded, but the page itself."""

    def listen(self) -> None:
        """Keep what the page says and asks for."""
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", self._request)

    def until(self, expression: str, argument: Any = None, seconds: float = 60) -> None:
        """Wait until a function of the page says yes.

        Playwright's own waiting compiles text inside the page, which the page's policy forbids.
        """
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression, argument):
            assert time.monotonic() < end, f"never true: {expression}"
            self.page.wait_for_timeout(30)

    def settle(self) -> None:
        """Wait until every chart that can be seen is drawn."""
        self.until(
            "() => [...document.querySelectorAll('[data-chart]')].filter(c => c.offsetParent)"
            ".every(c => c.dataset.chart === 'drawn')"
        )

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.said.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith("data:") and not request.is_navigation_request():
            self.asked.append(request.url)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, headless; where there is none the tests skip."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        pytest.skip("no Chromium on this machine; `apt-get install chromium` brings one")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Visits:
    """Opens pages, each in a context of its own."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    @contextmanager
    def __call__(
        self, path: Path | str, width: int = 1280, height: int = 800, **context: Any
    ) -> Iterator[Visit]:
        address = path.resolve().as_uri() if isinstance(path, Path) else path
        opened = self._browser.new_context(viewport={"width": width, "height": height}, **context)
        try:
            visit = Visit(opened.new_page())
            visit.listen()
            visit.page.goto(address)
            yield visit
        finally:
            opened.close()


@pytest.fixture
def visit(browser: Any) -> Visits:
    """What opens a page, for the time of a with block."""
    return Visits(browser)
