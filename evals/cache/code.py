"""One hash over sources: those of this package, and those of a user's own that a network uses."""

from __future__ import annotations

import functools
import hashlib
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import evals


@functools.cache
def code_digest() -> str:
    """Return one sha256 over every source of this package: nobody bumps a version by hand."""
    return sources_digest(Path(evals.__file__).parent)


def sources_digest(package: Path) -> str:
    """Return one sha256 over names and bytes of all Python files below a folder."""
    whole = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        whole.update(f"{file.relative_to(package).as_posix()}\n".encode())
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def own_code(modules: Iterable[str]) -> str:
    """Return one sha256 over the sources of modules and of all that they use of the user's own.

    A helper in another file changes what a network computes and leaves no trace in its classes.
    Packages that are installed count by their versions, see `evals.environment`.

    Args:
        modules: names of imported ones.
    """
    files = {file for name in _reached(modules) if (file := _own(name)) is not None}
    digests = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _reached(modules: Iterable[str]) -> set[str]:
    """Return the modules of the user's own that these use, themselves included."""
    found: set[str] = set()
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name in found or _own(name) is None:
            continue
        found.add(name)
        for value in list(vars(sys.modules[name]).values()):
            inner = value.__name__ if isinstance(value, ModuleType) else _home(value)
            if inner is not None:
                todo.append(inner)
    return found


def _home(value: object) -> str | None:
    home = getattr(value, "__module__", None)
    return home if isinstance(home, str) else None


@functools.cache
def _installed() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({Path(sysconfig.get_path(name)).resolve() for name in names})


def _own(name: str) -> Path | None:
    """Return the source of a module that is neither Python's, nor installed, nor this package's."""
    if name.partition(".")[0] in {"evals", "builtins"}:
        return None
    place = getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(place, str) or not place.endswith(".py"):
        return None
    file = Path(place).resolve()
    if any(file.is_relative_to(folder) for folder in _installed()) or not file.is_file():
        return None
    return file
