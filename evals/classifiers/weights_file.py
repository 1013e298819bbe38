"""What a file of weights really is, told from its bytes before anything is loaded from it."""

from __future__ import annotations

import hashlib
import zipfile
from enum import Enum
from pathlib import Path

from evals.errors import UserError, did_you_mean


class Format(Enum):
    """How weights lie in a file."""

    SAFETENSORS = "safetensors"
    ZIP = "zip"
    PICKLE = "pickle"


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def examine(path: Path, sha256: str | None) -> Format:
    """Return the format of a file of weights.

    Args:
        path: the file.
        sha256: what its hash must be, or the first digits of it.

    Raises:
        UserError: no such file, another hash, or a file that holds no weights.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
        size = path.stat().st_size
        actual = sha256_of(path) if sha256 else ""
    except FileNotFoundError:
        beside = (file.name for file in path.parent.glob("*") if file.is_file())
        near = did_you_mean(path.name, beside)
        raise UserError(f"{path}: no such file{near}") from None
    except (OSError, ValueError) as error:  # a folder, no right to read, a null byte in the name
        raise UserError(f"{path}: cannot be read: {error}") from None
    if wrong := _not_weights(head):
        raise UserError(f"{path}: {wrong}")
    if sha256 and not actual.startswith(sha256):
        raise UserError(
            f"{path}: wrong file: its sha256 is {actual}, expected {sha256}"
            f"{'' if len(sha256) == 64 else '...'}; fetch it again, or correct the card"
        )
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return Format.SAFETENSORS
    if path.suffix == ".safetensors":
        raise UserError(
            f"{path}: does not begin as a safetensors file does: truncated, damaged, or written "
            "by torch.save; fetch it again, or rename it to .pt"
        )
    if head.startswith(b"PK"):
        _whole_zip(path)
        return Format.ZIP
    return Format.PICKLE


def _not_weights(head: bytes) -> str | None:
    if not head:
        return "is empty; fetch it again"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return (
            "a web page was saved instead of the weights, often a quota or login page; "
            "open the link in a browser, or fetch the weights elsewhere"
        )
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the weights themselves; run `git lfs pull` where it is from"
    return None


def _whole_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch itself never looks at the checksums
    except Exception as error:
        raise UserError(f"{path}: truncated or damaged: {error}; fetch it again") from error
    if damaged:
        raise UserError(f"{path}: damaged: the checksum of {damaged!r} is wrong; fetch it again")
