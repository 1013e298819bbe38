"""Pictures and rows of a run directory, and what is missing there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIRST_CHUNK = 20
"""Where the first chunk's data begin: behind ``RIFF``, size, ``WEBP``, its name and its size."""


def extent(content: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels; None where these bytes are no WebP picture.

    The three kinds of first chunk are those of RFC 9649, sections 2.5 to 2.7.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) < FIRST_CHUNK + 10:
        return None
    kind, data = content[12:16], content[FIRST_CHUNK : FIRST_CHUNK + 10]
    if kind == b"VP8 " and data[3:6] == b"\x9d\x01\x2a":
        return _bits(data[6:8]), _bits(data[8:10])
    if kind == b"VP8L" and data[0] == 0x2F:
        both = int.from_bytes(data[1:5], "little")
        return (both & 0x3FFF) + 1, (both >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(data[4:7], "little") + 1, int.from_bytes(data[7:10], "little") + 1
    return None


def _bits(two: bytes) -> int:
    """Return the lower 14 of 16 bits; the others say how a player should scale."""
    return int.from_bytes(two, "little") & 0x3FFF


TableRow = Mapping[str, Any]

COLUMNS = ("image", "label", "accepted", "top5", "top5_confidence", "stable")
"""What the gallery shows of a row; the others stay on disk."""

MAX_PICTURE_BYTES = 32_000_000
"""Bytes of a picture: no run writes a larger one."""

MAX_TABLE_ROWS = 200_000
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
            content = stream.read(MAX_PICTURE_BYTES + 1)
    except (OSError, ValueError):
        raise Missing(f"{file} is missing") from None
    size = extent(content)
    if size is None or len(content) > MAX_PICTURE_BYTES:
        raise Missing(f"{file} is not a WebP picture")
    return WebP(content, *size)


def rows(directory: Path, file: str, images: Collection[str]) -> dict[str, TableRow]:
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
        with _inside(directory, file).open("rb") as stream:
            stored = dataset.ParquetFileFormat().make_fragment(stream)
            names = stored.physical_schema.names
            columns = {n: t for n, t in zip(COLUMNS, types, strict=True) if n in names}
            selected = dataset.field("image").isin(sorted(images))
            table = stored.head(MAX_TABLE_ROWS + 1, columns=list(columns), filter=selected)
        table = table.cast(pa.schema(columns))
    except FileNotFoundError:
        raise Missing(f"{file} is missing") from None
    except (pa.ArrowException, OSError, ValueError):
        raise Missing(f"{file} is not a readable Parquet table with a column image") from None
    if table.num_rows > MAX_TABLE_ROWS:
        raise Missing(f"{file} has more than {MAX_TABLE_ROWS:,} rows of the pictures shown")
    rows = table.to_pylist()
    return {row["image"]: row for row in rows if None not in (row.get("top5") or ())}


def _inside(directory: Path, file: str) -> Path:
    """Return a path below the run directory: a log may come from an untrusted source."""
    root = directory.resolve()
    try:
        path = (root / file).resolve()
    except RuntimeError as error:  # links in a circle
        raise ValueError(file) from error
    # Opening a pipe would block until something writes to it.
    if not path.is_relative_to(root) or (path.exists() and not path.is_file()):
        raise ValueError(file)
    return path
