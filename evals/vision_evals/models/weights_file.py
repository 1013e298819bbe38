"""The format of a file of weights, from its bytes, before anything is loaded."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import tarfile
import zipfile
from collections import Counter
from enum import Enum
from pathlib import Path

from vision_evals.core.errors import UserError, did_you_mean

REPAIR = "save model.state_dict() instead, best as safetensors"

_OTHER_FORMATS = (
    (0, b"\x89HDF\r\n", "an HDF5 file, as Keras writes it"),
    (0, b"GGUF", "a GGUF file"),
    (0, b"ggml", "a GGML file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x1f\x8b", "compressed with gzip"),
    (0, b"BZh", "compressed with bzip2"),
    (0, b"\xfd7zXZ", "compressed with xz"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (0, b"\x04\x22\x4d\x18", "compressed with lz4"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x89PNG", "a picture"),
    (0, b"\xff\xd8\xff", "a picture"),
    (0, b"\x7fELF", "a program"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"PAR1", "a Parquet table"),
    (4, b"TFL3", "a TensorFlow Lite model"),
)
"""Other formats that occur instead of weights: offset of the mark, the mark, the format."""

_BY_SUFFIX = {
    ".onnx": "an ONNX model",
    ".pb": "a TensorFlow model",
    ".msgpack": "a msgpack file, as Flax writes it",
    ".distcp": "one file of several of torch.distributed.checkpoint",
}
"""Formats without a mark."""

_ONNX = re.compile(rb"\x08[\x03-\x14]\x12")

_IN_ZIP = {
    "archive_format": "a torch.export program",
    ".npy": "a NumPy .npz archive",
    "model.weights.h5": "a Keras archive",
    ".pt": "a zip archive that holds {}",
    ".pth": "a zip archive that holds {}",
    ".ckpt": "a zip archive that holds {}",
    ".safetensors": "a zip archive that holds {}",
}
"""Archives that torch.save did not write: the end of a member's name, the format."""

MAX_INDEX_BYTES = 64 << 20
"""How large the index of a sharded checkpoint may be."""


