"""Picture files to RGB, as the published accuracies were measured: by PIL, orientation ignored.

Where PIL alone would be silently wrong (deep greyscale, transparency) the picture is brought to
8 bits on white here; where no meaning is agreed it is refused. Safe in threads: nothing global is
changed, in PIL or in `warnings`.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

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

MAX_BYTES = 1_000_000_000
"""Memory above which a picture is refused, and which all that are decoded at once may take."""

STRIP_PIXELS = 2**18
"""Pixels that are converted at once."""

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

_DECODERS_OWN = {"WebP": 13, "AVIF": 12}
"""Bytes a pixel that decoders hold beside PIL's picture, as measured; others go row by row."""

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
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(f"{path.name}: not a file")
        if status.st_size > MAX_BYTES:
            raise UnreadableError(f"{path.name}: more than {MAX_BYTES:,} bytes; scale it down")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{path.name}: cannot be read: {error.strerror}") from None


def decode(path: Path, data: bytes, reserve: Callable[[int], None] = lambda _: None) -> Decoded:
    """Decode the bytes of a picture file, whatever its extension says.

    Args:
        path: of the file.
        data: its bytes.
        reserve: waits until so many bytes of memory may be taken.

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
        reserve(_fitting(source, data))
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


def _fitting(source: ImageFile.ImageFile, data: bytes) -> int:
    """Return the bytes that decoding takes at most: file, PIL's picture, RGB, the decoder's own.

    Raises:
        UnreadableError: they are too many.
    """
    stored = 1 if source.mode in {"1", "L", "P"} else 2 if source.mode.startswith("I;16") else 4
    kind = format_of(data) or ""
    own = _DECODERS_OWN.get(kind, 0)
    if kind == "JPEG 2000" or (kind == "JPEG" and "progressive" in source.info):
        own = len(source.getbands()) * (6 if kind == "JPEG 2000" else 2)
    as_it_is = source.mode == "RGB" and "transparency" not in source.info
    each = stored + (0 if as_it_is else 4) + own
    needed = each * source.width * source.height + len(data)
    if needed > MAX_BYTES:
        raise UnreadableError(
            f"{source.width} x {source.height} pixels take {needed / 1e9:.1f} GB to decode, more "
            f"than {MAX_BYTES / 1e9:.1f} GB; scale it down"
        )
    return needed


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
        return _in_strips(source, lambda strip: _deep_grey(strip, key, tags))
    if source.mode in _WITH_ALPHA or key is not None:
        if source.format == "PNG" and source.mode != "P" and key is not None:
            source.info["transparency"] = _eight_bits(key, depth=data[24])
        return _in_strips(source, _on_white)
    return (
        source if source.mode == "RGB" else _in_strips(source, lambda strip: strip.convert("RGB"))
    )


def _in_strips(source: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Convert a picture by rows, so that copies on the way are small."""
    width, height = source.size
    picture = Image.new("RGB", source.size)
    rows = max(1, STRIP_PIXELS // max(1, width))
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        picture.paste(convert(source.crop(box)), box)
    return picture


def _on_white(source: Image.Image) -> Image.Image:
    picture = source.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _eight_bits(key: int | tuple[int, ...], depth: int) -> int | tuple[int, ...]:
    """Bring a PNG's transparent colour to the 8 bits of the pixels, which PIL has scaled alone."""
    if isinstance(key, tuple):
        return tuple([level >> (depth - 8) for level in key])
    # recent versions of PIL have scaled the key of a 1-bit picture too
    return min(255, key * 255 // int(2**depth - 1))


def _deep_grey(source: Image.Image, key: int | None, tags: Mapping[int, Any]) -> Image.Image:
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
