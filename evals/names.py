"""Names of run directories, and the link to the newest."""

from __future__ import annotations

import datetime
import os
import secrets
from pathlib import Path


def new_name() -> str:
    """Return a name for a run directory."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    return f"{stamp}-{secrets.token_hex(2)}"


def point_latest(directory: Path) -> None:
    """Point ``latest`` at this run; a file system without links goes without."""
    link = directory.parent / "latest"
    partial = directory.parent / f".latest-{directory.name}"
    try:
        partial.symlink_to(directory.name, target_is_directory=True)
        os.replace(partial, link)  # noqa: PTH105 - a link is replaced, not followed
    except OSError:
        partial.unlink(missing_ok=True)
