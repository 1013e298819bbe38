"""Measures by name: one file per measure, and no measure imports another."""

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
"""Each is a module of this package and a pytest marker."""

PYTEST_MARKERS = {
    *("skip", "skipif", "xfail", "parametrize", "usefixtures", "filterwarnings"),
    *("tryfirst", "trylast"),
}
"""Markers with a meaning in pytest."""


def lookup(name: str, base: Path) -> Measure:
    """Return the measure called ``name``, or the ``module:object`` of a user's own.

    Args:
        name: as written in the suite.
        base: the suite's folder, on the import path while a user's module is imported.

    Raises:
        UserError: there is no measure of this name, the object is not a Measure, its name cannot be
            a marker, or it declares a column that no validity check reads.
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
    measure = load(name, base, f'measure "{name}" cannot be imported', "measure")
    if not isinstance(measure, Measure):
        raise UserError(f'measure "{name}" is a {type(measure).__name__}, not a Measure')
    if measure.name in PYTEST_MARKERS or not _selectable(measure.name):
        raise UserError(
            f'measure "{name}" has the name "{measure.name}", which cannot be its marker: '
            'use letters, digits and "_", a letter first, and no marker of pytest; '
            'such as name = "color"'
        )
    for column in measure.columns:
        if column not in COLUMNS:
            raise UserError(
                f'measure "{name}" declares the column "{column}", which no validity check reads'
                + did_you_mean(column, COLUMNS)
            )
    with contextlib.suppress(UnknownValueError):
        own_code({measure.observe.__module__})  # the code as imported, before the file changes
    return measure


def _selectable(marker: str) -> bool:
    # pytest refuses markers that begin with "_", and -m reads `not` and `True` as its own
    return marker.isidentifier() and not marker.startswith("_") and not keyword.iskeyword(marker)
