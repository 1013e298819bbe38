"""Measures by name. One file a measure; none imports another."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from evals.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from evals.measures.measure import Measure

MEASURES = {"accuracy": "evals.measures.accuracy:MEASURE", "fgsm": "evals.measures.fgsm:MEASURE"}


def lookup(name: str, base: Path) -> Measure:
    """Return the measure called ``name``, or the ``module:object`` of a user's own.

    Args:
        name: as written in the suite.
        base: the suite's folder, on the import path while a user's module is imported.

    Raises:
        UserError: there is none of this name, or it is no measure.
    """
    from evals.measures.measure import Measure

    target = MEASURES.get(name, name)
    module, _, attribute = target.partition(":")
    if not attribute:
        raise UserError(
            f'unknown measure "{name}"{did_you_mean(name, MEASURES)}; '
            'one of your own is written "my_package.module:name"'
        )
    sys.path.insert(0, str(base))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f'measure "{name}" cannot be imported: {error}') from None
    finally:
        sys.path.remove(str(base))
    if not isinstance(found, Measure):
        raise UserError(f'measure "{name}" is a {type(found).__name__}, not a Measure')
    return found
