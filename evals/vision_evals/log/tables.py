"""Tables of a run directory, read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals.core.errors import UserError
from vision_evals.log.item import Item
from vision_evals.log.rows import RowPlan, read_bounded, require
from vision_evals.log.run import Run

if TYPE_CHECKING:
    import pyarrow as pa


KEYS_OF_OLD_LOGS = ("image", "epsilon", "budget", "mask")
"""Columns that identify a row of an image, as far as a table of an older log has them."""


def read_rows(
    run: Run, directory: Path, item: Item, where: str, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the rows of an entry of a log, each there exactly once.

    Args:
        run: the log.
        directory: of the run.
        item: the entry.
        where: begins every message.
        columns: those to return, as far as there are any; None for all.

    Raises:
        UserError: it has none, or they are missing, damaged, or not those that were measured.
    """
    if item.table is None:
        raise UserError(f"{where} has no rows: {item.sentence}")
    table = read_table(directory, item.table, where)
    plan = _plan(run, item, table)
    require(table, plan, f"{where}: {item.table} is damaged", "name a complete run")
    return (
        table if columns is None else table.select([c for c in table.column_names if c in columns])
    )


def _plan(run: Run, item: Item, table: pa.Table) -> RowPlan:
    """Return what the table of an entry must hold, as far as the log says it."""
    names = table.column_names
    keys = item.keys or tuple(key for key in KEYS_OF_OLD_LOGS if key in names)
    if item.images is None and "seed" in names and table["seed"].null_count < len(table):
        keys = ("seed", *keys)  # one table has the rows of all seeds
    sets = {image_set.role: image_set for image_set in run.image_sets}
    image_set = sets.get(item.images or "") if run.status == "finished" else None
    counted = None if image_set is None else image_set.n - len(image_set.unreadable)
    card = next((found for found in run.classifiers if found.alias == item.classifier), None)
    return RowPlan(
        keys if item.keys or "image" in names else (),
        images=counted if "image" in keys else None,
        class_columns=("label", "accepted", *(item.class_columns or ())),
        classes=card.class_count if card else None,
    )


def read_table(directory: Path, file: str, where: str) -> pa.Table:
    """Return a table of a run.

    Args:
        directory: of the run.
        file: below it, as the log names it.
        where: begins every message.

    Raises:
        UserError: it is missing, damaged, outside the directory, or too large.
    """
    import pyarrow as pa

    try:
        path = _inside(directory, file, where)
        return read_bounded(path)
    except FileNotFoundError:
        raise UserError(f"{where}: {file} is missing; name a complete run") from None
    except (pa.ArrowException, OSError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{where}: {file} is damaged: {reason}") from None


def _inside(directory: Path, file: str, where: str) -> Path:
    root = directory.resolve()
    path = (root / file).resolve()
    if not path.is_relative_to(root):
        raise UserError(f"{where}: {file} is outside the run; its log was changed")
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError("it is not a file")
    return path
