"""All validity checks, in the order in which a report shows them."""

from __future__ import annotations

from vision_evals.validity import (
    attacks,
    described,
    gradients,
    known,
    labels,
    power,
    preprocessing,
    response,
    rows,
    structure,
)
from vision_evals.validity.check import ValidityCheck

CHECKS: tuple[ValidityCheck, ...] = (
    *preprocessing.CHECKS,
    *structure.CHECKS,
    *labels.CHECKS,
    *gradients.CHECKS,
    *response.CHECKS,
    *known.CHECKS,
    *rows.CHECKS,
    *attacks.CHECKS,
    *power.CHECKS,
    *described.CHECKS,
)
