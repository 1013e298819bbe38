"""Runs within a test: pytest called by pytest, on a small project."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from vision_evals import log


class Done(NamedTuple):
    """What a run left beside its files."""

    code: int
    out: str
    err: str


@contextlib.contextmanager
def forgotten(folder: Path) -> Iterator[None]:
    """Forget the modules of a project at the end: another test has its own of the same names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        yield
    for name, module in [*sys.modules.items()]:
        file = getattr(module, "__file__", None)
        if file is not None and Path(file).is_relative_to(folder):
            del sys.modules[name]


def run(folder: Path, *arguments: str) -> Done:
    """Run pytest in a project, in this process: a new one takes seconds to import torch.

    Args:
        folder: of the project.
        arguments: of pytest.
    """
    out, err = io.StringIO(), io.StringIO()
    given = [*arguments, "-p", "no:cacheprovider", f"--rootdir={folder}"]
    heard = (contextlib.redirect_stdout(out), contextlib.redirect_stderr(err))
    with contextlib.chdir(folder), forgotten(folder), heard[0], heard[1]:
        code = pytest.main(given)
    return Done(int(code), out.getvalue(), err.getvalue())


def warm(folder: Path, furnish: Callable[[Path], None], *arguments: str) -> int:
    """Run once before any run of ``pytester``: those forget every module that they import.

    Args:
        folder: an empty one.
        furnish: writes the project.
        arguments: of pytest.
    """
    furnish(folder)
    return run(folder, *arguments, "-q").code


def last_run(project: pytest.Pytester) -> log.Run:
    """Return the log of the newest run."""
    return log.read(project.path / "runs" / "latest")
