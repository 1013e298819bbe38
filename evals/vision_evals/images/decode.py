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
from typing import NamedTuple

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from vision_evals.core.errors import UnreadableError, UserError
from vision_evals.images.kinds import format_of

MAX_PIXELS = 2**29 // 3
"""Pixels above which a picture is refused: half a gibibyte of RGB."""

# the plugins themselves, not Image.open: that warns by PIL's own limit, tries other formats,
# and warns about harmless multi-picture JPEGs
_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "JPEG 2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
}

_UNREAD = {
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,500}-->\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?<svg": "SVG",
    rb"....ftyp(?:hei|hev|mif1|msf1)": "HEIC",
    rb"\xff\x0a|\0\0\0\x0cJXL ": "JPEG XL",
    rb"II\xbc\x01": "JPEG XR",
    rb"8BPS": "Photoshop",
    rb"%!PS|\xc5\xd0\xd3\xc6": "PostScript",
    rb"%PDF": "PDF",
    rb"v/1\x01": "OpenEXR",
    rb"#\?RADIANCE": "Radiance HDR",
    rb"P[fF7]\s": "PFM or PAM",
    rb"qoif": "QOI",
}
"""Formats that are not read, by how a file begins."""

_IMPOSTORS = {
    rb"\s*<": "a web page, perhaps a failed download",
    rb"version https://git-lfs": "a Git LFS pointer; run git lfs pull",
    rb"": f"none of {', '.join(_READERS)}",
}
"""What else a file is that is called a picture."""

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
    kind = format_of(data)
    if kind is None:
        if unread := _first_match(_UNREAD, data):
            raise UnreadableError(f"{unread} is not read; save it as PNG or JPEG")
        raise UnreadableError(f"not a picture: {_first_match(_IMPOSTORS, data)}")
    source = _READERS[kind](BytesIO(data))
    # PIL warns a second time when it loads a TIFF above half of this
    limit = MAX_PIXELS // 2 if isinstance(source, TiffImagePlugin.TiffImageFile) else MAX_PIXELS
    if source.width * source.height > limit:
        raise UnreadableError(
            f"{source.width} x {source.height} pixels are more than {limit:,}; scale it down"
        )
    return source


def _first_match(table: Mapping[bytes, str], data: bytes) -> str | None:
    matches = (what for start, what in table.items() if re.match(start, data[:1000], re.DOTALL))
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
    tags = getattr(source, "tag_v2", {})
    if ExifTags.Base.DNGVersion in tags or tags.get(ExifTags.Base.NewSubfileType, 0) & 1:
        raise UnreadableError(
            "a small copy comes first, as in a camera's raw file; save the whole picture as PNG"
        )
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
