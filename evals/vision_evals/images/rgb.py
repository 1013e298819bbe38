"""PIL pictures of every mode to RGB in 8 bits, where PIL's own conversion would be wrong."""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image

from vision_evals.core.errors import UnreadableError

_WITH_ALPHA = {"RGBA", "RGBa", "LA", "La", "PA"}
_FOREIGN = {
    "F": "32-bit floating point has no agreed range; save it with 8 or 16 bits",
    "LAB": "CIELAB colours are not read; save it as RGB",
}


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
