"""Tables of a run directory, read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals.core.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


def read_table(
    directory: Path, file: str, where: str, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return a table of a run.

    Args:
        directory: of the run.
        file: below it, as the log names it.
        where: begins every message.
        columns: those to read, as far as the table has them; None for all.

    Raises:
        UserError: it is missing, damaged, or outside the directory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        path = _inside(directory, file, where)
        with path.open("rb") as stream:  # Arrow takes no path of bytes that are not UTF-8
            if columns is not None:
                existing = pq.read_schema(stream).names
                columns = [name for name in columns if name in existing]
            return pq.read_table(stream, columns=columns)
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
