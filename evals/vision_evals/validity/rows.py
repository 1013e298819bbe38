"""Validity checks that read rows, image by image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vision_evals.measures.epsilons import value
from vision_evals.validity.check import (
    CheckResult,
    Evidence,
    ValidityCheck,
    attacking,
    failed,
    passed,
    rate,
    reading,
    undecided,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

BALL_TOLERANCE = 1e-6
"""What fp32 may leave a ball or box by; of balls wider than 1, this share of the width."""

CARLINI = "Carlini et al. 2019, On Evaluating Adversarial Robustness"


def budgets(rows: pd.DataFrame, column: str) -> list[str]:
    """Return the budgets in a column as they were written, rising."""
    return sorted(rows[column].unique(), key=value)


def inside_ball(evidence: Evidence) -> CheckResult:
    """S2: measured on the pixels that were handed back, image by image."""
    rows = evidence.rows
    axis = evidence.measure.axis
    widths = rows[axis[0]].map(value).to_numpy(float) if axis else np.zeros(len(rows))
    if "outside" in rows:
        beyond = rows["outside"].to_numpy(float)
    elif {"linf", "low", "high"} <= set(rows):
        columns = (rows[name].to_numpy(float) for name in ("linf", "low", "high"))
        beyond = _beyond(widths, *columns)
    else:
        return undecided("the rows do not say how far outside an image lies")
    lost = int(np.isnan(beyond).sum())
    out = int((beyond > BALL_TOLERANCE * np.maximum(widths, 1)).sum())
    largest = float(np.nanmax(beyond)) if lost < len(beyond) else float("nan")
    said = f"{out} of {len(beyond)} points lie outside, by {largest:.3g} at most"
    said += f"; {lost} are not numbers" if lost else ""
    return failed(said) if out or lost else passed(said)


def _beyond(
    widths: NDArray[np.float64],
    linf: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.maximum.reduce([linf - widths, -low, high - 1, 0 * widths])
    return found


def no_silent_success(evidence: Evidence) -> CheckResult:
    """S17: an image counts once; a few may be lost to rounding when scored in another batch."""
    rows = evidence.rows[evidence.rows["epsilon"].map(value) > 0]
    silent = rows[rows["ever"].astype(bool) & rows["correct"].astype(bool)]
    return rate(
        silent["image"].nunique(),
        rows["image"].nunique(),
        0.01,
        "images were broken on the path of an attack that handed back one that is not",
    )


def images_attacked(evidence: Evidence) -> CheckResult:
    """S25: of images that are wrong by themselves, none is attacked, and none can stand."""
    right = evidence.rows[evidence.rows["correct_clean"].astype(bool)]["image"].nunique()
    said = f"{right} of {evidence.rows['image'].nunique()} images are right when clean"
    return passed(said) if right else failed(f"{said}: nobody was attacked")


def finite_on_the_way(evidence: Evidence) -> CheckResult:
    """S6 on the way: where a gradient is not finite, an attack stays where it is."""
    rows = evidence.rows[evidence.rows["epsilon"].map(value) > 0]
    blind = rows[rows["blind"].astype(bool) & rows["correct"].astype(bool)]
    return rate(
        blind["image"].nunique(),
        rows["image"].nunique(),
        0.05,
        "images stand after an attack met a gradient that is not finite",
    )


def target_gains(evidence: Evidence) -> CheckResult:
    """S20: at the largest budget; images done before the first step have nothing to gain."""
    rows = evidence.rows
    if "confidence_clean" not in rows:
        return undecided("the rows do not say how likely the target was before")
    at = rows[rows["budget"] == budgets(rows, "budget")[-1]]
    at = at[~at["already"].astype(bool) & (at["steps"] != 0)]
    still = at["confidence"] <= at["confidence_clean"] * (1 + 1e-3)  # a forward rounds differently
    return rate(int(still.sum()), len(at), 0.05, "images whose target became no likelier")


CHECKS = (
    ValidityCheck(
        id="S25", name="somebody was attacked",
        meaning="Where every image is wrong by itself, robust accuracy is 0 whatever the attack "
        "can do.",
        source=f"{CARLINI}, section 4",
        guards=reading("correct_clean", "correct"), run=images_attacked,
    ),
    ValidityCheck(
        id="S2", name="inside ball and box",
        meaning="A point outside the ball or [0, 1] breaks rules, not the network.",
        source="Croce & Hein 2020, AutoAttack's own check of its results",
        guards=attacking, run=inside_ball,
    ),
    ValidityCheck(
        id="S6", name="gradient finite on the way",
        meaning="An attack cannot follow what is not a number, and who stands then has shown "
        "nothing.",
        source="Athalye et al. 2018, section 3.1; Pintor et al. 2022",
        guards=reading("epsilon", "correct", "blind"), run=finite_on_the_way,
    ),
    ValidityCheck(
        id="S17", name="no silent success",
        meaning="An attack that saw an image break and hands back another point reports too few.",
        source="Pintor et al. 2022, Indicators of Attack Failure, section 3",
        guards=reading("epsilon", "correct", "ever"), run=no_silent_success,
    ),
    ValidityCheck(
        id="S20", name="target gains",
        meaning="A targeted attack that does not make its target likelier goes the wrong way.",
        source=CARLINI,
        severity="warn",
        guards=reading("budget", "already", "confidence_clean", "confidence", "steps"),
        run=target_gains,
    ),
)  # fmt: skip
"""Those that look at each row by itself."""
