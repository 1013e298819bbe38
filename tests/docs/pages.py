"""The pages that people read, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that its first line names: ``# margins.py, beside the suite``."""
        named = re.match(r"# ([\w./-]+\.\w+)", self.text)
        return named and named[1]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(*languages: str, pages: list[Path] = PAGES) -> list[Block]:
    return [
        Block(name(page), language, text)
        for page in pages
        for language, text in _FENCE.findall(page.read_text("utf-8"))
        if language in languages
    ]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def commands() -> Iterator[tuple[str, str]]:
    """Yield page and command: lines of shell blocks and of CI jobs, parts of ``a && b`` apart."""
    for block in blocks("yaml"):
        for command in re.findall(r"run: ((?:evals|pytest|pip) .+)", block.text):
            yield block.page, command
    for block in blocks("sh", "bash"):
        for line in block.text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|;", re.sub(r"(^|\s)[#>].*", "", line)):
                if part.strip():
                    yield block.page, part.strip()
