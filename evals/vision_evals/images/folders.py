"""Image sets from folders of pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vision_evals.core.errors import UserError
from vision_evals.images.image_set import Image, natural

EXTENSIONS = ("jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm")


def folder(root: Path) -> tuple[Image, ...]:
    """Find the pictures of a folder in natural order.

    Pictures directly in it make an unlabelled set, pictures in its subfolders a labelled one: the
    name of the first subfolder is the label, deeper ones are only part of the id. Hidden files,
    other files and class folders without a picture are left out. Links are followed.

    Raises:
        UserError: no picture, pictures both next to and in subfolders, a folder that cannot be
            listed, or a name that is not UTF-8.
    """
    try:
        entries = _entries(root)
        flat = [Image(_id(path, root), path) for path in entries if _is_picture(path)]
        classes = [
            Image(_id(path, root), path, place.name)
            for place in entries
            if place.is_dir()
            for path in _pictures_in(place, (root,))
        ]
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be listed: {error.strerror}") from None
    if flat and classes:
        raise UserError(
            f'{root}: holds pictures ("{flat[0].id}") and class folders '
            f'("{classes[0].label}") side by side; move the pictures into class folders, '
            "or name one of the two"
        )
    images = flat or classes
    if not images:
        what = "no picture in it" if entries else "an empty folder"
        raise UserError(f"{root}: {what}; looked for {', '.join(EXTENSIONS)}")
    return tuple(sorted(images, key=lambda image: natural(image.id)))


def _pictures_in(place: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    # a link back to a folder above would never end
    if any(place.samefile(parent) for parent in above):
        return
    for entry in _entries(place):
        if entry.is_dir():
            yield from _pictures_in(entry, (*above, place))
        elif _is_picture(entry):
            yield entry


def _entries(place: Path) -> list[Path]:
    return [entry for entry in place.iterdir() if not entry.name.startswith(".")]


def _is_picture(path: Path) -> bool:
    # a broken link is a picture that cannot be read, and will be named as such
    return path.suffix.lower().removeprefix(".") in EXTENSIONS and not path.is_dir()


def _id(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{root}: file name {os.fsencode(name)!r} is not UTF-8; rename it"
        ) from None
    return name
