"""Entries on disk: complete or absent, checked by their checksum, and never executed.

``<folder>/<kind>/<check input>/<images>``: a key of check, classifier and settings, and a key of
the images. Files of older layouts have other keys or other names, so they are never found. A file
is a line with the sha256 of the rest, a line of JSON that describes it, and the payload.
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

KINDS = ("shards", "measured", "pictures", "answers")
"""Rows of up to 256 images; validity checks; pictures of the report; answers to fixed inputs."""


class CacheEntry(NamedTuple):
    """An entry of the cache."""

    about: dict[str, Any]
    payload: bytes


@dataclass(frozen=True)
class Cache:
    """A folder of entries. A failure costs a warning and time, never the run."""

    folder: Path
    warn: Callable[[str], None]
    """Receives warnings of damaged entries and of a full disk."""
    _full: list[str] = field(default_factory=list)
    """Why nothing more is kept, if that is so."""

    def holds(self, kind: str, check_input: str) -> bool:
        """Whether there is any entry of a check input, for whatever images."""
        return self._place(kind, check_input).is_dir()

    def get(self, kind: str, check_input: str, images: str) -> CacheEntry | None:
        """Return an entry; None without one. A damaged one is removed with a warning.

        The entry is marked as used, since `prune` removes those unused for longest.
        """
        file = self._place(kind, check_input) / images
        try:
            content = file.read_bytes()
        except OSError:
            return None
        entry = parse(content)
        if entry is None:
            self.drop(kind, check_input, images, "a damaged entry of the cache")
            return None
        with contextlib.suppress(OSError):
            os.utime(file)
        return entry

    def drop(self, kind: str, check_input: str, images: str, reason: str) -> None:
        """Remove an entry with a warning that says why."""
        file = self._place(kind, check_input) / images
        self.warn(f"{file}: {reason}; it is computed again")
        with contextlib.suppress(OSError):
            file.unlink()

    def put(self, kind: str, check_input: str, images: str, entry: CacheEntry) -> None:
        """Keep an entry so that a reader sees all of it or nothing, also of two at once."""
        if self._full:
            return
        file = self._place(kind, check_input) / images
        try:
            try:
                _write(entry, file)
            except FileNotFoundError:  # another process prunes: the folder was empty for a moment
                _write(entry, file)
        except OSError as error:
            self._full.append(str(error))
            self.warn(
                f"{self.folder}: the cache takes nothing more ({error.strerror}); the run goes on, "
                "and the next one computes this again"
            )

    def _place(self, kind: str, check_input: str) -> Path:
        return self.folder / kind / check_input


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
    description = _parse_about(about)
    return None if description is None else CacheEntry(description, payload)


def _parse_about(line: bytes) -> dict[str, Any] | None:
    try:
        description = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return description if isinstance(description, dict) else None


def about(file: Path) -> dict[str, Any]:
    """Return the description of an entry's file, nothing where it cannot be read.

    For lists only: the checksum is not verified.
    """
    try:
        with file.open("rb") as content:
            content.readline(100)
            return _parse_about(content.readline(10**7)) or {}
    except OSError:
        return {}
