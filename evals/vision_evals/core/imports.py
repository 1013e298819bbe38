"""Import of ``module:attribute``, from the folder of the file that names it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path

from vision_evals.core.errors import ExitError, UserError, contained, did_you_mean, words

FORMER = "evals"
"""Import name of the package in its first versions."""


def load(target: str, base: Path, where: str, kind: str = "function") -> object:
    """Return what ``module:attribute`` names.

    Args:
        target: as written by the user.
        base: folder that goes first on the import path, only while importing.
        where: begins every message.
        kind: what the attribute should be, for messages: function, measure.

    Raises:
        UserError: it cannot be imported, or another module of its name already is.
    """
    module, _, attribute = target.partition(":")
    if not attribute or not all(module.split(".")):
        raise UserError(f'{where}: "{target}" is not of the form module:{kind}')
    with importable(base):
        _refuse_namesakes(module, base, where)
        try:
            with contained():
                loaded = importlib.import_module(module)
        except Exception as error:
            missing = isinstance(error, ModuleNotFoundError) and error.name in _chain(module)
            repair = f"; {base} holds no such module and none is installed" if missing else ""
            repair += renamed(error)
            if isinstance(error, ExitError):
                repair += '; put what a script does below if __name__ == "__main__":'
            raise UserError(f"{where}: cannot import {module}: {words(error)}{repair}") from error
        try:
            with contained():
                return getattr(loaded, attribute)
        except AttributeError:
            near = did_you_mean(attribute, (name for name in vars(loaded) if name[0] != "_"))
            file = getattr(loaded, "__file__", None) or module
            raise UserError(f'{where}: {file} has no {kind} "{attribute}"{near}') from None
        except Exception as error:  # a module may compute its attributes
            raise UserError(f"{where}: cannot import {target}: {words(error)}") from error


def renamed(error: Exception) -> str:
    """Return what to write instead, where this package was imported by its former name.

    Args:
        error: of an import. A project may have a package of that name itself, so that this is no
            more than a hint.
    """
    if not isinstance(error, ImportError) or (error.name or "").partition(".")[0] != FORMER:
        return ""
    return (
        f'; if "{FORMER}" means vision-evals: it is imported as vision_evals now, and all that a '
        "measure needs from there: from vision_evals import Measure, MetricSpec, fraction"
    )


@contextmanager
def importable(base: Path) -> Iterator[None]:
    """Put a folder first on the import path, and the path back as it was."""
    before = list(sys.path)
    sys.path.insert(0, str(base.resolve()))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _refuse_namesakes(module: str, base: Path, where: str) -> None:
    """Python imports one module a name: a second of that name would silently be the first."""
    folders: Sequence[str] | None = None  # the import path
    for name in _chain(module):
        imported = _file(getattr(sys.modules.get(name), "__spec__", None))
        spec = _spec(name, folders)
        named = _file(spec)
        if imported and spec is None and folders is None:
            raise UserError(
                f"{where}: {base} holds no module {name} and none is installed; "
                f"{imported}, which is already imported, is another"
            )
        if imported and named and named.resolve() != imported.resolve():
            raise UserError(
                f"{where}: {named} and {imported} have one name, and the second is "
                "already imported; rename the first"
            )
        if spec is None or spec.submodule_search_locations is None:
            return
        folders = list(spec.submodule_search_locations)


def _spec(name: str, folders: Sequence[str] | None) -> ModuleSpec | None:
    # importlib.util.find_spec would answer with what is already imported
    specs = (finder.find_spec(name, folders) for finder in sys.meta_path)
    return next((spec for spec in specs if spec is not None), None)


def _file(spec: ModuleSpec | None) -> Path | None:
    return Path(spec.origin) if spec and spec.has_location and spec.origin else None


def _chain(module: str) -> list[str]:
    """``a.b.c`` to a, a.b, a.b.c."""
    parts = module.split(".")
    return [".".join(parts[: n + 1]) for n in range(len(parts))]
