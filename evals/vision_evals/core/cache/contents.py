"""The files of a cache folder, and which of them are removed first."""

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
"""Networks that recipes trained: files of their own, next to the entries."""

ENTRY = r"[0-9a-f]{64}/[0-9a-f]{64}(\.[0-9]+\.[0-9a-f]{8}\.part)?"
TRAINED = r"[0-9a-f]{64}-[0-9]+\.safetensors(\.[0-9]+(\.[0-9a-f]{8})?\.part)?"
"""Names that only a cache gives: any other file in its folder is left alone."""

UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
SPANS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


@dataclass(frozen=True, slots=True)
class CacheFile:
    """A file of the cache."""

    path: Path
    kind: str
    """One of ``KINDS``, or ``recipes``."""
    size: int
    """Bytes."""
    used: float
    """Seconds since 1970 when it was written or last found."""


@dataclass(frozen=True, slots=True)
class CacheSummary:
    """Entries of one kind, classifier and measure."""

    kind: str
    classifier: str
    measure: str
    entries: int
    size: int
    oldest: float
    """Seconds since 1970 when the one unused for longest was last used."""


def cache_files(folder: Path) -> Iterator[CacheFile]:
    """Yield every file that a cache has written; other files and older layouts are left out.

    Links are not followed: what they point to is not the cache's.
    """
    for kind in (*KINDS, TRAININGS):
        subfolder = folder / kind
        if subfolder.is_symlink() or not subfolder.is_dir():
            continue
        pattern, names = ("*", TRAINED) if kind == TRAININGS else ("*/*", ENTRY)
        for path in sorted(subfolder.glob(pattern)):
            if re.fullmatch(names, path.relative_to(subfolder).as_posix()) is None:
                continue
            with contextlib.suppress(OSError):  # another process pruned it meanwhile
                if not path.is_symlink() and not path.parent.is_symlink() and path.is_file():
                    status = path.stat()
                    yield CacheFile(path, kind, status.st_size, status.st_mtime)


def summaries(files: Iterable[CacheFile]) -> tuple[CacheSummary, ...]:
    """Return what there is of each kind, classifier and measure, the largest first."""
    groups: dict[tuple[str, str, str], list[CacheFile]] = {}
    for file in files:
        description = {} if file.kind == TRAININGS else about(file.path)
        classifier, measure = (str(description.get(key, "")) for key in ("classifier", "measure"))
        groups.setdefault((file.kind, classifier, measure), []).append(file)
    return tuple(
        sorted(
            (
                CacheSummary(
                    *names,
                    len(group),
                    sum(file.size for file in group),
                    min(file.used for file in group),
                )
                for names, group in groups.items()
            ),
            key=lambda summary: -summary.size,
        )
    )


def prune(
    files: Sequence[CacheFile],
    *,
    older_than: float | None = None,
    larger_than: float | None = None,
    now: float | None = None,
) -> tuple[CacheFile, ...]:
    """Remove files and return them, starting with those unused for longest. Without a limit, all.

    Args:
        files: of the cache.
        older_than: seconds; files used within them stay.
        larger_than: bytes; so much stays, of the files used last.
        now: seconds since 1970.
    """
    now = time.time() if now is None else now
    total = sum(file.size for file in files)
    removed = []
    for file in sorted(files, key=lambda file: (file.used, str(file.path))):
        old = older_than is not None and now - file.used > older_than
        large = larger_than is not None and total > larger_than
        if not (old or large or older_than is larger_than is None):
            continue
        with contextlib.suppress(FileNotFoundError):
            file.path.unlink()
        with contextlib.suppress(OSError):
            file.path.parent.rmdir()  # where that was the last file in it
        total -= file.size
        removed.append(file)
    return tuple(removed)


def seconds(text: str) -> float:
    """Read ``30d``, ``12h``, ``2w`` or ``90m``."""
    return _measured(text, SPANS, "a time such as 30d, 12h or 2w")


def size(text: str) -> float:
    """Read ``5GB`` or ``500 MB``."""
    return _measured(text, UNITS, "a size such as 5GB or 500MB")


def _measured(text: str, units: dict[str, float], example: str) -> float:
    parts = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*", text)
    factors = {unit.lower(): factor for unit, factor in units.items()}
    if parts is None or parts[2].lower() not in factors:
        raise UserError(f"{text}: write {example}")
    return float(parts[1]) * factors[parts[2].lower()]
