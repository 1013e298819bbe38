"""Pictures and rows of a run directory, and what is missing there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.report import webp

Row = Mapping[str, Any]

COLUMNS = ("image", "label", "accepted", "top5", "top5_confidence", "stable")
"""What the gallery shows of a row; the others stay on disk."""


class Missing(Exception):
    """A file of the run that cannot be shown, in a sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class WebP:
    """A picture as it lies on the disk."""

    content: bytes
    width: int
    height: int


def picture(directory: Path, file: str) -> WebP:
    """Return a picture.

    Raises:
        Missing: there is none, or it is not a WebP picture.
    """
    try:
        content = _inside(directory, file).read_bytes()
    except (OSError, ValueError):
        raise Missing(f"{file} is missing") from None
    extent = webp.extent(content)
    if extent is None:
        raise Missing(f"{file} is not a WebP picture")
    return WebP(content, *extent)


def rows(directory: Path, file: str, images: Collection[str]) -> dict[str, Row]:
    """Return the rows of some images by id, with those of ``COLUMNS`` that the table has.

    Raises:
        Missing: there is no such table, or it cannot be read.
    """
    # Arrow takes a tenth of a second to import; a page without pictures does without.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        path = _inside(directory, file)
        names = pq.read_schema(path).names
        table = pq.read_table(
            path,
            columns=[name for name in COLUMNS if name in names],
            filters=[("image", "in", sorted(images))],
        )
    except FileNotFoundError:
        raise Missing(f"{file} is missing") from None
    except (pa.ArrowException, OSError, ValueError):
        raise Missing(f"{file} is not a readable Parquet table with a column image") from None
    return {str(row["image"]): row for row in table.to_pylist()}


def _inside(directory: Path, file: str) -> Path:
    """Return a path below the run directory: a log may come from somebody else."""
    root = directory.resolve()
    path = (root / file).resolve()
    if not path.is_relative_to(root):
        raise ValueError(file)
    return path
