"""Class maps as users write them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vision_evals.core.errors import UserError
from vision_evals.core.paths import read_text
from vision_evals.images.files import FileLine, check_columns, csv_lines

COLUMNS = ("name", "synset", "index")


class Classes(NamedTuple):
    """The classes of a class map."""

    names: tuple[str, ...]
    synsets: tuple[str, ...] | None


def read_classes(path: Path) -> Classes:
    """Read a text file with one class a line, in the order of the logits, or a CSV file.

    A CSV file is the same, or starts with a header: ``name`` and, if wanted, ``synset`` and
    ``index``, which then must count from 0.

    Raises:
        UserError: it cannot be read, is empty, or has a line that is not a class.
    """
    if path.suffix.lower() == ".csv":
        lines = csv_lines(path)
    else:
        rows = read_text(path).rstrip("\n").split("\n")
        lines = [FileLine(number, [row.strip()]) for number, row in enumerate(rows, start=1)]
    header = ["name"]
    if lines and "name" in lines[0].cells:
        header, lines = lines[0].cells, lines[1:]
    check_columns(f"{path}, line 1", header, COLUMNS)
    if not lines:
        raise UserError(f"{path}: no class in it; write one a line")
    table = [_checked(path, header, line, index) for index, line in enumerate(lines)]
    synsets = tuple(row["synset"] for row in table) if "synset" in header else None
    _refuse_twice(path, lines, synsets or ())
    return Classes(tuple(row["name"] for row in table), synsets)


def _checked(path: Path, header: list[str], line: FileLine, index: int) -> dict[str, str]:
    if len(line.cells) != len(header) or not all(line.cells):
        raise UserError(
            f"{path}, line {line.number}: {line.cells} is not one class ({', '.join(header)}); "
            "every line is a class, a comma inside a name needs quotes"
        )
    row = dict(zip(header, line.cells, strict=True))
    if row.get("index", str(index)) != str(index):
        raise UserError(
            f'{path}, line {line.number}: index "{row["index"]}", expected {index}; '
            "classes come in the order of the logits"
        )
    return row


def _refuse_twice(path: Path, lines: list[FileLine], synsets: tuple[str, ...]) -> None:
    first: dict[str, int] = {}
    for line, synset in zip(lines, synsets, strict=False):
        if first.setdefault(synset, line.number) != line.number:
            raise UserError(
                f'{path}, line {line.number}: synset "{synset}" is also in line {first[synset]}'
            )
