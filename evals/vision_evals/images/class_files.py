"""Class names in the order of the logits, from a file of one of the usual forms."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from vision_evals.core.errors import UserError
from vision_evals.images.files import FileLine, check_columns, csv_lines, read_any_text

COLUMNS = ("name", "synset", "index")
"""Of a table of classes."""

LINES = (
    (("index", "synset", "name"), r"(\d+)[\s:,=]+(n\d{8})[\s:,=]+(.+)"),
    (("synset", "name"), r"(n\d{8})[\s:,=]+(.+)"),
    (("index", "name"), r"(\d+)\s*[:=]\s*(.+)"),
    (("index", "name"), r"(\d+)[\s,]+(.+)"),
    (("name",), r"-\s+(.+)"),
)
"""Lines that hold more than a name, and their columns: a form counts where every line has it."""

ONE_A_LINE = "write one class a line, in the order of the logits"


def read_classes(path: Path) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Read the names and synsets of classes, in the order of the logits.

    A text file has one class a line, perhaps after its synset or its number from 0 (``0: tench``,
    ``n01440764 tench``), or as a list of YAML. A CSV file is the same, or starts with a header:
    ``name`` and, if wanted, ``synset`` and ``index``. JSON is a list of names, or an object from
    number to name, from number to synset and name, or from name to number.

    Raises:
        UserError: it cannot be read, is empty, or has a line that is not a class.
    """
    header, lines = _table(path)
    check_columns(f"{path}, line 1", header, COLUMNS)
    if not lines:
        raise UserError(f"{path}: no class in it; write one a line")
    table = [_checked(path, header, line, index) for index, line in enumerate(lines)]
    synsets = tuple(row["synset"] for row in table) if "synset" in header else None
    _refuse_twice(path, lines, synsets or ())
    return tuple(row["name"] for row in table), synsets


def _table(path: Path) -> tuple[Sequence[str], list[FileLine]]:
    """Return columns and rows of a file of classes."""
    extension = path.suffix.lower()
    if extension in {".csv", ".tsv"}:
        lines = csv_lines(path, COLUMNS)
        if lines and "name" in lines[0].cells:
            return lines[0].cells, lines[1:]
        if any(len(line.cells) != 1 for line in lines):
            return _columns(path, [FileLine(n, [",".join(cells)]) for n, cells in lines], lines)
        return _columns(path, lines, lines)
    text = read_any_text(path)
    if extension == ".json" or text.lstrip()[:1] in {"[", "{"}:
        try:
            return _from_json(path, json.loads(text))
        except (ValueError, RecursionError) as error:
            if extension == ".json":
                raise UserError(f"{path}: not readable as JSON: {error}") from None
    rows = enumerate(text.rstrip("\n").split("\n"), start=1)
    lines = [FileLine(number, [row.strip()]) for number, row in rows]
    if extension in {".yaml", ".yml"}:
        return _from_yaml(path, lines)
    return _columns(path, [FileLine(n, [_bare(cells[0])]) for n, cells in lines], lines)


def _columns(
    path: Path, lines: list[FileLine], plain: list[FileLine]
) -> tuple[Sequence[str], list[FileLine]]:
    """Return columns and rows of lines that all have one form; each is a plain name otherwise.

    Raises:
        UserError: the form leaves the order of the classes open.
    """
    for header, form in LINES if lines else ():
        matches = [re.fullmatch(form, line.cells[0]) for line in lines]
        found = [m and [*map(_bare, m.groups())] for m in matches]
        rows = [FileLine(n, cells) for (n, _), cells in zip(lines, found, strict=True) if cells]
        if len(rows) < len(lines):
            if ":" in form and found[0] and found[0][0] == "0":
                number, (text,) = lines[found.index(None)]
                raise UserError(
                    f'{path}, line {number}: "{text}" has no number, and line {lines[0].number} '
                    "has; number every class from 0, or none"
                )
            continue
        if "synset" in header and all(re.match(r"\d+\s", row.cells[-1]) for row in rows):
            raise UserError(
                f"{path}: has a number between synset and name, so the order of the lines may not "
                f"be that of the logits; {ONE_A_LINE}"
            )
        # "3 musketeers" is a name; 0, 1, 2 before every one are numbers
        counted = [row.cells[0] for row in rows] == [*map(str, range(len(rows)))]
        if counted or ":" in form or "index" not in header:
            return header, rows
    return ("name",), plain


def _bare(text: str) -> str:
    """Return a name without what JSON, YAML and Python write around it."""
    text = text.strip().strip("{}").strip().removesuffix(",")
    quoted = re.fullmatch(r"(['\"])(.*)\1", text)
    return quoted[2] if quoted else text


def _from_yaml(path: Path, lines: list[FileLine]) -> tuple[Sequence[str], list[FileLine]]:
    """Return columns and rows of a list or mapping, perhaps under ``names:``; no other YAML."""
    kept = [
        line for line in lines if line.cells[0] and not re.match("#|---|names:$", line.cells[0])
    ]
    header, rows = _columns(path, kept, kept)
    if header == ("name",) and rows is kept:
        line = next((n for n, cells in kept if not re.match(r"-\s", cells[0])), 1)
        raise UserError(
            f'{path}, line {line}: of YAML only a list ("- tench") or numbers from 0 '
            f'("0: tench") are read; {ONE_A_LINE}'
        )
    return header, rows


def _from_json(path: Path, data: object) -> tuple[Sequence[str], list[FileLine]]:
    """Return columns and rows of JSON; an object counts from 0, whatever the order of its keys."""
    if isinstance(data, dict):
        data = next((data[key] for key in ("id2label", "names", "classes") if key in data), data)
    if isinstance(data, dict) and all(type(index) is int for index in data.values()):
        named = {str(index): name for name, index in data.items()}
        if len(named) < len(data):
            raise UserError(f"{path}: two classes have one number; count from 0")
        data = named
    if isinstance(data, dict):
        missing = next((i for i in range(len(data)) if str(i) not in data), None)
        if missing is not None:
            raise UserError(
                f"{path}: no class has the number {missing}; count from 0 without a gap"
            )
        data = [data[str(i)] for i in range(len(data))]
    rows = (
        [[row] if isinstance(row, str) else row for row in data] if isinstance(data, list) else []
    )
    widths = {len(row) if isinstance(row, list) else 0 for row in rows}
    text = all(isinstance(cell, str) for row in rows if isinstance(row, list) for cell in row)
    if widths not in ({1}, {2}) or not text:
        raise UserError(
            f"{path}: neither a JSON list of names nor an object from number to name; {ONE_A_LINE}"
        )
    header = ("name",) if widths == {1} else ("synset", "name")
    return header, [FileLine(n, row) for n, row in enumerate(rows, start=1)]


def _checked(path: Path, header: Sequence[str], line: FileLine, index: int) -> dict[str, str]:
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
