"""A table of rows held against its plan: which rows, each exactly once, columns, and ranges."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vision_evals.core.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

MAX_VALUES = 50_000_000
"""Numbers and texts in a table without a plan: a file of some kB can hold billions."""
VALUES_PER_ROW = 1000
"""Numbers and texts in a row whose plan is known; lists have several."""
LEAST_VALUES = 1_000_000
"""So many are read whatever the plan is, so that a message can say what is wrong with them."""

PROBABILITIES = ("confidence", "confidence_clean")
"""Columns of probabilities, as far as a table has them."""
TOLERANCE = 1e-5
"""How far rounding may bring a probability beyond 1."""

MAX_BYTES = 500_000_000
"""Bytes of a table."""

MAX_NAMED = 3
"""Rows of one difference that are named."""


@dataclass(frozen=True, slots=True)
class RowPlan:
    """What a table must hold."""

    keys: tuple[str, ...]
    """Columns that identify a row."""
    images: Collection[str] | int | None = None
    """Ids in the column ``image``, or how many; None where that is unknown, or rows name none."""
    values: tuple[str, ...] | None = None
    """Of the second key, once for each image; None: unknown, but the same for each."""
    columns: tuple[str, ...] = ()
    """More that it has."""
    class_columns: tuple[str, ...] = ()
    """Columns of class indices, as far as it has them."""
    classes: int | None = None
    """How many classes there are; None: unknown."""

    @property
    def most(self) -> int:
        """How many values may be read: enough for it, and for a message of what is wrong."""
        rows = self.rows
        return MAX_VALUES if rows is None else max(LEAST_VALUES, rows * VALUES_PER_ROW)

    @property
    def rows(self) -> int | None:
        """How many rows there are; None where that is unknown."""
        if self.images is None or (len(self.keys) > 1 and self.values is None):
            return None
        images = self.images if isinstance(self.images, int) else len(self.images)
        return images * (1 if self.values is None else len(self.values))


def read_bounded(place: Path | BinaryIO, most: int = MAX_VALUES) -> pa.Table:
    """Return a Parquet file, unless it holds more than it may.

    Args:
        place: the file.
        most: numbers and texts in it.

    Raises:
        ValueError: it holds too much.
        OSError, pa.ArrowException: it cannot be read.
    """
    from pyarrow.parquet import ParquetFile

    # Arrow takes no path of bytes that are not UTF-8
    opened = place.open("rb") if isinstance(place, Path) else contextlib.nullcontext(place)
    with opened as stream:
        file = ParquetFile(stream)
        _refuse_large(file, most)
        columns = [file.schema.column(i) for i in range(len(file.schema))]
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
        schema = file.schema_arrow
        stream.seek(0)  # each text once, however often
        table = ParquetFile(stream, read_dictionary=texts).read(use_threads=False)
    for column in table.columns:
        _refuse_long(column)
    return table.cast(schema)


def _refuse_large(file: ParquetFile, most: int) -> None:
    about = file.metadata
    groups = [about.row_group(index) for index in range(about.num_row_groups)]
    values = sum(group.column(i).num_values for group in groups for i in range(group.num_columns))
    if (held := max(values, about.num_rows)) > most:
        raise ValueError(f"it holds {held:,} values, more than {most:,}")
    if (size := sum(group.total_byte_size for group in groups)) > MAX_BYTES:
        raise ValueError(f"it holds {size:,} bytes, more than {MAX_BYTES:,}")


def _refuse_long(column: pa.ChunkedArray) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    size = 0
    for chunk in column.chunks:
        while pa.types.is_list(chunk.type) or pa.types.is_large_list(chunk.type):
            chunk = chunk.flatten()
        if isinstance(chunk, pa.DictionaryArray):
            size += len(chunk) * (pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0)
    if size > MAX_BYTES:
        raise ValueError(f"it holds up to {size:,} bytes of text, more than {MAX_BYTES:,}")


def hold(table: pa.Table, plan: RowPlan) -> str | None:
    """Return in what a table differs from its plan, in words; None where it does not."""
    return next(_differences(table, plan), None)


def require(table: pa.Table, plan: RowPlan, where: str, repair: str) -> None:
    """Refuse a table that differs from its plan.

    Args:
        table: to hold against it.
        plan: what it must hold.
        where: begins the message.
        repair: ends it.

    Raises:
        UserError: it differs; the message says in what.
    """
    if (reason := hold(table, plan)) is not None:
        raise UserError(f"{where}: {reason}; {repair}")


def _differences(table: pa.Table, plan: RowPlan) -> Iterator[str]:
    names = table.column_names
    missing = [name for name in (*plan.keys, *plan.columns) if name not in names]
    twice = [name for name in names if names.count(name) > 1]
    if missing or twice:
        yield f"it has {'no' if missing else 'twice the'} column {(missing or twice)[0]}"
        return
    yield from _keys(table, plan)
    for name in plan.class_columns:
        if name in names:
            most = float("inf") if plan.classes is None else plan.classes - 1
            yield from _outside(table, name, 0, most, "no class index")
    for name in PROBABILITIES:
        if name in names:
            yield from _outside(table, name, 0, 1 + TOLERANCE, "no probability")


def _keys(table: pa.Table, plan: RowPlan) -> Iterator[str]:
    import pyarrow as pa

    if not plan.keys:
        return
    for key in plan.keys:
        if pa.types.is_nested(table[key].type):
            yield f"{key} holds {table[key].type}, no name"
            return
        if table[key].null_count:
            yield f"{table[key].null_count:,} rows have no {key}"
    counted = (
        table.select(plan.keys)
        .group_by(list(plan.keys), use_threads=False)
        .aggregate([([], "count_all")])
    )
    if counted.num_rows < table.num_rows:
        first = next(row for row in counted.to_pylist() if row["count_all"] > 1)
        yield f"{_named(first, plan.keys)} is there {first['count_all']} times"
    if "image" not in plan.keys or plan.images is None:
        return
    found = table["image"].unique().to_pylist()
    if isinstance(plan.images, int):
        if len(found) != plan.images:
            yield f"it has {len(found):,} images where {plan.images:,} were measured"
    elif different := _set_difference(found, plan.images):
        yield different
    yield from _grid(table, plan, len(found))


def _grid(table: pa.Table, plan: RowPlan, images: int) -> Iterator[str]:
    """Yield where not every image has each value of the second key."""
    if len(plan.keys) == 1:
        return
    axis = plan.keys[1]
    found = table[axis].unique().to_pylist()
    if plan.values is not None and (different := _set_difference(found, plan.values, axis)):
        yield different
    if table.num_rows != images * len(found):
        yield f"not every image has each of the {len(found):,} values of {axis}"


def _set_difference(found: Collection[object], planned: Collection[str], what: str = "") -> str:
    """Return what one has and the other lacks, in words; nothing where both are equal."""
    present, wanted = set(found), set(planned)
    lost = [value for value in planned if value not in present]
    new = [value for value in found if value not in wanted]
    words: tuple[tuple[Sequence[object], str], ...] = ((lost, "missing"), (new, "not planned"))
    each = (f"{len(v):,} {word} ({_listed(v)})" for v, word in words if v)
    text = ", ".join(each)
    return f"of {what or 'the images'}, {text}" if text else ""


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values[:MAX_NAMED])) + (", ..." if len(values) > MAX_NAMED else "")


def _named(row: dict[str, object], keys: Sequence[str]) -> str:
    return ", ".join(f"{key} {row[key]}" for key in keys)


def _outside(table: pa.Table, name: str, low: float, high: float, what: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table[name].combine_chunks()
    while pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = column.flatten()
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        if len(column):
            yield f"{name} holds {column.type}, {what}"
        return
    ends = pc.min_max(column)
    for end in (ends["min"].as_py(), ends["max"].as_py()):
        if end is not None and (end < low or end > high):  # NaN is judged where rows are finite
            yield f"{name} holds {end:g}, {what}"