class Format(Enum):
    """Format of a file of weights."""

    SAFETENSORS = "safetensors"
    INDEX = "index of several files"
    ZIP = "zip"
    PICKLE = "pickle"


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def examine(path: Path, sha256: str | None, *, part: bool = False) -> Format:
    """Return the format of a file of weights.

    Args:
        path: the file.
        sha256: what its hash must be, or the first digits of it.
        part: whether an index names it, so that it can be no index.

    Raises:
        UserError: no such file, another hash, or a file that holds no weights.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # reading a pipe waits, reading a device does not end
            raise UserError(f"{path}: {_no_file(path, mode)}")
        with path.open("rb") as file:
            head = file.read(512)
        size = path.stat().st_size
        actual = sha256_of(path) if sha256 else ""
    except FileNotFoundError:
        neighbours = (file.name for file in path.parent.glob("*") if file.is_file())
        near = did_you_mean(path.name, neighbours)
        raise UserError(f"{path}: no such file{near}") from None
    except (OSError, ValueError) as error:  # no right to read, a file as folder, a null byte
        raise UserError(f"{path}: cannot be read: {error}") from None
    if wrong := _not_weights(path, head):
        raise UserError(f"{path}: {wrong}")
    if sha256 and not actual.startswith(sha256):
        raise UserError(
            f"{path}: wrong file: its sha256 is {actual}, expected {sha256}"
            f"{'' if len(sha256) == 64 else '...'}; fetch it again, or correct the card"
        )
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return Format.SAFETENSORS
    if head.lstrip().startswith(b"{"):
        if part:
            raise UserError(f"{path}: an index among the files of an index; fetch the weights")
        shards(path)
        if sha256:
            raise UserError(f"{path}: the sha256 of an index is not that of weights; leave it out")
        return Format.INDEX
    if path.suffix == ".safetensors":
        raise UserError(
            f"{path}: does not begin as a safetensors file does: truncated, damaged, or written "
            "by torch.save; fetch it again, or rename it to .pt"
        )
    if head.startswith(b"PK"):
        _whole_zip(path, size)
        return Format.ZIP
    return Format.PICKLE


def _no_file(path: Path, mode: int) -> str:
    if not stat.S_ISDIR(mode):
        return "is not a regular file but a pipe, a socket or a device; name a file of weights"
    files = sorted(file.name for file in path.iterdir() if file.is_file())[:3]
    if ".metadata" in files:
        return (
            "is a folder of torch.distributed.checkpoint; make one file of it with python -m "
            "torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE.pt"
        )
    such = f", such as {path / files[0]}" if files else ""
    return f"is a folder; name the file of weights in it{such}"


def shards(index: Path) -> dict[Path, list[str]]:
    """Return the files that the index of a sharded checkpoint names, with the names in each.

    Raises:
        UserError: it is no such index, or names a file in another folder.
    """
    try:
        if index.stat().st_size > MAX_INDEX_BYTES:
            raise ValueError(f"more than {MAX_INDEX_BYTES:,} bytes")  # noqa: TRY301
        places = json.loads(index.read_bytes())["weight_map"]
        files: dict[Path, list[str]] = {}
        for name, file in places.items():
            if file != Path(file).name or file == index.name:
                raise UserError(f"{index}: names {file!r}, which is no file beside it")
            files.setdefault(index.parent / file, []).append(name)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise UserError(
            f"{index}: a JSON text without a weight_map, so no index of a sharded checkpoint; "
            "fetch it again, or name the file of weights"
        ) from None
    if not files:
        raise UserError(f"{index}: its weight_map is empty; fetch it again")
    return files


def _not_weights(path: Path, head: bytes) -> str | None:
    if not head:
        return "is empty; fetch it again"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return (
            "a web page was saved instead of the weights, often a quota or login page; "
            "open the link in a browser, or fetch the weights elsewhere"
        )
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the weights themselves; run `git lfs pull` where it is from"
    if head[8:9] == b"{":  # the length and the text of a safetensors header can look like any mark
        return None
    found = (what for start, mark, what in _OTHER_FORMATS if head[start:].startswith(mark))
    what = "a tar archive" if _is_tar(head) else next(found, _BY_SUFFIX.get(path.suffix.lower()))
    what = _BY_SUFFIX[".onnx"] if _ONNX.match(head) else what
    if what is None:
        return None
    return f"{what}, not weights that torch.save or safetensors wrote; {_repair(what)}"


def _repair(what: str) -> str:
    packed = re.search("compressed|7z|RAR|tar |that holds", what)
    return "unpack it first" if packed else REPAIR


def _is_tar(head: bytes) -> bool:
    """Return whether a file begins as a tar does; one of before ustar shows it by a checksum."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return head[257:].startswith(b"ustar")
    return True


def _whole_zip(path: Path, size: int) -> None:
    """Refuse a zip that is damaged, or that would unpack to more than it holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            wrong = _not_by_torch(members, size)
            damaged = None if wrong else archive.testzip()  # torch looks at no checksum
    except Exception as error:
        raise UserError(f"{path}: truncated or damaged: {error}; fetch it again") from error
    if wrong:
        raise UserError(f"{path}: {wrong}")
    if damaged:
        raise UserError(f"{path}: damaged: the checksum of {damaged!r} is wrong; fetch it again")


def _not_by_torch(members: list[zipfile.ZipInfo], size: int) -> str | None:
    if not any(member.filename.endswith("/data.pkl") for member in members):
        for end, what in _IN_ZIP.items():
            for member in members:
                if member.filename.endswith(end):
                    called = what.format(repr(member.filename))
                    return f"{called}, not weights that torch.save wrote; {_repair(called)}"
    if sum(member.file_size for member in members) > size:  # torch.save compresses nothing
        return "would unpack to more than it holds, which torch.save never writes; not opened"
    # torch looks members up without regard to case, and other readers may take another of two
    names = Counter(member.filename.casefold() for member in members)
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        return f"holds two members called {twice!r}, of which readers take one or the other"
    return None
