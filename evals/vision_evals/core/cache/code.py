"""Hashes over sources: those of this package, and those of the user that a network uses."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import vision_evals
from vision_evals.core.cache.describe import describe

OURS = {"vision_evals", "builtins", "torch", "torchvision", "numpy", "pandas", "scipy"}
"""Packages whose digest or version is in every key."""

_descriptions: dict[tuple[str, bool], tuple[object, str]] = {}
"""Name to its module and its description at first sight: later edits of the file are not what is
running. The module itself is kept, since an address may be used twice."""


@functools.cache
def code_digest() -> str:
    """Return one sha256 over every source of this package, so that no version is set by hand."""
    return sources_digest(Path(vision_evals.__file__).parent)


def sources_digest(package: Path) -> str:
    """Return one sha256 over names and bytes of all Python files below a folder."""
    whole = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        whole.update(f"{file.relative_to(package).as_posix()}\n".encode())
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def own_code(modules: Iterable[str]) -> str:
    """Return one sha256 over modules and all that they import, of the user's own.

    Sources count, and the values in the modules: a constant, a table read from a file or from the
    environment. Of installed packages the version counts. A module counts as it was at first sight.

    Args:
        modules: names of imported ones.

    Raises:
        UnknownValueError: something in one of them hides what it is.
    """
    lines = sorted(
        {_description(name, start=True) for name in set(modules)} | _imported_by(set(modules))
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _imported_by(modules: set[str]) -> set[str]:
    """Return the descriptions of everything that modules import, directly or not."""
    descriptions: set[str] = set()
    visited: set[str] = set()
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name in visited:
            continue
        visited.add(name)
        descriptions.add(_description(name))
        if (file := _own(name)) is not None and file.suffix == ".py":
            todo += _imports(name, file)
    return descriptions


def _description(name: str, *, start: bool = False) -> str:
    """Return the description of a module, as it was at first sight."""
    module, key = sys.modules.get(name), (name, start)
    if key not in _descriptions or _descriptions[key][0] is not module:
        _descriptions[key] = module, _describe_module(name, start=start)
    return _descriptions[key][1]


def _describe_module(name: str, *, start: bool) -> str:
    top = name.partition(".")[0]
    if top in OURS or top in sys.stdlib_module_names:
        return ""
    if (file := _own(name)) is not None:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return f"{name} {digest} {_constants(name)}"
    place = getattr(sys.modules.get(name), "__file__", None)
    digest = hashlib.sha256(Path(place).read_bytes()).hexdigest() if start and place else ""
    return f"{top} {_version(top)} {digest}"


def _constants(name: str) -> str:
    """Return the values in a module, without its imports and definitions."""
    module = sys.modules.get(name)
    if module is None:
        return "not imported"
    values = {
        key: enclosed(value) if isinstance(value, types.FunctionType) else value
        for key, value in list(vars(module).items())
        if not key.startswith("__") and not isinstance(value, type(sys) | type)
    }
    return describe({key: value for key, value in values.items() if value is not None})


def enclosed(function: types.FunctionType) -> list[object] | None:
    """Return what a function has besides its source: what it closes over, its defaults.

    None where that is nothing.
    """
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    held = [cell for name, cell in cells.items() if name != "__class__"]
    values: list[object] = [*held, function.__defaults__, function.__kwdefaults__]
    return values if any(value is not None for value in values) else None


def unwrapped(part: Any) -> Any:
    """Return the function within partials and wrappers."""
    for _ in range(8):
        inner = getattr(part, "func", None) or getattr(part, "__wrapped__", None)
        if inner is None:
            break
        part = inner
    return part


def is_own(name: str) -> bool:
    """Whether a module is the user's own: no package's, or one that no file shows."""
    top = name.partition(".")[0]
    known = top in OURS or top in sys.stdlib_module_names or bool(_version(top))
    return _own(name) is not None or not known


def _imports(name: str, file: Path) -> Iterator[str]:
    """Yield the names of modules that a source imports, also inside functions."""
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:
        return
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield base
            names = (f"{base}.{alias.name}" for alias in node.names)
            yield from (name for name in names if name in sys.modules)


@functools.cache
def _installed() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({Path(sysconfig.get_path(name)).resolve() for name in names})


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def _version(top: str) -> str:
    """Return the versions of the distributions that a package comes from."""
    names = sorted(set(_distributions().get(top, [])))
    return " ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def _own(name: str) -> Path | None:
    """Return the file of a module that is neither Python's, nor installed, nor this package's."""
    if name.partition(".")[0] in OURS:
        return None
    place = getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(place, str):
        return None
    file = Path(place).resolve()
    if any(file.is_relative_to(folder) for folder in _installed()) or not file.is_file():
        return None
    return file
