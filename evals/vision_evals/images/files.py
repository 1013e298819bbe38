"""Files that users name: where they are, and how text in them is read."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.paths import read_text, user_path


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
    path = user_path(source, base)
    try:
        if source.strip() and path.exists():
            return path
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    except OSError as error:
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


def read_any_text(path: Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 where it begins with that mark, as Excel writes.

    Raises:
        UserError: it cannot be read, or is in another encoding.
    """
    try:
        with path.open("rb") as file:
            wide = file.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
        text = path.read_text(encoding="utf-16") if wide else read_text(path)
    except UnicodeError as error:
        raise UserError(f"{path}: not UTF-16 ({error}); save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if "\0" in text:
        raise UserError(f"{path}: holds zero bytes; save it as UTF-8")
    return text


def csv_lines(path: Path, columns: Sequence[str]) -> list[FileLine]:
    """Read the lines of a CSV file, header included; empty ones at its end are left out.

    Args:
        path: of the file.
        columns: that its header may name. A header says which of ``,``, ``;`` and tab separates;
            so does Excel's first line ``sep=;``.

    Raises:
        UserError: it cannot be read, or its quoting is broken.
    """
    text, skipped = read_any_text(path), 0
    if text.startswith("sep=") and text[5:6] in {"\n", ""}:
        text, skipped, separator = text[6:], 1, text[4]
    else:
        separator = _separator(text.partition("\n")[0], columns)
    reader = csv.reader(
        io.StringIO(text), strict=True, skipinitialspace=separator != "\t", delimiter=separator
    )
    try:
        lines = [FileLine(reader.line_num + skipped, cells) for cells in reader]
    except csv.Error as error:
        where = f"{path}, line {reader.line_num + skipped}"
        raise UserError(f"{where}: not readable as CSV: {error}") from None
    while lines and not any(cell.strip() for cell in lines[-1].cells):
        lines.pop()
    return lines


def _separator(header: str, columns: Sequence[str]) -> str:
    """Return what separates the columns of a header; a comma where none of them is named."""
    try:
        separator = csv.Sniffer().sniff(header, delimiters=",;\t").delimiter
    except csv.Error:
        return ","
    cells = {cell.strip(' "') for cell in header.split(separator)}
    return separator if cells & {*columns} else ","
