"""How large a WebP picture is, from its first bytes."""

from __future__ import annotations

START = 20
"""Where the first chunk's data begin: behind ``RIFF``, size, ``WEBP``, its name and its size."""


def extent(content: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels; None where these bytes are no WebP picture.

    The three kinds of first chunk are those of RFC 9649, sections 2.5 to 2.7.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) < START + 10:
        return None
    kind, data = content[12:16], content[START : START + 10]
    if kind == b"VP8 " and data[3:6] == b"\x9d\x01\x2a":
        return _bits(data[6:8]), _bits(data[8:10])
    if kind == b"VP8L" and data[0] == 0x2F:
        both = int.from_bytes(data[1:5], "little")
        return (both & 0x3FFF) + 1, (both >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(data[4:7], "little") + 1, int.from_bytes(data[7:10], "little") + 1
    return None


def _bits(two: bytes) -> int:
    """Return the lower 14 of 16 bits; the others say how a player should scale."""
    return int.from_bytes(two, "little") & 0x3FFF
