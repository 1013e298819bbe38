"""Files that users name: where they are, and how text in them is read."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.paths import read_text


class FileLine(NamedTuple):
    """One line of a file, its number counted as editors do."""

    number: int
    cells: list[str]


def resolve(source: str, base: Path, *built_in: str) -> Path:
    """Return the existing file or folder that a source names.

    Args:
        source: a path; ``~`` is expanded.
        base: what relative paths start from.
        built_in: names that would not be a path, for the message.

    Raises:
        UserError: nothing is there, or it cannot be reached.
    """
    try:
        path = base / Path(source).expanduser()
        if source.strip() and path.exists():
            return path
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f'"{source}" cannot be reached: {error}') from None
    choices = " or ".join(f'"{name}"' for name in built_in)
    raise UserError(
        f'"{source}" is neither the built-in {choices} nor does {path} exist'
        f"{did_you_mean(path.name, [*names, *built_in])}"
    )


def check_columns(where: str, header: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse columns that are unknown or repeated.

    Raises:
        UserError: there is one; ``where`` begins the message.
    """
    for name in header:
        if name not in columns:
            raise UserError(f'{where}: unknown column "{name}"{did_you_mean(name, columns)}')
        if header.count(name) > 1:
            raise UserError(f'{where}: column "{name}" comes twice; remove one')


def csv_lines(path: Path) -> list[FileLine]:
    """Read the lines of a CSV file, header included; empty ones at its end are left out.

    Raises:
        UserError: it cannot be read, or its quoting is broken.
    """
    lines = io.StringIO(read_text(path).rstrip("\n"))
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    try:
        return [FileLine(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not readable as CSV: {error}") from None
