"""Rows on disk: a Parquet file per finished shard, one file per table after the pass."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vision_evals.core.errors import UserError
from vision_evals.log.disk import run_file
from vision_evals.log.rows import RowPlan, hold, read_bounded, require

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from vision_evals.measures.measure import Columns


@dataclass(frozen=True, slots=True)
class Axis:
    """The second key of rows: one row per image and value."""

    column: str
    values: tuple[str, ...]
    """As the suite wrote them."""


@dataclass(frozen=True, slots=True)
class BatchRows:
    """Rows of one batch of n images, their values still on the device."""

    images: tuple[str, ...]
    labels: Mapping[str, torch.Tensor]
    """Of the image alone: (n,), or (n, k) where -1 is padding and left out."""
    columns: Columns
    """Observed: (n, ...), or (n, axis, ...) with an axis."""
    axis: Axis | None = None

    @property
    def on_cuda(self) -> bool:
        """Whether a column is on a CUDA device."""
        columns = (*self.labels.values(), *self.columns.values())
        return any(not isinstance(column, np.ndarray) and column.is_cuda for column in columns)

    def fetched(self) -> BatchRows:
        """Return the same, its values on their way to the host; does not wait for the device."""
        labels = {name: fetching(column) for name, column in self.labels.items()}
        columns = {
            name: column if isinstance(column, np.ndarray) else fetching(column)
            for name, column in self.columns.items()
        }
        return replace(self, labels=labels, columns=columns)


def fetching(values: torch.Tensor) -> torch.Tensor:
    """Return a tensor in pinned host memory; the copy into it may not have ended."""
    if not values.is_cuda:
        return values
    import torch

    host = torch.empty_like(values, device="cpu", pin_memory=True)
    return host.copy_(values, non_blocking=True)


@dataclass(frozen=True, slots=True)
class Join:
    """How rows without images are reduced to one row per key."""

    keys: tuple[str, ...]
    reduce: Mapping[str, str]
    """Column to ``sum``, ``min`` or ``max``."""

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return one row per key, in order of first occurrence."""
        groups = table.group_by(list(self.keys), use_threads=False)
        joined = groups.aggregate(list(self.reduce.items()))
        return joined.select(
            [*self.keys, *(f"{column}_{how}" for column, how in self.reduce.items())]
        ).rename_columns([*self.keys, *self.reduce])


def add_shard(
    directory: Path, name: str, index: int, parts: Sequence[BatchRows], join: Join | None = None
) -> None:
    """Write the rows of a shard; a killed run leaves every finished one readable."""
    file = _shard(directory, name, index)
    file.parent.mkdir(parents=True, exist_ok=True)
    table = _table(parts) if join is None else _unnamed(parts)
    if table.num_rows:  # a measure may have no more rows; columns without rows have no type
        _write(table if join is None else join(table), file)


def shard_bytes(directory: Path, name: str, index: int) -> bytes:
    """Return the bytes of a shard's rows; none if it has no rows."""
    file = _shard(directory, name, index)
    return file.read_bytes() if file.is_file() else b""


def why_not(content: bytes, plan: RowPlan) -> str | None:
    """Return why the bytes of a shard's rows are not what was planned; None where they are."""
    if not content:
        return f"none of {plan.rows:,}" if plan.rows else None
    try:
        return hold(read_bounded(io.BytesIO(content), plan.most), plan)
    except (OSError, ValueError, pa.ArrowException) as error:
        return str(error).partition("\n")[0]


def put_shard(directory: Path, name: str, index: int, content: bytes) -> None:
    """Write the bytes of a shard's rows where `add_shard` writes them."""
    file = _shard(directory, name, index)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def merge(
    directory: Path, name: str, join: Join | None = None, plan: RowPlan | None = None
) -> pd.DataFrame | None:
    """Join the finished shards of a table into one file, and return its rows in order.

    None when no shard was written.

    Args:
        directory: of the run.
        name: of the table.
        join: of rows that are not those of images.
        plan: what it must hold; None where some of it may be missing.

    Raises:
        UserError: it holds something else.
    """
    folder = _shards(directory, name)
    shards = sorted(folder.glob("*.parquet"))
    if not shards:
        if plan is not None and plan.rows:
            raise UserError(f"{file(name)}: it has none of {plan.rows:,} rows; run it again")
        return None
    table = pa.concat_tables(map(_read, shards))
    table = table if join is None else join(table)
    if plan is not None:
        require(table, plan, file(name), "run it again")
    _write(table, directory / file(name))
    shutil.rmtree(folder)
    rows: pd.DataFrame = table.to_pandas()
    return rows


def write(directory: Path, name: str, rows: pd.DataFrame) -> None:
    """Write rows that do not come from a pass."""
    _write(pa.Table.from_pandas(rows, preserve_index=False), directory / file(name))


def file(name: str) -> str:
    """Return the path of a merged table, below the run directory."""
    return f"tables/{name}.parquet"


def slug(text: str) -> str:
    """Return a part of a file name that reads like ``text``."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:60]


def _shard(directory: Path, name: str, index: int) -> Path:
    return _shards(directory, name) / f"{index:06d}.parquet"


def _shards(directory: Path, name: str) -> Path:
    return directory / "tables" / f"{name}.shards"


def _read(file: Path) -> pa.Table:
    with file.open("rb") as stream:  # Arrow takes no path of bytes that are not UTF-8
        return pq.read_table(stream)


def _write(table: pa.Table, file: Path) -> None:
    with run_file(file) as partial, partial.open("wb") as stream:
        pq.write_table(table, stream, compression="zstd")


def _table(parts: Sequence[BatchRows]) -> pa.Table:
    axis = parts[0].axis
    times = 1 if axis is None else len(axis.values)
    ids = [image for part in parts for image in part.images]
    columns = {"image": pa.array(np.repeat(np.array(ids, dtype=object), times), pa.string())}
    if axis is not None:
        columns[axis.column] = pa.array(list(axis.values) * len(ids), pa.string())
    for name in parts[0].labels:
        arrays = [part.labels[name].cpu().numpy().repeat(times, axis=0) for part in parts]
        columns[name] = pa.concat_arrays([_array(array, array != -1) for array in arrays])
    for name in parts[0].columns:
        arrays = [_host(part.columns[name]) for part in parts]
        if axis is not None:
            arrays = [array.reshape(-1, *array.shape[2:]) for array in arrays]
        columns[name] = pa.concat_arrays([_array(array, None) for array in arrays])
    return pa.table(columns)


def _unnamed(parts: Sequence[BatchRows]) -> pa.Table:
    """Return the columns of parts whose rows are not those of images, one below the other."""
    return pa.table(
        {
            name: pa.array(np.concatenate([_host(part.columns[name]) for part in parts]))
            for name in parts[0].columns
        }
    )


def _host(column: torch.Tensor | NDArray[Any]) -> NDArray[Any]:
    if isinstance(column, np.ndarray):
        return column
    half = column.is_floating_point() and column.element_size() == 2  # no table holds them
    return (column.float() if half else column).detach().cpu().numpy()


def _array(values: np.ndarray, mask: np.ndarray | None) -> pa.Array:
    """Return (m,) as numbers and (m, k) as lists of the values that the mask keeps."""
    if values.ndim == 1:
        return pa.array(values)
    mask = np.ones(values.shape, dtype=bool) if mask is None else mask
    offsets = np.concatenate([[0], mask.sum(axis=1).cumsum()])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values[mask]))
