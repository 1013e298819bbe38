"""Runs within a test: pytest called by pytest, on a small project."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vision_evals import log


def warm(
    folder: Path, furnish: Callable[[Path], None], modules: Sequence[str], *arguments: str
) -> pytest.ExitCode | int:
    """Run once before any inner run: those forget every module that they import themselves.

    Args:
        folder: an empty one.
        furnish: writes the project.
        modules: of the project; a test imports its own copy.
        arguments: of pytest.
    """
    furnish(folder)
    with contextlib.chdir(folder):
        code = pytest.main([*arguments, "-q", "-p", "no:cacheprovider", f"--rootdir={folder}"])
    for name in modules:
        sys.modules.pop(name)
    importlib.import_module("pandas.core.arrays.arrow.extension_types")  # refuses a second time
    return code


def last_run(project: pytest.Pytester) -> log.Run:
    """Return the log of the newest run."""
    return log.read(project.path / "runs" / "latest")
