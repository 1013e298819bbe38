"""Where the data folders are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Return the folder ``suites``, ``reports``, ``fixtures`` or ``starter``.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for parent in (_PACKAGE / "data", _PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    raise FileNotFoundError(
        f"{name}/ is missing beside and inside {_PACKAGE}; reinstall vision-evals"
    )
