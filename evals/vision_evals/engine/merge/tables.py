"""Rows of all parts, joined as the whole run would have written them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vision_evals.core.errors import UserError
from vision_evals.engine.merge.read import Part
from vision_evals.engine.tables import Join
from vision_evals.images.image_set import Image, ImageSet, fingerprint
from vision_evals.measures.measure import Measure


def below(part: Part, file: str) -> Path:
    """Return where a file of a part is.

    Raises:
        UserError: there is none, or the log names a place outside its folder.
    """
    root = part.directory.resolve()
    path = (root / file).resolve()
    if not path.is_relative_to(root):
        raise UserError(f"{part}: its log names {file}, which is not below its folder")
    if not path.is_file():
        raise UserError(f"{part}: {file} is missing; copy the whole folder of the run")
    return path


def read(part: Part, file: str) -> pa.Table:
    """Return a table of a part; UserError where it is missing or damaged."""
    path = below(part, file)
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{part}: {file} cannot be read: {reason}; copy it again") from None


def joined(found: Sequence[tuple[Part, str]], measure: Measure) -> pa.Table | None:
    """Return the rows of one question to one classifier, in the order of the parts.

    Rows that name no images become one a key, as the measure declares.

    Args:
        found: each part that has rows of it, and the file they are in.
        measure: what was asked.

    Raises:
        UserError: a file is missing or damaged, or does not fit the others.
    """
    if not found:
        return None
    try:
        table = pa.concat_tables([read(part, file) for part, file in found])
        if measure.reduce:
            table = Join(measure.keys, measure.reduce)(table)
    except pa.ArrowException as error:
        parts, reason = ", ".join(str(part) for part, _ in found), str(error).partition("\n")[0]
        raise UserError(
            f"rows of {measure.name} in {parts} do not fit together: {reason}"
        ) from None
    if "image" in measure.keys and "image" in table.column_names:
        _hold_apart(measure, found)
    return table


def _hold_apart(measure: Measure, found: Sequence[tuple[Part, str]]) -> None:
    """Refuse rows of one image in two parts: it would count twice."""
    seen: dict[str, Part] = {}
    for part, file in found:
        for image in dict.fromkeys(read(part, file).column("image").to_pylist()):
            if image in seen:
                raise UserError(
                    f"{measure.name}: {image} was looked at by {seen[image]} and by {part}; merge "
                    "parts of one run"
                )
            seen[image] = part


def whole(parts: Sequence[Part], files: Sequence[str]) -> str:
    """Return the fingerprint of an image set, from the bytes that each part has read.

    Args:
        parts: all of them.
        files: table of each that lists the images.

    Raises:
        UserError: the parts list other images.
    """
    tables = [read(part, file).to_pandas() for part, file in zip(parts, files, strict=True)]
    first, digests = tables[0], dict[str, str]()
    for part, table in zip(parts, tables, strict=True):
        for column in ("image", "label", "accepted"):
            ours, theirs = _plain(first[column]), _plain(table[column])
            if ours != theirs:
                unequal = ((a, b) for a, b in zip(ours, theirs, strict=False) if a != b)
                differs = next(unequal, (len(ours), len(theirs)))
                raise UserError(
                    f"{parts[0]} and {part} are parts of different runs: their image sets differ "
                    f"in {column}: {differs[0]} and {differs[1]}"
                )
        known = table[table["sha256"].notna()]
        digests |= dict(zip(known["image"], known["sha256"], strict=True))
    images = tuple(
        Image(image, Path(), label, tuple(accepted))
        for image, label, accepted in zip(
            *(_plain(first[column]) for column in ("image", "label", "accepted")), strict=True
        )
    )
    return fingerprint(ImageSet("", images, (), len(images)), digests)


def _plain(column: pd.Series) -> list[object]:
    return [None if v is None else v if isinstance(v, str) else tuple(v) for v in column]
