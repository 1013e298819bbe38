"""How the pictures of a page reach its reader: inside it, or as files next to it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from vision_evals.core.paths import whole_file

FOLDER = "pictures"
"""Beside a page whose pictures are files."""

_INLINE = "data:image/webp;base64,"
_OURS = re.compile(r"[a-z0-9-]*-([0-9a-f]{16})\.webp")


class Addresses(Protocol):
    """Gives WebP pictures addresses that the page may load."""

    @property
    def source(self) -> str:
        """Where the page loads pictures from, in the words of its policy."""

    def cost(self, content: bytes) -> int:
        """Return how many bytes of the page a picture takes."""

    def address(self, content: bytes, file: str) -> str:
        """Return the address of a picture.

        Args:
            content: the picture.
            file: its name in the log, which may be anything.
        """


@dataclass(frozen=True, slots=True)
class Inline:
    """Addresses that hold the pictures themselves: the page stays one file."""

    source: str = "data:"

    def cost(self, content: bytes) -> int:
        """Return the length of its address: four characters for three bytes."""
        return len(_INLINE) + 4 * -(-len(content) // 3)

    def address(self, content: bytes, file: str) -> str:
        """Return the picture as base64."""
        del file
        return _INLINE + base64.b64encode(content).decode("ascii")


@dataclass(frozen=True, slots=True)
class ExternalFiles:
    """Names below ``pictures/``, where `put` writes what was asked for."""

    source: str = "'self' file:"  # a page that was opened from a disk has no self
    _pictures: dict[str, bytes] = field(default_factory=dict)

    def cost(self, content: bytes) -> int:
        """Return 0: files next to the page take none of it."""
        del content
        return 0

    def address(self, content: bytes, file: str) -> str:
        """Return a name made of harmless characters and of what the picture holds."""
        name = f"{_plain(file)}-{_digest(content)}.webp"
        self._pictures[name] = content
        return f"{FOLDER}/{name}"

    def put(self, folder: Path) -> None:
        """Write the pictures next to a page in this folder."""
        for name, content in self._pictures.items():
            with whole_file(folder / FOLDER / name) as partial:
                partial.write_bytes(content)

    def clear(self, folder: Path) -> None:
        """Remove what an older page left there, and nothing that another hand did.

        A file is a page's when its name says what it holds.
        """
        for file in (folder / FOLDER).glob("*.webp"):
            named = _OURS.fullmatch(file.name)
            if named is None or file.name in self._pictures or file.is_symlink():
                continue
            if not file.is_file():  # a pipe would be waited for
                continue
            with contextlib.suppress(OSError):
                if _digest(file.read_bytes()) == named[1]:
                    file.unlink()


def _plain(file: str) -> str:
    stem = PurePosixPath(file).stem.lower()
    return re.sub("[^a-z0-9]+", "-", stem).strip("-")[:80] or "picture"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
