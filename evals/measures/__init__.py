"""Measures by name. One file a measure; none imports another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evals.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from evals.measures.measure import Measure

MEASURES = ("accuracy", "fgsm", "targeted")
"""Each is a module here, and a marker."""

MARKS = {"skip", "skipif", "xfail", "parametrize", "usefixtures", "filterwarnings"}
"""Markers that mean something else to pytest."""


def lookup(name: str, base: Path) -> Measure:
    """Return the measure called ``name``, or the ``module:object`` of a user's own.

    Args:
        name: as written in the suite.
        base: the suite's folder, on the import path while a user's module is imported.

    Raises:
        UserError: there is none of this name, or it is no measure.
    """
    from evals.imports import load
    from evals.measures.measure import Measure

    if name not in MEASURES and ":" not in name:
        raise UserError(
            f'unknown measure "{name}"{did_you_mean(name, MEASURES)}; '
            'one of your own is written "my_package.module:name"'
        )
    target = f"evals.measures.{name}:MEASURE" if name in MEASURES else name
    found = load(target, base, f'measure "{name}"', "measure")
    if not isinstance(found, Measure):
        raise UserError(f'measure "{name}" is a {type(found).__name__}, not a Measure')
    if not found.name.isidentifier() or found.name in MARKS:
        raise UserError(f'measure "{name}" calls itself "{found.name}", which is no free marker')
    return found
