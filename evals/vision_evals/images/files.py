"""Files that users name: where they are, and how text in them is read."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

from vision_evals.core.errors import UserError, did_you_mean


class Line(NamedTuple):
    """One line of a file, its number counted as editors do."""

    number: int
    cells: list[str]


def resolve(given: str, base: Path, *built_in: str) -> Path:
    """Return the existing file or folder that ``given`` means.

    Args:
        given: a path; ``~`` is expanded.
        base: what relative paths start from.
        built_in: names that would not be a path, for the message.

    Raises:
        UserError: nothing is there, or it cannot be reached.
    """
    try:
        path = base / Path(given).expanduser()
        if given.strip() and path.exists():
            return path
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f'"{given}" cannot be reached: {error}') from None
    names = " or ".join(f'"{name}"' for name in built_in)
    raise UserError(
        f'"{given}" is neither the built-in {names} nor does {path} exist'
        f"{did_you_mean(path.name, [*beside, *built_in])}"
    )


def text(path: Path) -> str:
    """Read a text file.

    Raises:
        UserError: it cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def csv_lines(path: Path) -> list[Line]:
    """Read the lines of a CSV file, header included; empty ones at its end are left out.

    Raises:
        UserError: it cannot be read, or its quoting is broken.
    """
    lines = io.StringIO(text(path).rstrip("\n"))
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    try:
        return [Line(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not readable as CSV: {error}") from None
