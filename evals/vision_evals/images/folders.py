"""Image sets from folders of pictures."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vision_evals.core.errors import UserError
from vision_evals.images.image_set import Image, natural
from vision_evals.images.kinds import SIGNATURES, USUAL, is_folder, why_not
from vision_evals.log import LeftOut

MAX_NAMES = 5
"""Names in the log of files that were left out for one reason."""

EMPTY = "class folders without a picture"
"""A reason to leave folders out."""

SYNSET = re.compile("n[0-9]{8}")


class Found(NamedTuple):
    """What a folder holds."""

    images: tuple[Image, ...]
    """In natural order."""
    left_out: tuple[LeftOut, ...]
    """What is no image of it, by reason."""


def folder(root: Path) -> Found:
    """Find the pictures of a folder in natural order.

    Pictures directly in it make an unlabelled set, pictures in its subfolders a labelled one: the
    name of the first subfolder is the label, deeper ones are only part of the id. What is left out
    is counted and named. Links are followed.

    Raises:
        UserError: no picture, pictures both next to and in subfolders, folders of class folders, a
            folder that cannot be listed, or a name that is not UTF-8.
    """
    search, classes = _Search(root), list[Image]()
    try:
        entries = search.entries(root)
        flat = [Image(_id(path, root), path) for path, is_dir in entries if not is_dir]
        for place in (path for path, is_dir in entries if is_dir):
            images = [Image(_id(p, root), p, place.name) for p in search.pictures(place, (root,))]
            classes += images
            if not images:
                search.leave_out(EMPTY, place)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be listed: {error.strerror}") from None
    if flat and classes:
        raise UserError(
            f'{root}: holds pictures ("{flat[0].id}") and class folders '
            f'("{classes[0].label}") side by side; move the pictures into class folders, '
            "or name one of the two"
        )
    _refuse_folders_of_classes(root, classes)
    images, left_out = flat or classes, search.left_out()
    if not images:
        what = "no picture in it" if entries or left_out else "an empty folder"
        seen = "".join(f"; left out: {group}" for group in left_out)
        raise UserError(f"{root}: {what}; looked for {', '.join(SIGNATURES)}{seen}")
    return Found(tuple(sorted(images, key=lambda image: natural(image.id))), left_out)


@dataclass
class _Search:
    """A search of a folder, and what it left out."""

    root: Path
    names: dict[str, list[str]] = field(default_factory=dict)
    """Reason to paths below the root."""

    def pictures(self, place: Path, above: tuple[Path, ...]) -> Iterator[Path]:
        # a link back to a folder above would never end
        if any(place.samefile(parent) for parent in above):
            return
        for path, is_dir in self.entries(place):
            if is_dir:
                yield from self.pictures(path, (*above, place))
            else:
                yield path

    def entries(self, place: Path) -> list[tuple[Path, bool]]:
        """Return pictures and folders, each with whether it is a folder."""
        kept = []
        with os.scandir(place) as entries:
            for entry in entries:
                path, reason = place / entry.name, why_not(entry)
                if reason is None:
                    kept.append((path, is_folder(entry)))
                else:
                    self.leave_out(reason, path)
        return kept

    def leave_out(self, reason: str, path: Path) -> None:
        name = os.fsencode(path.relative_to(self.root).as_posix())
        self.names.setdefault(reason, []).append(name.decode(errors="backslashreplace"))

    def left_out(self) -> tuple[LeftOut, ...]:
        return tuple(
            LeftOut(
                reason=reason,
                n=len(names),
                names=tuple(sorted(names, key=natural)[:MAX_NAMES]),
                usual=reason in USUAL,
            )
            for reason, names in sorted(self.names.items())
        )


def _refuse_folders_of_classes(root: Path, images: list[Image]) -> None:
    """Refuse ``severity/class/picture``: the first folder would be taken for the class.

    Folders inside class folders are fine where each class has one (``images``) or others than its
    neighbours. Where two of them come again elsewhere, or are synsets, they are the classes.
    """
    inner: dict[str, set[str]] = {}
    for image in images:
        outer, *deeper = image.id.split("/")
        inner.setdefault(outer, set()).add(deeper[0] if len(deeper) > 1 else "")
    folders = Counter(name for names in inner.values() for name in names)
    again = sum(n > 1 for n in folders.values())
    synsets = all(map(SYNSET.fullmatch, folders))
    if not inner or "" in folders or not (synsets or again > 1 or len(folders) > len(inner) == 1):
        return
    outer, names = next(iter(sorted(inner.items(), key=lambda pair: natural(pair[0]))))
    examples = " and ".join(f'"{outer}/{name}"' for name in sorted(names, key=natural)[:2])
    raise UserError(
        f'{root}: its folders hold class folders themselves ({examples}), so "{outer}" is no '
        f"label; name one of them ({root / outer}), or list the pictures with their labels in a "
        "manifest (CSV: path, label)"
    )


def _id(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{root}: file name {os.fsencode(name)!r} is not UTF-8; rename it"
        ) from None
    return name
