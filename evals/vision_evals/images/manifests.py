"""Image sets from CSV and Parquet manifests."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vision_evals.core.errors import UserError
from vision_evals.images.files import check_columns, csv_lines
from vision_evals.images.image_set import Image
from vision_evals.log.rows import read_bounded

COLUMNS = ("path", "label", "id", "accepted")

UNNAMED = ("", "Unnamed: 0", "__index_level_0__")
"""What pandas calls the column of its index."""


def manifest(path: Path) -> tuple[Image, ...]:
    """Read the images of a manifest in its order.

    Columns: ``path`` (relative to the manifest), and if wanted ``label``, ``id`` (else the path as
    written) and ``accepted``: further right labels, separated by ``|`` or ``;``, synsets and
    numbers also by spaces, in Parquet also a list. Everything is text, so ``001`` stays ``001``. An
    index that pandas wrote is left out.

    Raises:
        UserError: it cannot be read, is empty, lacks ``path``, has another column, a file that is
            missing, an id twice, or labels for some images only.
    """
    read = _parquet if path.suffix.lower() == ".parquet" else _csv
    rows = [(where, _image(path, where, cells)) for where, cells in read(path)]
    if not rows:
        raise UserError(f"{path}: lists no image")
    _refuse_twice(path, rows)
    _refuse_half_labelled(path, rows)
    return tuple(image for _, image in rows)


def _csv(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    lines = csv_lines(path, COLUMNS)
    header = [cell.strip() for cell in lines[0].cells] if lines else []
    while header and not header[-1]:  # a separator ends the line
        header.pop()
    if header[:1] and header[0] in UNNAMED:
        index = [cells[0] for _, cells in lines[1:] if any(cells)]
        if not all(map(str.isdecimal, index)) or len({*index}) < len(index):
            raise UserError(f"{path}: column 1 has no name, and is no index; name it")
        header[0] = UNNAMED[-1]
    _refuse_columns(path, header)
    for number, row in lines[1:]:
        cells = row if any(row[len(header) :]) else row[: len(header)]
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise UserError(
                f"{path}, line {number}: {len(cells)} values for the {len(header)} columns "
                f"{', '.join(header)}; quote a value that holds a separator"
            )
        yield f"line {number}", dict(zip(header, cells, strict=True))


MAX_VALUES = 5_000_000
"""Numbers and texts in a manifest: each image takes about half a kB of memory."""


def _parquet(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    # pyarrow is slow to import, and most sets do not need it
    import pyarrow as pa

    try:
        table = read_bounded(path, MAX_VALUES)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{path}: not readable as Parquet: {error}") from None
    _refuse_columns(path, table.column_names)
    for number, cells in enumerate(table.to_pylist(), start=1):
        yield f"row {number}", cells


def _refuse_columns(path: Path, header: Sequence[str]) -> None:
    check_columns(str(path), [name for name in header if name not in UNNAMED[1:]], COLUMNS)
    if "path" not in header:
        raise UserError(
            f'{path}: no column "path"; the first line names the columns: {", ".join(COLUMNS)}'
        )


def _image(manifest: Path, where: str, cells: Mapping[str, object]) -> Image:
    path, label, name = (
        _text(manifest, where, key, cells.get(key)) for key in ("path", "label", "id")
    )
    if not path:
        raise UserError(
            f'{manifest}, {where}, column "path": empty; name a picture or remove the line'
        )
    choices = [path, path.replace("\\", "/")]  # as Windows writes it
    # os.path accepts names that are too long
    found = next((p for p in choices if os.path.isfile(manifest.parent / p)), None)  # noqa: PTH113
    if found is None:
        raise UserError(
            f'{manifest}, {where}, column "path": no file "{path}"; paths are relative to '
            f"{manifest.parent}"
        )
    accepted = cells.get("accepted")
    tokens = accepted if isinstance(accepted, list) else _labels(str(accepted or ""))
    further = (_text(manifest, where, "accepted", token).strip() for token in tokens)
    return Image(
        name or found,
        manifest.parent / found,
        label or None,
        tuple(filter(None, further)),
        where=where,
    )


def _labels(cell: str) -> list[str]:
    """Return the labels of a cell; a space separates synsets and numbers, not words of a name."""
    if "|" in cell or ";" in cell:
        return re.split("[|;]", cell)
    # pandas writes a list as ['n02108422', 'n02108551']
    tokens = re.findall(r"[^\s,'\"\[\]]+", cell)
    return tokens if all(re.fullmatch("n[0-9]{8}|[0-9]+", token) for token in tokens) else [cell]


def _text(manifest: Path, where: str, key: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    # a float label was usually an integer in a column with missing values
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise UserError(f'{manifest}, {where}, column "{key}": {value!r}; write it as text')


def _refuse_twice(path: Path, rows: list[tuple[str, Image]]) -> None:
    firsts: dict[str, str] = {}
    for where, image in rows:
        if (first := firsts.setdefault(image.id, where)) != where:
            raise UserError(
                f'{path}: {first} and {where} both have the id "{image.id}"; '
                'give each its own in a column "id"'
            )


def _refuse_half_labelled(path: Path, rows: list[tuple[str, Image]]) -> None:
    labelled = [(where, image.label) for where, image in rows if image.label]
    unlabelled = [where for where, image in rows if not image.label]
    if labelled and unlabelled:
        where, label = labelled[0]
        raise UserError(
            f'{path}: {where} has the label "{label}" and {unlabelled[0]} '
            "has none; label all images or none"
        )
    if unlabelled and any(image.accepted for _, image in rows):
        raise UserError(f'{path}: has "accepted" labels but no "label"; add the column')
