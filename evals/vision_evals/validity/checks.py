"""All validity checks, in the order in which a report shows them."""

from __future__ import annotations

from vision_evals.validity import (
    attacks,
    described,
    gradients,
    known,
    labels,
    normalisation,
    numbering,
    power,
    preprocessing,
    rows,
    structure,
)
from vision_evals.validity.check import ValidityCheck

_MODULES = (
    preprocessing,
    structure,
    labels,
    numbering,
    normalisation,
    gradients,
    known,
    rows,
    attacks,
    power,
    described,
)

CHECKS: tuple[ValidityCheck, ...] = tuple(check for module in _MODULES for check in module.CHECKS)
