"""Data folders, run directories, and files that are read and written safely."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from vision_evals.core.errors import UserError, cut

REPORT = "report.html"
"""Of a run, in its directory."""

LATEST = "latest"
"""Link to the newest run, beside the runs."""


def new_name() -> str:
    """Return a name for a run directory."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    return f"{stamp}-{secrets.token_hex(2)}"


def run_name(text: str) -> str:
    """Return a name that a user gives to a run.

    Raises:
        ValueError: it could be more than the name of one folder, or `latest` itself.
    """
    if not re.fullmatch("[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", text) or text == LATEST:
        raise ValueError(
            "must be a name of at most 100 letters, digits, '.', '_' and '-', which begins with "
            f"none of the last two and is not {LATEST}"
        )
    return text


def named_directory(parent: Path, name: str) -> Path:
    """Return where a run of this name will be.

    Raises:
        UserError: there is one, and a second one must not pass for it.
    """
    if (parent / name).exists():
        raise UserError(f"--evals-run-id {name}: {parent} has a run of this name; name another")
    return parent / name


def new_directory(parent: Path, directory: Path | None = None) -> Path:
    """Make the directory of a run, below ``parent`` unless it is given.

    Raises:
        UserError: nothing can be written there.
    """
    directory = directory or parent / new_name()
    try:
        (directory / "tables").mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"--evals-run-dir {parent}: cannot be written ({error.strerror}); name another folder"
        ) from None
    return directory


def point_latest(directory: Path) -> None:
    """Point ``latest`` at this run; a file system without links goes without."""
    link = directory.parent / LATEST
    partial = directory.parent / f".latest-{directory.name}"
    try:
        partial.symlink_to(directory.name, target_is_directory=True)
        os.replace(partial, link)  # noqa: PTH105 - a link is replaced, not followed
    except OSError:
        partial.unlink(missing_ok=True)


_PACKAGE = Path(__file__).resolve().parents[1]


def data_folder(name: str) -> Path:
    """Return the folder ``suites``, ``reports``, ``fixtures`` or ``starter``.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    checkout = _PACKAGE.parents[1]
    parents = [_PACKAGE / "data"]  # in a wheel; in a checkout at its top
    if _PACKAGE.parent.name == "evals" and (checkout / "pyproject.toml").is_file():
        parents.append(checkout)
    for parent in parents:
        if (parent / name).is_dir():
            return parent / name
    raise FileNotFoundError(
        f"{name}/ is missing next to and inside {_PACKAGE}; reinstall vision-evals"
    )


def user_cache() -> Path:
    """Return the folder of builds of this user: they are code, so a project must not bring them.

    Raises:
        RuntimeError: the home folder of this user is unknown, or relative to the current folder.
    """
    place = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not place.is_absolute():  # a relative one is void, says its specification
        place = Path.home() / ".cache"
    if not place.is_absolute():
        raise RuntimeError(f"{place} is relative")
    return place / "vision-evals"


def user_path(text: str, base: Path) -> Path:
    """Return the path that a user wrote, from a folder that it may be relative to.

    Args:
        text: as written; ``~`` is expanded.
        base: the folder.

    Raises:
        UserError: no file could have this path, or nobody may look there.
    """
    path = Path(text)
    try:
        path = base / path.expanduser()
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, RuntimeError, ValueError) as error:  # ~nosuch; a null byte
        reason = getattr(error, "strerror", None) or error
        raise UserError(f'"{cut(text, 100)}" cannot be reached: {reason}') from None
    return path


def read_text(path: Path, most: int | None = None) -> str:
    """Read a text file that a user wrote.

    Args:
        path: of the file.
        most: bytes above which it is refused.

    Raises:
        UserError: it cannot be read, is too large or is not UTF-8.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe waits for a writer
            raise UserError(f"{path}: cannot be read: it is no file")
        if most is not None and path.stat().st_size > most:
            raise UserError(f"{path}: more than {most:,} bytes; split it")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Yield another name to write to, which becomes ``file`` at the end of the block.

    A reader sees the old file or the new one, also of two writers at once. Where the block fails,
    as on a full disk, nothing is left behind and the old file stands.

    Raises:
        OSError: the folder cannot be made or written.
    """
    partial = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(file)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
