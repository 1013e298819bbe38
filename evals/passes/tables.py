"""Rows on disk: a Parquet file a finished shard, one file a table when the pass is through."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    import pandas as pd
    import torch


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one batch, their values still on the device."""

    images: tuple[str, ...]
    columns: Mapping[str, torch.Tensor]
    """Each (n,) or (n, k); of integers in (n, k), -1 is padding and left out."""


def add_shard(directory: Path, name: str, index: int, parts: Sequence[Part]) -> None:
    """Write the rows of a shard; a killed run leaves every finished one readable."""
    folder = _shards(directory, name)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{index:06d}.parquet"
    _write(_table(parts), file)


def merge(directory: Path, name: str) -> pd.DataFrame | None:
    """Join the finished shards of a table into one file, and return its rows in order.

    None when no shard was written.
    """
    folder = _shards(directory, name)
    shards = sorted(folder.glob("*.parquet"))
    if not shards:
        return None
    table = pa.concat_tables([pq.read_table(shard) for shard in shards])
    _write(table, directory / file(name))
    shutil.rmtree(folder)
    rows: pd.DataFrame = table.to_pandas()
    return rows


def file(name: str) -> str:
    """Return where a merged table lies, below the run directory."""
    return f"tables/{name}.parquet"


def slug(text: str) -> str:
    """Return a part of a file name that reads like ``text``."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:60]


def _shards(directory: Path, name: str) -> Path:
    return directory / "tables" / f"{name}.shards"


def _write(table: pa.Table, file: Path) -> None:
    partial = file.with_suffix(".part")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(file)


def _table(parts: Sequence[Part]) -> pa.Table:
    columns = {"image": pa.array([image for part in parts for image in part.images], pa.string())}
    for name in parts[0].columns:
        arrays = [part.columns[name].cpu().numpy() for part in parts]
        columns[name] = pa.concat_arrays([_array(array) for array in arrays])
    return pa.table(columns)


def _array(values: np.ndarray) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    kept = values != -1 if values.dtype.kind == "i" else np.ones_like(values, dtype=bool)
    offsets = np.concatenate([[0], kept.sum(axis=1).cumsum()])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values[kept]))
