"""Whether a file could run code when plain ``pickle`` reads it. Nothing in it is executed."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import _weights_only_unpickler

from vision_evals.log.record import Record
from vision_evals.models.inspection.pickles import (
    MAX_PICKLE_BYTES,
    PickleImports,
    read_imports,
)
from vision_evals.models.weights_file import Format, examine, shards

_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first pickle, after its protocol, in files of ``torch.save`` before version 1.6."""

_LEGACY_PICKLES = 5
"""Number of pickles in such a file; the numbers after them are not unpickled."""

_BEGINNING = 40
"""Letters that are shown of a text."""

_MAX_MEMBERS = 100_000
"""How many members of an archive are read."""


CouldRun = Literal["no", "yes", "cannot tell"]
"""``no``: only tensors and plain values are built; ``cannot tell``: not everything was read."""


class Code(Record):
    """What reading a file by plain ``pickle`` could do."""

    could_run: CouldRun
    """Whether it could run code."""
    calls: tuple[str, ...] = ()
    """What it would import beyond what torch allows for weights, sorted."""
    reasons: tuple[str, ...] = ()
    """Other reasons against it, in words."""
    whole: bool = True
    """Whether everything was read, and asks for no more memory than the file has bytes."""


@dataclass(slots=True)
class _FileScan:
    """What is collected from one file."""

    form: str | None
    size: int
    names: dict[str, None] = field(default_factory=dict)
    programs: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def add(self, label: str, data: bytes, *, legacy: bool = False) -> PickleImports:
        """Add what pickles would import, and why they cannot be read to their end."""
        imports = read_imports(data, _LEGACY_PICKLES if legacy else None, self.size)
        self.names.update(dict.fromkeys(imports.names))
        if imports.broken is not None:  # in a tar of before ustar, pickles follow the first one
            self.unread.append(f"{label}: {imports.broken}")
        return imports


def code_in(path: Path, form: Format) -> tuple[str | None, Code]:
    """Return the format of a file, and what its pickles and programs would do.

    Every pickle in an archive is read, because readers differ in which one they take. The part
    before a broken place counts too: an unpickler runs code while it reads.

    Args:
        path: the file.
        form: according to its first bytes.

    Returns:
        The format in words, None for an unknown one.
    """
    if form is Format.SAFETENSORS:
        return "safetensors", Code(could_run="no")
    if form is Format.INDEX:
        forms = {file: examine(file, None, part=True) for file in shards(path)}
        return form.value, _of_all([code_in(file, kind)[1] for file, kind in forms.items()])
    scan = _in_archive(path) if form is Format.ZIP else _in_pickles(path)
    allowed = _weights_only_unpickler._get_allowed_globals()
    calls = sorted(name for name in scan.names if name not in allowed)
    could: CouldRun = "yes" if calls or scan.programs else "cannot tell" if scan.unread else "no"
    reasons = (*scan.programs[:1], *scan.unread)
    whole = not scan.unread
    return scan.form, Code(could_run=could, calls=tuple(calls), reasons=reasons, whole=whole)


def _of_all(codes: list[Code]) -> Code:
    """Return the worst of several files, with what all of them would call."""
    could = max((code.could_run for code in codes), key=("no", "cannot tell", "yes").index)
    calls = sorted({call for code in codes for call in code.calls})
    reasons = tuple(reason for code in codes for reason in code.reasons)
    whole = all(code.whole for code in codes)
    return Code(could_run=could, calls=tuple(calls), reasons=reasons, whole=whole)


def _in_pickles(path: Path) -> _FileScan:
    with path.open("rb") as file:
        data = file.read(MAX_PICKLE_BYTES + 1)
    legacy = data[2 : 2 + len(_MAGIC)] == _MAGIC
    form = f"pickle that torch.save {'wrote' if legacy else 'did not write'}"
    scan = _FileScan(form, path.stat().st_size)
    imports = scan.add("its pickle", data, legacy=legacy)
    if not (legacy or imports.pickles):
        scan.form = None
        beginning = data[:_BEGINNING].decode("latin-1")
        if re.fullmatch(r"[ -~]*[A-Za-z]{2}[ -~]*", beginning):
            scan.unread.append(f"a text that begins with {beginning!r}")
    return scan


def _in_archive(path: Path) -> _FileScan:
    scan = _FileScan("zip that torch.save did not write", path.stat().st_size)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MAX_MEMBERS:
                scan.unread.append(
                    f"only {_MAX_MEMBERS:,} of {len(members):,} members were looked at"
                )
            for member in members[:_MAX_MEMBERS]:
                *folders, name = member.filename.split("/")
                if "code" in folders and name.endswith(".py"):
                    scan.programs.append(f"a TorchScript program ({member.filename})")
                if member.filename.endswith("/data.pkl"):
                    scan.form = "zip of torch.save"
                if member.filename.casefold().endswith((".pkl", ".pickle")):
                    _add_member(scan, archive, member)
    except Exception as error:  # noqa: BLE001 - hostile archives raise anything
        scan.unread.append(f"the archive: {error}")
    if scan.programs:
        scan.form = "TorchScript"
    return scan


def _add_member(scan: _FileScan, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    try:
        with archive.open(member) as file:
            data = file.read(MAX_PICKLE_BYTES + 1)
    except Exception as error:  # noqa: BLE001 - as above
        scan.unread.append(f"{member.filename}: {error}")
    else:
        scan.add(member.filename, data)
