"""What an entry of a folder is: an image of the set, a folder of images, or why neither."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

SIGNATURES: Mapping[str, bytes] = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WebP": rb"RIFF....WEBP",
    "BMP": rb"BM",
    "GIF": rb"GIF8[79]a",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "PPM": rb"P[1-6]\s",
    "AVIF": rb"....ftyp(?:avif|avis)",
    "JPEG 2000": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
}
"""How files begin that are read, by format."""

EXTENSIONS = (
    *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "bmp", "gif", "tif", "tiff"),
    *("ppm", "pgm", "pbm", "pnm", "avif", "jp2", "j2k", "j2c", "jpc", "jpf", "jpx"),
)
"""Of pictures in formats that are read."""

OTHER_PICTURES = (
    "heic", "heif", "hif", "jxl", "jxr", "wdp", "hdp", "psd", "psb", "svg", "svgz", "eps", "ai",
    "xcf", "exr", "hdr", "pfm", "pam", "tga", "pcx", "dds", "ico", "icns", "cur", "sgi", "ras",
    "qoi", "xbm", "xpm", "wmf", "emf", "fits", "dcm", "raw", "cr2", "cr3", "crw", "nef", "nrw",
    "arw", "srf", "sr2", "srw", "dng", "orf", "rw2", "raf", "pef", "x3f", "3fr", "iiq", "dcr",
    "kdc", "mrw", "erf", "mef", "mos",
)  # fmt: skip
"""Extensions of pictures in formats that are not read: they belong to the set, as unreadable."""

NOT_DATA = (
    "@eadir", "@__thumb", "@recycle", "@recently-snapshot", "@tmp", "@sharebin", "#recycle",
    "#snapshot", "$recycle.bin", "recycler", "system volume information", "__macosx", "lost+found",
    "network trash folder", "temporary items", "__pycache__", "cvs",
)  # fmt: skip
"""Folders that storage boxes, systems and archivers make: thumbnails, bins, metadata."""

COPIES = ("~", ".bak", ".orig", ".old", ".tmp", ".part", ".partial", ".crdownload", ".thm", ".lnk")
"""Ends of the names of copies, thumbnails, half downloads and shortcuts."""

COMPANIONS = (
    "txt", "md", "rst", "csv", "tsv", "json", "jsonl", "toml", "yaml", "yml", "xml", "html", "htm",
    "ini", "cfg", "db", "parquet", "py", "sh", "log", "sha256", "md5", "lock",
)  # fmt: skip
"""Extensions of files that lie beside pictures by intention."""

ARCHIVES = ("zip", "tar", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar")

HIDDEN, COMPANION = "hidden", "texts, tables and settings"
ARCHIVE = "archives, which are not unpacked"
USUAL = (HIDDEN, COMPANION)
"""Reasons that need no word on a screen."""


def why_not(entry: os.DirEntry[str]) -> str | None:
    """Return why an entry is neither an image nor a folder of images; None where it is one."""
    if entry.name.startswith("."):
        return HIDDEN
    if is_folder(entry):
        return "folders that are never data" if entry.name.casefold() in NOT_DATA else None
    return why_no_picture(entry.path)


def why_no_picture(path: str) -> str | None:
    """Return why a file is no picture; None where it is one, readable or not.

    The name decides where it says what a file is, else the first bytes. A broken link with a
    picture's name is a picture that cannot be read, and will be named as such.
    """
    name = os.path.basename(path).casefold()  # noqa: PTH119 - of thousands of entries
    if name.endswith(COPIES):
        return "copies, thumbnails and unfinished downloads"
    extension = name.rpartition(".")[2] if "." in name else ""
    if extension in EXTENSIONS or extension in OTHER_PICTURES:
        return None
    if extension in COMPANIONS:
        return COMPANION
    if extension in ARCHIVES:
        return ARCHIVE
    return None if _starts_as_picture(path) else "files of other types"


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder; a link round in circles is none."""
    return Path(entry).is_dir() if entry.is_symlink() else entry.is_dir()


def _starts_as_picture(path: str) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - see above
            # two letters begin a BMP or PPM, and many texts
            return format_of(file.read(32)) not in {None, "BMP", "PPM"}
    except OSError:
        return False


def format_of(data: bytes) -> str | None:
    """Return the format of a picture that begins with these bytes; None where none is read."""
    matches = (name for name, start in SIGNATURES.items() if re.match(start, data, re.DOTALL))
    return next(matches, None)
