"""Measures by name. One file a measure; none imports another."""

from __future__ import annotations

import contextlib
import importlib
import keyword
from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from vision_evals.measures.measure import Measure

MEASURES = (
    "accuracy",
    "adversarial",
    "dead_relu",
    "dropout_gap",
    "fgsm",
    "linear_response",
    "predictions",
    "steepest_descent",
    "targeted",
    "training",
)
"""Each is a module here, and a marker."""

MARKS = {
    *("skip", "skipif", "xfail", "parametrize", "usefixtures", "filterwarnings"),
    *("tryfirst", "trylast"),
}
"""Markers that mean something else to pytest."""


def lookup(name: str, base: Path) -> Measure:
    """Return the measure called ``name``, or the ``module:object`` of a user's own.

    Args:
        name: as written in the suite.
        base: the suite's folder, on the import path while a user's module is imported.

    Raises:
        UserError: there is none of this name, it is no measure, its own name is no marker, or it
            declares a column that no validity check knows.
    """
    from vision_evals.core.cache.code import own_code
    from vision_evals.core.cache.describe import UnknownValueError
    from vision_evals.core.imports import load
    from vision_evals.measures.measure import Measure
    from vision_evals.suite.spec import COLUMNS

    if name in MEASURES:
        shipped: Measure = importlib.import_module(f"vision_evals.measures.{name}").MEASURE
        return shipped
    if ":" not in name:
        raise UserError(
            f'unknown measure "{name}"{did_you_mean(name, MEASURES)}; '
            'one of your own is written "my_package.module:name"'
        )
    found = load(name, base, f'measure "{name}" cannot be imported', "measure")
    if not isinstance(found, Measure):
        raise UserError(f'measure "{name}" is a {type(found).__name__}, not a Measure')
    if found.name in MARKS or not _selectable(found.name):
        raise UserError(
            f'measure "{name}" calls itself "{found.name}", which cannot be its marker: '
            'name it by letters, digits and "_", a letter first, and unlike a marker of pytest; '
            'such as name = "color"'
        )
    for column in found.columns:
        if column not in COLUMNS:
            raise UserError(
                f'measure "{name}" declares the column "{column}", which no validity check reads'
                + did_you_mean(column, COLUMNS)
            )
    with contextlib.suppress(UnknownValueError):
        own_code({found.observe.__module__})  # as it is now, before anybody edits the file
    return found


def _selectable(marker: str) -> bool:
    # pytest refuses markers that begin with "_", and -m reads `not` and `True` as its own
    return marker.isidentifier() and not marker.startswith("_") and not keyword.iskeyword(marker)
