"""Image sets from CSV and Parquet manifests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from vision_evals.core.errors import UserError
from vision_evals.images.files import check_columns, csv_lines
from vision_evals.images.image_set import Image

COLUMNS = ("path", "label", "id", "accepted")


def manifest(path: Path) -> tuple[Image, ...]:
    """Read the images of a manifest in its order.

    Columns: ``path`` (relative to the manifest), and if wanted ``label``, ``id`` (else the path as
    written) and ``accepted``: further right labels, separated by ``|``, in Parquet also a list.
    Everything is text, so ``001`` stays ``001``.

    Raises:
        UserError: it cannot be read, is empty, lacks ``path``, has another column, a file that is
            missing, an id twice, or labels for some images only.
    """
    read = _csv if path.suffix.lower() == ".csv" else _parquet
    rows = [(where, _image(path, where, cells)) for where, cells in read(path)]
    if not rows:
        raise UserError(f"{path}: lists no image")
    _refuse_twice(path, rows)
    _refuse_half_labelled(path, rows)
    return tuple(image for _, image in rows)


def _csv(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    lines = csv_lines(path)
    header = lines[0].cells if lines else []
    _refuse_columns(path, header)
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            raise UserError(
                f"{path}, line {number}: {len(cells)} values for the {len(header)} columns "
                f"{', '.join(header)}; quote a value that holds a comma"
            )
        yield f"line {number}", dict(zip(header, cells, strict=True))


def _parquet(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    # pyarrow is slow to import, and most sets do not need it
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not readable as Parquet: {error}") from None
    _refuse_columns(path, table.column_names)
    for number, cells in enumerate(table.to_pylist(), start=1):
        yield f"row {number}", cells


def _refuse_columns(path: Path, header: list[str]) -> None:
    check_columns(str(path), header, COLUMNS)
    if "path" not in header:
        raise UserError(
            f'{path}: no column "path"; the first line names the columns: {", ".join(COLUMNS)}'
        )


def _image(manifest: Path, where: str, cells: Mapping[str, object]) -> Image:
    path, label, name = (
        _text(manifest, where, key, cells.get(key)) for key in ("path", "label", "id")
    )
    if not path:
        raise UserError(f'{manifest}, {where}: empty "path"; name a picture or remove the line')
    # os.path accepts names that are too long
    if not os.path.isfile(manifest.parent / path):  # noqa: PTH113
        raise UserError(
            f'{manifest}, {where}: no file "{path}"; paths are relative to {manifest.parent}'
        )
    accepted = cells.get("accepted")
    tokens = accepted if isinstance(accepted, list) else str(accepted or "").split("|")
    further = (_text(manifest, where, "accepted", token).strip() for token in tokens)
    return Image(name or path, manifest.parent / path, label or None, tuple(filter(None, further)))


def _text(manifest: Path, where: str, key: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    # a float label was usually an integer in a column with missing values
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise UserError(f'{manifest}, {where}: "{key}" is {value!r}; write it as text')


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
