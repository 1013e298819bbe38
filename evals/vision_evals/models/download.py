"""Published weights in torch's hub cache, downloaded only on request, in one short try."""

from __future__ import annotations

import http.client
import re
import socket
import sys
from pathlib import Path
from urllib.parse import urlparse

import torch.hub

from vision_evals.core.errors import NotFetchedError, UnavailableError

TIMEOUT_SECONDS = 10.0
"""Seconds without a byte after which a download fails."""


def hub_file(url: str) -> Path:
    """Return where torch keeps the file of a URL; TORCH_HOME is honoured."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


def hash_digits(file: Path) -> str | None:
    """Return the first digits of the sha256, which names of published files contain."""
    match = re.search(r"-([0-9a-f]{8,})\.", file.name)
    return match[1] if match else None


def missing(file: Path) -> str | None:
    """Return which file is not in which folder, or None if it is there."""
    return None if file.is_file() else f"{file.name} is not in {_shown(file.parent)}"


def fetch(url: str, *, download: bool) -> Path:
    """Return the cached file of a URL; a download leaves the whole file there or none.

    Args:
        url: where the file is published.
        download: whether it may be fetched.

    Raises:
        UnavailableError: not cached, and not allowed or not possible to fetch.
    """
    file = hub_file(url)
    reason = missing(file)
    if reason is None:
        return file
    if not download:
        raise NotFetchedError(
            f"{reason}; name the classifier with --evals-model to "
            "download it, or copy the file there"
        )
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), hash_digits(file), sys.stderr.isatty())
    except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
        raise UnavailableError(
            f"{reason} and cannot be downloaded ({error}); copy the file there"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    return file


def _shown(folder: Path) -> str:
    """Write the home folder as ``~``: reports are shared, and the name of the home is private."""
    home = Path.home()
    return f"~/{folder.relative_to(home)}" if folder.is_relative_to(home) else str(folder)
