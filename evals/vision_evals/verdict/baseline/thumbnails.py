"""Small pictures of the images that flipped, read from their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from vision_evals import log
from vision_evals.core.errors import UnreadableError, UserError
from vision_evals.core.paths import whole_file
from vision_evals.images.decode import read

THUMBNAIL_SIDE = 160
"""Pixels of the longer side: about 5 kB a picture."""

WEBP_QUALITY = 70
"""Of WebP."""


def with_thumbnails(item: log.Item, paths: Mapping[str, Path], directory: Path) -> log.Item:
    """Give each flip that is shown its thumbnail, written below ``directory/pictures``."""
    compared = item.comparison
    if compared is None or compared.flips is None:
        return item
    drawn = compared.model_copy(update={"flips": thumbnails(compared.flips, paths, directory)})
    return item.model_copy(update={"comparison": drawn})


def thumbnails(flips: log.Flips, paths: Mapping[str, Path], directory: Path) -> log.Flips:
    """Return flips that name a thumbnail each, written below ``directory/pictures``.

    A picture whose file is missing has none: the numbers do not depend on it.

    Args:
        flips: of one check.
        paths: image id to its file.
        directory: of the run that shows them.
    """
    drawn = {
        direction: tuple(
            flip.model_copy(update={"file": _thumbnail(paths.get(flip.image), directory)})
            for flip in shown
        )
        for direction, shown in (("lost", flips.lost), ("won", flips.won))
    }
    return flips.model_copy(update=drawn)


def _thumbnail(path: Path | None, directory: Path) -> str | None:
    """Write a thumbnail once; its name is a hash of the file, because checks may share it."""
    if path is None:
        return None
    try:
        decoded = read(path)
    except (UnreadableError, UserError):
        return None
    name = f"pictures/flip-{decoded.sha256[:16]}.webp"
    file = directory / name
    if not file.is_file():
        picture = decoded.picture
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
        with whole_file(file) as partial:
            picture.save(partial, "WEBP", quality=WEBP_QUALITY)
    return name
