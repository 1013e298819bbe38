"""Image sets of artworks: pictures with a list of what they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.tables import SHA256, Table, read_toml, validate
from vision_evals.images.folders import Found, folder
from vision_evals.images.image_set import Image

LIST = "art.toml"
"""Makes a folder an art set."""


class Work(Table):
    """One ``[[work]]``."""

    file: str
    """Picture in the folder of the list."""
    title: str
    """As its museum calls it."""
    artist: str
    """Who made it."""
    year: Annotated[str, Field(coerce_numbers_to_str=True)]
    """When: ``1936`` or ``"c. 1831"``."""
    shift: Literal["style", "semantic"] | None = None
    """``style``: known objects, drawn otherwise. ``semantic``: nothing the classes name."""
    source: str | None = None
    """Where the picture comes from."""
    sha256: Annotated[str, Field(pattern=SHA256)] | None = None
    """Of the file: another picture under its name is refused."""
    label: str | None = None
    """What is in it, where there is a right answer; all works have one or none."""


class ArtTable(Table):
    """The list, its works still unread."""

    work: tuple[dict[str, Any], ...] = ()
    """``[[work]]`` tables."""


def art(root: Path) -> Found:
    """Read the works of a folder, in the order of its ``art.toml``.

    Raises:
        UserError: one line for each mistake: an entry without a file, a file without an entry, a
            file twice, another file than the one listed, a key that is unknown or missing.
    """
    path = root / LIST
    table = validate(ArtTable, read_toml(path), str(path))
    works = [
        validate(Work, data, f'{path}, work {number} "{data.get("file", "?")}"')
        for number, data in enumerate(table.work, 1)
    ]
    found = folder(root)
    files = {image.id: image.path for image in found.images}
    mistakes = [*_mistakes(path, works, files)]
    hashed = (work for work in works if work.sha256 is not None)
    mistakes = mistakes or [line for work in hashed for line in _other_file(path, work, files)]
    if mistakes:
        raise UserError(*mistakes)
    images = (Image(work.file, files[work.file], work.label, (), _about(work)) for work in works)
    return found._replace(images=tuple(images))


def _mistakes(path: Path, works: list[Work], files: dict[str, Path]) -> Iterator[str]:
    """Yield what is wrong with the list as a whole."""
    listed = [work.file for work in works]
    unlisted = [file for file in files if file not in listed]
    for file in listed:
        if file not in files:
            yield (
                f'{path}: file = "{file}" is not there{did_you_mean(file, unlisted)}; '
                f"put the picture next to {LIST}, or remove its entry"
            )
    for file in dict.fromkeys(listed):
        if listed.count(file) > 1:
            yield f'{path}: file = "{file}" is listed {listed.count(file)} times; keep one entry'
    for file in unlisted:
        yield (
            f'{path}: says nothing of "{file}"; add an entry to {LIST}: '
            f'[[work]] file = "{file}", title = ..., artist = ..., year = ..., a line each'
        )
    without = [work.file for work in works if work.label is None]
    if 0 < len(without) < len(works):
        yield f'{path}: "{without[0]}" has no label and others do; label all works or none'


def _other_file(path: Path, work: Work, files: dict[str, Path]) -> Iterator[str]:
    """Yield why a file is not the listed one, if that is so."""
    try:
        digest = hashlib.sha256(files[work.file].read_bytes()).hexdigest()
    except OSError as error:
        yield f"{files[work.file]}: cannot be read: {error.strerror}"
        return
    if digest != work.sha256:
        yield (
            f'{path}, "{work.file}": sha256 = "{work.sha256}", and the file has {digest}; '
            "put the listed picture back, or write its own sha256 down"
        )


def _about(work: Work) -> tuple[tuple[str, str], ...]:
    facts = work.model_dump(include={"title", "artist", "year", "shift", "source"})
    return tuple((key, value) for key, value in facts.items() if value is not None)
