"""Every validity check there is, in the order in which they are shown."""

from __future__ import annotations

from vision_evals.validity import (
    attacks,
    curves,
    decoding,
    described,
    gradients,
    known,
    labels,
    parity,
    power,
    response,
    rows,
    sample,
    smoothness,
    structure,
)
from vision_evals.validity.check import ValidityCheck

CHECKS: tuple[ValidityCheck, ...] = (
    *decoding.CHECKS,
    *parity.CHECKS,
    *structure.CHECKS,
    *labels.CHECKS,
    *sample.CHECKS,
    *gradients.CHECKS,
    *response.CHECKS,
    *smoothness.CHECKS,
    *known.CHECKS,
    *rows.CHECKS,
    *curves.CHECKS,
    *attacks.CHECKS,
    *power.CHECKS,
    *described.CHECKS,
)
