"""Whether a file could run code when somebody reads it carelessly, without reading it so."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import _weights_only_unpickler

from vision_evals.log.record import Record
from vision_evals.models.inspection.pickles import MAX_PICKLE_BYTES, read_imports
from vision_evals.models.weights_file import Format

_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The pickle that files of ``torch.save`` begin with, after its protocol, as before version 1.6."""

_LEGACY_PICKLES = 5
"""Pickles of such a file; numbers follow them, which nobody unpickles."""

_MAX_MEMBERS = 100_000
"""Of an archive that are looked at."""


CouldRun = Literal["no", "yes", "cannot tell"]
"""``no``: nothing but tensors and plain values is built."""


class Code(Record):
    """What reading a file by plain ``pickle`` could do."""

    could_run: CouldRun
    """Whether it could run code."""
    calls: tuple[str, ...] = ()
    """What it would import beyond what torch allows for weights, sorted."""
    reasons: tuple[str, ...] = ()
    """Whatever else speaks against it, in words."""


@dataclass(slots=True)
class _FileScan:
    """What a walk through a file collected."""

    form: str | None
    names: dict[str, None] = field(default_factory=dict)
    programs: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def code_in(path: Path, form: Format) -> tuple[str | None, Code]:
    """Return what a file is, and what its pickles and programs would do; nothing is executed.

    Every pickle in an archive is looked at, whatever it is called: readers differ in which they
    take. What stands before a broken place counts, too: an unpickler runs as it reads.

    Args:
        path: the file.
        form: what its first bytes say it is.

    Returns:
        The format in words, None where the file is of none that is known here.
    """
    if form is Format.SAFETENSORS:
        return "safetensors", Code(could_run="no")
    seen = _in_archive(path) if form is Format.ZIP else _in_pickles(path)
    allowed = _weights_only_unpickler._get_allowed_globals()
    calls = sorted(name for name in seen.names if name not in allowed)
    could: CouldRun = "yes" if calls or seen.programs else "cannot tell" if seen.unread else "no"
    reasons = (*seen.programs[:1], *seen.unread)
    return seen.form, Code(could_run=could, calls=tuple(calls), reasons=reasons)


def _in_pickles(path: Path) -> _FileScan:
    with path.open("rb") as file:
        data = file.read(MAX_PICKLE_BYTES + 1)
    old = data[2 : 2 + len(_MAGIC)] == _MAGIC
    found = read_imports(data, _LEGACY_PICKLES if old else None)
    form = "pickle that torch.save wrote" if old else "pickle that torch.save did not write"
    seen = _FileScan(form if old or found.pickles else None, dict.fromkeys(found.names))
    # behind a whole pickle of another kind anything may follow, which no reader looks at
    if found.broken is not None and (old or found.pickles == 0):
        seen.unread.append(f"its pickle: {found.broken}")
    return seen


def _in_archive(path: Path) -> _FileScan:
    seen = _FileScan("zip that torch.save did not write")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MAX_MEMBERS:
                seen.unread.append(
                    f"only {_MAX_MEMBERS:,} of {len(members):,} members were looked at"
                )
            for member in members[:_MAX_MEMBERS]:
                if _is_program(member.filename):
                    seen.programs.append(f"a TorchScript program ({member.filename})")
                if member.filename.endswith("/data.pkl"):
                    seen.form = "zip of torch.save"
                for said, names in _in_member(archive, member):
                    seen.names.update(dict.fromkeys(names))
                    seen.unread += said
    except Exception as error:  # noqa: BLE001 - hostile archives raise anything
        seen.unread.append(f"the archive: {error}")
    if seen.programs:
        seen.form = "TorchScript"
    return seen


def _in_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo
) -> Iterator[tuple[list[str], tuple[str, ...]]]:
    """Yield what a member would import, where it may be a pickle, and why nobody can tell."""
    parts = member.filename.casefold().split("/")
    if not parts[-1].endswith((".pkl", ".pickle")):
        return
    try:
        with archive.open(member) as file:
            data = file.read(MAX_PICKLE_BYTES + 1)
    except Exception as error:  # noqa: BLE001 - as above
        yield [f"{member.filename}: {error}"], ()
        return
    found = read_imports(data)
    whole = found.broken is None or found.pickles > 0
    yield [] if whole else [f"{member.filename}: {found.broken}"], found.names


def _is_program(name: str) -> bool:
    parts = name.split("/")
    return "code" in parts[:-1] and parts[-1].endswith(".py")
