"""Pictures and rows of a run directory, and what is missing there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_evals.report import webp

Row = Mapping[str, Any]

COLUMNS = ("image", "label", "accepted", "top5", "top5_confidence", "stable")
"""What the gallery shows of a row; the others stay on disk."""

LARGEST = 32_000_000
"""Bytes of a picture: no run writes a larger one."""

MOST = 200_000
"""Rows of the pictures on a page, all of one table: a small file may unpack to a billion."""


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
        with _inside(directory, file).open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except (OSError, ValueError):
        raise Missing(f"{file} is missing") from None
    extent = webp.extent(content)
    if extent is None or len(content) > LARGEST:
        raise Missing(f"{file} is not a WebP picture")
    return WebP(content, *extent)


def rows(directory: Path, file: str, images: Collection[str]) -> dict[str, Row]:
    """Return the rows of some images by id, with those of ``COLUMNS`` that the table has.

    Raises:
        Missing: there is no such table, or it cannot be read.
    """
    # Arrow takes a tenth of a second to import; a page without pictures does without.
    import pyarrow as pa
    from pyarrow import dataset

    whole = pa.list_(pa.int64())
    types = (pa.string(), pa.int64(), whole, whole, pa.list_(pa.float64()), pa.bool_())
    try:
        stored = dataset.dataset(_inside(directory, file), format="parquet")
        known = {n: t for n, t in zip(COLUMNS, types, strict=True) if n in stored.schema.names}
        shown = dataset.field("image").isin(sorted(images))
        table = stored.head(MOST + 1, columns=list(known), filter=shown).cast(pa.schema(known))
    except FileNotFoundError:
        raise Missing(f"{file} is missing") from None
    except (pa.ArrowException, OSError, ValueError):
        raise Missing(f"{file} is not a readable Parquet table with a column image") from None
    if table.num_rows > MOST:
        raise Missing(f"{file} has more than {MOST:,} rows of the pictures shown")
    rows = table.to_pylist()
    return {row["image"]: row for row in rows if None not in (row.get("top5") or ())}


def _inside(directory: Path, file: str) -> Path:
    """Return a path below the run directory: a log may come from somebody else."""
    root = directory.resolve()
    try:
        path = (root / file).resolve()
    except RuntimeError as error:  # links in a circle
        raise ValueError(file) from error
    # A pipe would be waited for until somebody writes to it.
    if not path.is_relative_to(root) or (path.exists() and not path.is_file()):
        raise ValueError(file)
    return path
