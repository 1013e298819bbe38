"""Entries on disk: whole or not there, checked by their checksum, and never run.

``<folder>/<kind>/<question>/<images>``: what was asked of whom, and about which images. A file is a
line with the sha256 of the rest, a line of JSON that says what it is, and the payload.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from vision_evals.core.paths import whole_file

KINDS = ("shards", "measured", "pictures")
"""Rows of up to 256 images; whether numbers can be trusted; what the report shows."""


class CacheEntry(NamedTuple):
    """What is kept."""

    about: dict[str, Any]
    payload: bytes


@dataclass(frozen=True)
class Cache:
    """A folder of entries. Trouble with it costs a warning and work, never a run."""

    folder: Path
    warn: Callable[[str], None]
    """Told of damaged entries and of a disk that takes no more."""
    replies: dict[str, str | None] = field(default_factory=dict)
    """Name of a classifier to what it says of noise, asked once a run."""
    _full: list[str] = field(default_factory=list)
    """Why nothing more is kept, once that is so."""

    def holds(self, kind: str, question: str) -> bool:
        """Whether anything at all is kept of a question, whatever the images."""
        return self._place(kind, question).is_dir()

    def get(self, kind: str, question: str, images: str) -> CacheEntry | None:
        """Return an entry; None where there is none, or a damaged one, which is named and removed.

        What is found is marked as used, for `prune` removes what was not used for longest.
        """
        file = self._place(kind, question) / images
        try:
            content = file.read_bytes()
        except OSError:
            return None
        entry = parse(content)
        if entry is None:
            self.warn(f"{file}: a damaged entry of the cache; it is computed again")
            with contextlib.suppress(OSError):
                file.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(file)
        return entry

    def put(self, kind: str, question: str, images: str, entry: CacheEntry) -> None:
        """Keep an entry so that a reader sees all of it or nothing, also of two at once."""
        if self._full:
            return
        file = self._place(kind, question) / images
        try:
            try:
                _write(entry, file)
            except FileNotFoundError:  # somebody prunes: the folder was empty for a moment
                _write(entry, file)
        except OSError as error:
            self._full.append(str(error))
            self.warn(
                f"{self.folder}: the cache takes nothing more ({error.strerror}); the run goes on, "
                "and the next one computes this again"
            )

    def _place(self, kind: str, question: str) -> Path:
        return self.folder / kind / question


def _write(entry: CacheEntry, file: Path) -> None:
    with whole_file(file) as partial:
        partial.write_bytes(written(entry))


def written(entry: CacheEntry) -> bytes:
    """Return the bytes of a file."""
    rest = json.dumps(entry.about).encode() + b"\n" + entry.payload
    return hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


def parse(content: bytes) -> CacheEntry | None:
    """Return the entry of a file's bytes, or None where they are not what was written."""
    digest, _, rest = content.partition(b"\n")
    if hashlib.sha256(rest).hexdigest().encode() != digest:
        return None
    about, _, payload = rest.partition(b"\n")
    try:
        found = json.loads(about)
    except (ValueError, RecursionError):
        return None
    return CacheEntry(found, payload) if isinstance(found, dict) else None


def about(file: Path) -> dict[str, Any]:
    """Return what an entry's file says of itself, nothing where it cannot be read.

    For lists only: the checksum is not looked at.
    """
    try:
        with file.open("rb") as content:
            content.readline(100)
            found = json.loads(content.readline(10**7))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
