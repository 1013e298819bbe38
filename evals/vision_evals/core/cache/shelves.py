"""What lies in a cache folder, and what is thrown away first."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_evals.core.cache.store import KINDS, about
from vision_evals.core.errors import UserError

TRAININGS = "recipes"
"""Networks that recipes trained: their own files, beside the entries."""

ENTRY = r"[0-9a-f]{64}/[0-9a-f]{64}(\.[0-9]+\.[0-9a-f]{8}\.part)?"
TRAINED = r"[0-9a-f]{64}-[0-9]+\.safetensors(\.[0-9]+(\.[0-9a-f]{8})?\.part)?"
"""Names that only a cache gives: anything else in its folder is somebody else's."""

UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
SPANS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of the cache."""

    path: Path
    kind: str
    """One of ``KINDS``, or ``recipes``."""
    size: int
    """Bytes."""
    used: float
    """Seconds since 1970 when it was written or last found."""


@dataclass(frozen=True, slots=True)
class Line:
    """Entries of one kind, classifier and measure."""

    kind: str
    classifier: str
    measure: str
    entries: int
    size: int
    oldest: float
    """When the one was last used that was not used for longest."""


def kept(folder: Path) -> Iterator[Kept]:
    """Yield every file that a cache has written; nothing else there is looked at.

    No link is followed: what lies outside is not the cache's.
    """
    for kind in (*KINDS, TRAININGS):
        place = folder / kind
        if place.is_symlink() or not place.is_dir():
            continue
        pattern, name = ("*", TRAINED) if kind == TRAININGS else ("*/*", ENTRY)
        for path in sorted(place.glob(pattern)):
            if re.fullmatch(name, path.relative_to(place).as_posix()) is None:
                continue
            with contextlib.suppress(OSError):  # pruned by somebody else meanwhile
                if not path.is_symlink() and not path.parent.is_symlink() and path.is_file():
                    status = path.stat()
                    yield Kept(path, kind, status.st_size, status.st_mtime)


def lines(found: Iterable[Kept]) -> tuple[Line, ...]:
    """Return what there is of each kind, classifier and measure, the largest first."""
    groups: dict[tuple[str, str, str], list[Kept]] = {}
    for one in found:
        told = {} if one.kind == TRAININGS else about(one.path)
        classifier, measure = (str(told.get(key, "")) for key in ("classifier", "measure"))
        groups.setdefault((one.kind, classifier, measure), []).append(one)
    found_lines = [
        Line(*names, len(of), sum(one.size for one in of), min(one.used for one in of))
        for names, of in groups.items()
    ]
    return tuple(sorted(found_lines, key=lambda line: -line.size))


def prune(
    found: Sequence[Kept],
    *,
    older_than: float | None = None,
    larger_than: float | None = None,
    now: float | None = None,
) -> tuple[Kept, ...]:
    """Remove entries and return them: those unused for longest first. Without a limit, all.

    Args:
        found: what there is.
        older_than: seconds; what was used within them stays.
        larger_than: bytes; so much stays, of what was used last.
        now: seconds since 1970.
    """
    now = time.time() if now is None else now
    by_use = sorted(found, key=lambda one: (one.used, str(one.path)))
    total = sum(one.size for one in found)
    gone = []
    for one in by_use:
        old = older_than is not None and now - one.used > older_than
        large = larger_than is not None and total > larger_than
        if not (old or large or older_than is larger_than is None):
            continue
        with contextlib.suppress(FileNotFoundError):
            one.path.unlink()
        with contextlib.suppress(OSError):
            one.path.parent.rmdir()  # where that was the last of its question
        total -= one.size
        gone.append(one)
    return tuple(gone)


def seconds(text: str) -> float:
    """Read ``30d``, ``12h``, ``2w`` or ``90m``."""
    return _measured(text, SPANS, "a time such as 30d, 12h or 2w")


def size(text: str) -> float:
    """Read ``5GB`` or ``500 MB``."""
    return _measured(text, UNITS, "a size such as 5GB or 500MB")


def _measured(text: str, units: dict[str, float], wanted: str) -> float:
    written = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*", text)
    known = {unit.lower(): factor for unit, factor in units.items()}
    if written is None or written[2].lower() not in known:
        raise UserError(f"{text}: write {wanted}")
    return float(written[1]) * known[written[2].lower()]
