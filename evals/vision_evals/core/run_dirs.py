"""Run directories and their names, and the link to the newest."""

from __future__ import annotations

import datetime
import os
import secrets
from pathlib import Path

from vision_evals.core.errors import UserError

REPORT = "report.html"
"""Of a run, in its directory."""


def new_name() -> str:
    """Return a name for a run directory."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    return f"{stamp}-{secrets.token_hex(2)}"


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
    link = directory.parent / "latest"
    partial = directory.parent / f".latest-{directory.name}"
    try:
        partial.symlink_to(directory.name, target_is_directory=True)
        os.replace(partial, link)  # noqa: PTH105 - a link is replaced, not followed
    except OSError:
        partial.unlink(missing_ok=True)
