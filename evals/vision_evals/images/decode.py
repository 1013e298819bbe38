"""Picture files to RGB, as the published accuracies were measured: by PIL, orientation ignored.

Where PIL alone would be silently wrong (deep greyscale, transparency) the picture is brought to
8 bits on white here; where no meaning is agreed it is refused. Safe in threads: nothing global is
changed, in PIL or in `warnings`.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from vision_evals.core.errors import UnreadableError, UserError

T = TypeVar("T")

MAX_PIXELS = 2**29 // 3
"""Pixels above which a picture is refused: half a gibibyte of RGB."""

# the plugins themselves, not Image.open: that warns by PIL's own limit, tries other formats,
# and warns about harmless multi-picture JPEGs
_READERS: dict[bytes, type[ImageFile.ImageFile]] = {
    rb"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    rb"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    rb"RIFF....WEBP": WebPImagePlugin.WebPImageFile,
    rb"BM": BmpImagePlugin.BmpImageFile,
    rb"GIF8[79]a": GifImagePlugin.GifImageFile,
    rb"II[*+]\0|MM\0[*+]": TiffImagePlugin.TiffImageFile,
    rb"P[1-6]\s": PpmImagePlugin.PpmImageFile,
}

_IMPOSTORS = {
    rb"\s*<": "a web page, perhaps a failed download",
    rb"version https://git-lfs": "a Git LFS pointer; run git lfs pull",
    rb"": "none of JPEG, PNG, WebP, BMP, GIF, TIFF, PPM",
}

_WITH_ALPHA = {"RGBA", "RGBa", "LA", "La", "PA"}
_FOREIGN = {
    "F": "32-bit floating point has no agreed range; save it with 8 or 16 bits",
    "LAB": "CIELAB colours are not read; save it as RGB",
}


class Decoded(NamedTuple):
    """One picture, and facts about its file."""

    picture: Image.Image
    """Mode RGB, the first frame, as stored (EXIF orientation not applied)."""
    sha256: str
    """Of the file's bytes."""
    oriented: bool
    """Whether an EXIF orientation other than 1 was ignored."""


def read(path: Path) -> Decoded:
    """Load and decode a picture file. See :func:`load` and :func:`decode`."""
    return decode(path, load(path))


def load(path: Path) -> bytes:
    """Return the bytes of a picture file.

    Raises:
        UnreadableError: it is no file, or the system does not give it.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableError(f"{path.name}: not a file")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{path.name}: cannot be read: {error.strerror}") from None


def decode(path: Path, data: bytes) -> Decoded:
    """Decode the bytes of a picture file, whatever its extension says.

    Transparency is composited on white; 16-bit greyscale is value / 257, rounded; 16-bit colour
    keeps its high byte, as PIL does.

    Raises:
        UnreadableError: no picture, a damaged or too large one, or one without agreed meaning.
        UserError: PIL was told to fill up truncated pictures.
    """
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise UserError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set, so damaged pictures would count as "
            "whole; unset it after the import that sets it"
        )
    try:
        source = _open(data)
        source.load()
        picture = to_rgb(source, data)
    except UnreadableError as error:
        raise UnreadableError(f"{path.name}: {error}") from None
    except MemoryError:
        raise UnreadableError(f"{path.name}: cannot be read: out of memory") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableError(f"{path.name}: too many pixels: {error}") from None
    except Exception as error:  # noqa: BLE001 - damaged bytes make PIL raise nearly anything
        reason = str(error) or type(error).__name__
        raise UnreadableError(f"{path.name}: cannot be decoded: {reason}") from None
    return Decoded(picture, hashlib.sha256(data).hexdigest(), _oriented(source))


def _open(data: bytes) -> ImageFile.ImageFile:
    if not data:
        raise UnreadableError("an empty file")
    reader = _first_match(_READERS, data)
    if reader is None:
        raise UnreadableError(f"not a picture: {_first_match(_IMPOSTORS, data)}")
    source = reader(BytesIO(data))
    # PIL warns a second time when it loads a TIFF above half of this
    limit = MAX_PIXELS // 2 if isinstance(source, TiffImagePlugin.TiffImageFile) else MAX_PIXELS
    if source.width * source.height > limit:
        raise UnreadableError(
            f"{source.width} x {source.height} pixels are more than {limit:,}; scale it down"
        )
    return source


def _first_match(table: Mapping[bytes, T], data: bytes) -> T | None:
    matches = (value for start, value in table.items() if re.match(start, data, re.DOTALL))
    return next(matches, None)


def _oriented(source: Image.Image) -> bool:
    # after loading: PIL turns a TIFF and forgets its tag, so nothing was ignored there
    try:
        return bool(source.getexif().get(ExifTags.Base.Orientation, 1) != 1)
    except Exception:  # noqa: BLE001 - damaged metadata do not make a picture unreadable
        return False


def to_rgb(source: Image.Image, data: bytes) -> Image.Image:
    """Return a loaded picture as RGB.

    Args:
        source: what PIL made of the file.
        data: the file's bytes, for facts that PIL does not keep.

    Raises:
        UnreadableError: its values have no agreed meaning as colours.
    """
    if source.mode in _FOREIGN:
        raise UnreadableError(_FOREIGN[source.mode])
    key = source.info.get("transparency")
    if source.mode.startswith("I"):
        return _deep_grey(source, key)
    if source.mode in _WITH_ALPHA or key is not None:
        if source.format == "PNG" and source.mode != "P" and key is not None:
            source.info["transparency"] = _eight_bits(key, depth=data[24])
        return _on_white(source.convert("RGBA"))
    return source.convert("RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _eight_bits(key: int | tuple[int, ...], depth: int) -> int | tuple[int, ...]:
    """Bring a PNG's transparent colour to the 8 bits of the pixels, which PIL has scaled alone."""
    if isinstance(key, tuple):
        return tuple([level >> (depth - 8) for level in key])
    # recent versions of PIL have scaled the key of a 1-bit picture too
    return min(255, key * 255 // int(2**depth - 1))


def _deep_grey(source: Image.Image, key: int | None) -> Image.Image:
    tags = getattr(source, "tag_v2", {})
    if source.mode == "I" and tags:
        raise UnreadableError("signed or 32-bit integers have no agreed range; save 16 bits")
    # a scanner's 12 bits arrive in 16
    depth = tags.get(ExifTags.Base.BitsPerSample, (16,))[0]
    levels = np.asarray(source).astype(np.uint32)
    if key is not None:
        levels[levels == key] = 2**depth - 1
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:
        levels = 2**depth - 1 - levels
    scaled = (levels * 255 + (2**depth - 1) // 2) // (2**depth - 1)
    return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
