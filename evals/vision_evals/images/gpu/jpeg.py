"""The header of a JPEG, read from its bytes: it decides which files a device may decode.

Stricter than any decoder: PIL decodes whatever is unusual, and its errors count.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from vision_evals.images.decode import MAX_PIXELS

_HUFFMAN = frozenset({0xC0, 0xC1, 0xC2})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TABLES = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_NEXT_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_SAMPLING = frozenset({(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (4, 2)})


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a JPEG."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    bits: int
    """Of a sample."""
    components: int
    """One is grey, three are colour, four are CMYK."""
    frame: int
    """Second byte of the frame's marker: 0xC0 baseline, 0xC1 extended, 0xC2 progressive."""
    ids: tuple[int, ...]
    """Of each component."""
    sampling: tuple[tuple[int, int], ...]
    """Of each component, horizontal and vertical."""
    jfif: bool
    """Whether there is a JFIF marker, which only grey and YCbCr may have."""
    adobe: int | None
    """Colour transform that an Adobe marker states: 0 none, 1 YCbCr, 2 YCCK."""
    orientation: int
    """Of EXIF, else of XMP as PIL does; 1 if there is none or it is damaged."""
    whole: bool
    """Whether every segment and scan is there, up to the marker that ends the picture."""


def header(data: bytes) -> Header | None:
    """Read a JPEG's header; nothing is decoded.

    Returns:
        None if this is no JPEG, or not a well-formed one up to its first scan.
    """
    try:
        return _header(data)
    except (IndexError, struct.error):  # it ends too early
        return None


def plain(header: Header) -> bool:
    """Return whether every decoder makes the same pixels of it, but for rounding.

    That is a whole one of 8 bits, grey or YCbCr beyond doubt, Huffman-coded, of usual sampling.
    """
    colour = header.ids == (1, 2, 3) or (header.jfif and header.ids == (0, 1, 2))
    if header.components == 1:
        colour = header.sampling == ((1, 1),)
    elif colour:
        luma, *chroma = header.sampling
        colour = luma in _SAMPLING and chroma == [(1, 1), (1, 1)] and header.adobe in (None, 1)
    return (
        colour
        and header.whole
        and header.bits == 8
        and header.frame in _HUFFMAN
        and 0 < header.width * header.height <= MAX_PIXELS
    )


def _header(data: bytes) -> Header | None:
    if data[:3] != b"\xff\xd8\xff":
        return None
    at, frame = 2, None
    jfif, adobe, exif, xmp = False, None, b"", b""
    while True:
        marker, body, at = _segment(data, at)
        if marker in _FRAMES:
            if frame is not None:
                return None
            frame = marker, body
        elif marker == 0xDA:
            break
        elif marker not in _TABLES:
            return None
        elif marker == 0xE0 and body[:5] == b"JFIF\0" and len(body) >= 14:
            jfif = True
        elif marker == 0xE1 and body[:6] == b"Exif\0\0":
            exif += body[6:]  # a long one is cut into several
        elif marker == 0xE1 and body.startswith(_XMP):
            xmp = body
        elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
    if frame is None:
        return None
    kind, body = frame
    bits, height, width, count = struct.unpack_from(">BHHB", body)
    if len(body) != 6 + 3 * count:
        return None
    return Header(
        width=width,
        height=height,
        bits=bits,
        components=count,
        frame=kind,
        ids=tuple(body[6::3]),
        sampling=tuple((factors >> 4, factors & 15) for factors in body[7::3]),
        jfif=jfif,
        adobe=adobe,
        orientation=_orientation(exif, xmp),
        whole=_whole(data, at),
    )


def _segment(data: bytes, at: int) -> tuple[int, bytes, int]:
    # marker, content, where the next one starts; fill bytes before a marker are allowed
    if data[at] != 0xFF:
        raise IndexError
    while data[at] == 0xFF:
        at += 1
    (length,) = struct.unpack_from(">H", data, at + 1)
    end = at + 1 + length
    if length < 2 or end > len(data):
        raise IndexError
    return data[at], data[at + 3 : end], end


def _whole(data: bytes, at: int) -> bool:
    # an end in a thumbnail or in what follows the picture does not count: every scan is read
    try:
        while (match := _NEXT_MARKER.search(data, at)) is not None:
            marker = match[1][0]
            if marker == 0xD9:
                return True
            if marker != 0xDA and marker not in _TABLES:
                return False
            _, _, at = _segment(data, match.start())
    except (IndexError, struct.error):
        pass
    return False


def _orientation(exif: bytes, xmp: bytes) -> int:
    tag = None
    if exif:
        try:
            tag = _tag(exif.removeprefix(b"Exif\0\0"))
        except (IndexError, struct.error):
            return 1
    if tag is None:
        match = _XMP_ORIENTATION.search(xmp)
        tag = int(match[1]) if match else 1
    return tag


def _tag(tiff: bytes) -> int | None:
    # tag 0x112 of the first directory of a TIFF
    if tiff[:4] not in (b"II*\0", b"II\0*", b"MM\0*", b"MM*\0"):  # PIL forgives both orders
        raise IndexError
    order = "<" if tiff[:1] == b"I" else ">"
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, many = struct.unpack_from(f"{order}HHI4x", tiff, entry)
        if tag == 0x112:
            code = {1: "B", 3: "H", 4: "I"}.get(kind)
            if code is None or many != 1:
                raise IndexError
            return int(struct.unpack_from(f"{order}{code}", tiff, entry + 8)[0])
    return None
