"""Rows of all parts, joined as the whole run would have written them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from vision_evals.core.errors import UserError
from vision_evals.engine.merge.read import RunPart
from vision_evals.engine.tables import Join
from vision_evals.images.image_set import Image, ImageSet, fingerprint
from vision_evals.log.rows import RowPlan, read_bounded, require
from vision_evals.measures.measure import Measure


def path_in(part: RunPart, file: str) -> Path:
    """Return the path of a file of a part.

    Raises:
        UserError: the file is missing, or outside the folder of the part.
    """
    root = part.directory.resolve()
    path = (root / file).resolve()
    if not path.is_relative_to(root):
        raise UserError(f"{part}: its log names {file}, which is not below its folder")
    if not path.is_file():
        raise UserError(f"{part}: {file} is missing; copy the whole folder of the run")
    return path


def read(part: RunPart, file: str, plan: RowPlan | None = None) -> pa.Table:
    """Return a table of a part.

    Raises:
        UserError: it is missing or damaged, or holds something else than was planned.
    """
    path = path_in(part, file)
    try:
        table = read_bounded(path) if plan is None else read_bounded(path, plan.most)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{part}: {file} cannot be read: {reason}; copy it again") from None
    if plan is not None:
        require(table, plan, f"{part}: {file}", "copy it again, or run all parts again")
    return table


def join_rows(
    files: Sequence[tuple[RunPart, str]], measure: Measure, plans: Sequence[RowPlan]
) -> pa.Table:
    """Return the rows of one measure on one classifier, in the order of the parts.

    Rows without images are reduced to one row per key, as the measure declares.

    Args:
        files: each part that has rows, and their file.
        measure: whose rows they are.
        plans: what each file must hold.

    Raises:
        UserError: a file is missing or damaged, is not as planned, or does not fit the others.
    """
    pairs = zip(files, plans, strict=True)
    try:
        table = pa.concat_tables([read(part, file, plan) for (part, file), plan in pairs])
        return Join(measure.keys, measure.reduce)(table) if measure.reduce else table
    except pa.ArrowException as error:
        parts, reason = ", ".join(str(part) for part, _ in files), str(error).partition("\n")[0]
        raise UserError(
            f"rows of {measure.name} in {parts} do not fit together: {reason}"
        ) from None


def images_of(part: RunPart, role: str) -> tuple[str, ...]:
    """Return the images of a role that a part has read.

    Raises:
        UserError: it does not list them, or lists one twice.
    """
    file = next((i.table for i in part.log.image_sets if i.role == role and i.table), None)
    if file is None:
        raise UserError(f"{part}: lists no images of {role}; run it again")
    table = read(part, file, LISTING)
    pairs = zip(table["image"].to_pylist(), table["sha256"].to_pylist(), strict=True)
    return tuple(image for image, sha256 in pairs if sha256 is not None)


LISTING = RowPlan(("image",), columns=("sha256", "label", "accepted"))
"""What a list of images must hold."""


def joined_fingerprint(parts: Sequence[RunPart], files: Sequence[str]) -> str:
    """Return the fingerprint of an image set, from the bytes that each part has read.

    Args:
        parts: all of them.
        files: of each, the table that lists the images.

    Raises:
        UserError: the parts list different images.
    """
    first: dict[str, list[Any]] = {}
    digests: dict[str, str] = {}
    for part, file in zip(parts, files, strict=True):
        table = read(part, file, LISTING).to_pandas()
        for column in ("image", "label", "accepted"):
            theirs = _plain_values(table[column])
            ours = first.setdefault(column, theirs)
            if ours != theirs:
                pairs = ((a, b) for a, b in zip(ours, theirs, strict=False) if a != b)
                pair = next(pairs, (len(ours), len(theirs)))
                raise UserError(
                    f"{parts[0]} and {part} are parts of different runs: their image sets differ "
                    f"in {column}: {pair[0]} and {pair[1]}"
                )
        readable = table[table["sha256"].notna()]
        twice = [image for image in readable["image"] if image in digests]
        if twice:
            raise UserError(f"{part}: {twice[0]} was read by another part too; merge one run's")
        digests |= dict(zip(readable["image"], readable["sha256"], strict=True))
    images = tuple(
        Image(image, Path(), label, tuple(accepted))
        for image, label, accepted in zip(*first.values(), strict=True)
    )
    return fingerprint(ImageSet("", images, (), len(images)), digests)


def _plain_values(column: pd.Series) -> list[Any]:
    return [None if v is None else v if isinstance(v, str) else tuple(v) for v in column]
