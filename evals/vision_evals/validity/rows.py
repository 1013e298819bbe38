"""Validity checks that read rows: image by image, and as a curve over epsilon."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from vision_evals.measures.binomial import at_least, at_most
from vision_evals.measures.epsilons import value
from vision_evals.validity.check import (
    SIGNIFICANCE,
    CheckResult,
    Evidence,
    ValidityCheck,
    attacking,
    failed,
    iterating,
    passed,
    rate,
    reading,
    undecided,
)

if TYPE_CHECKING:
    import pandas as pd

    from vision_evals.measures.measure import Measure

BALL_TOLERANCE = 1e-6
"""How far rounding in fp32 may leave a ball or box; for balls wider than 1, times the width."""

CARLINI = "Carlini et al. 2019, On Evaluating Adversarial Robustness"


def budgets(rows: pd.DataFrame, column: str) -> list[str]:
    """Return the budgets in a column as they were written, rising."""
    return sorted(rows[column].unique(), key=value)


def inside_ball(evidence: Evidence) -> CheckResult:
    """S2: measured on the pixels that the attack returned, image by image."""
    rows, axis = evidence.rows, evidence.measure.axis
    widths = rows[axis[0]].map(value).to_numpy(float) if axis else np.zeros(len(rows))
    if "outside" in rows:
        beyond = rows["outside"].to_numpy(float)
    elif {"linf", "low", "high"} <= set(rows):
        linf, low, high = (rows[name].to_numpy(float) for name in ("linf", "low", "high"))
        beyond = np.maximum.reduce([linf - widths, -low, high - 1, 0 * widths])
    else:
        return undecided("the rows do not record how far outside the ball an image is")
    lost = int(np.isnan(beyond).sum())
    out = int((beyond > BALL_TOLERANCE * np.maximum(widths, 1)).sum())
    largest = float(np.nanmax(beyond)) if lost < len(beyond) else float("nan")
    sentence = f"{out} of {len(beyond)} points are outside, by {largest:.3g} at most"
    sentence += f"; {lost} are not numbers" if lost else ""
    return failed(sentence) if out or lost else passed(sentence)


def no_silent_success(evidence: Evidence) -> CheckResult:
    """S17: an image counts once; rounding in another batch size may lose a few."""
    text = "images broke during an attack that then returned an unbroken one"
    return _rate_of_standing(evidence, "ever", 0.01, text)


def _rate_of_standing(evidence: Evidence, column: str, limit: float, text: str) -> CheckResult:
    """Test the rate of images that stand above epsilon 0 although a column is true."""
    rows = evidence.rows[evidence.rows["epsilon"].map(value) > 0]
    bad = rows[rows[column].astype(bool) & rows["correct"].astype(bool)]
    return rate(bad["image"].nunique(), rows["image"].nunique(), limit, text)


def images_attacked(evidence: Evidence) -> CheckResult:
    """S25: an image that is already wrong is not attacked, and cannot stand."""
    right = evidence.rows[evidence.rows["correct_clean"].astype(bool)]["image"].nunique()
    sentence = f"{right} of {evidence.rows['image'].nunique()} images are right when clean"
    return passed(sentence) if right else failed(f"{sentence}: no image was attacked")


def finite_on_the_way(evidence: Evidence) -> CheckResult:
    """S6 during the attack: where a gradient is not finite, the attack does not move."""
    text = "images stand after an attack that met a gradient that is not finite"
    return _rate_of_standing(evidence, "blind", 0.05, text)


def target_gains(evidence: Evidence) -> CheckResult:
    """S20: at the largest budget; images that need no step have nothing to gain."""
    rows = evidence.rows
    if "confidence_clean" not in rows:
        return undecided("the rows do not record how likely the target was before")
    at = rows[rows["budget"] == budgets(rows, "budget")[-1]]
    at = at[~at["already"].astype(bool) & (at["steps"] != 0)]
    still = at["confidence"] <= at["confidence_clean"] * (1 + 1e-3)  # a forward rounds differently
    return rate(int(still.sum()), len(at), 0.05, "images whose target did not become more likely")


def wide(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a boolean column as (images, rising epsilons), of images that are right when clean."""
    right = rows[rows["correct_clean"].astype(bool)]
    table = right.pivot_table(index="image", columns="epsilon", values=column, aggfunc="first")
    return table.reindex(columns=budgets(rows, "epsilon")).astype(bool)


def _positive(rows: pd.DataFrame) -> list[str]:
    return [written for written in budgets(rows, "epsilon") if value(written) > 0]


def beats_one_step(evidence: Evidence) -> CheckResult:
    """S9: an image counts once, at any number of epsilons, so that counts are independent."""
    sizes = _positive(evidence.rows)
    stands, stood = (wide(evidence.rows, c)[sizes] for c in ("correct", "correct_fgsm"))
    missed = stands & ~stood
    where = [size for size in sizes if missed[size].any()]
    text = "images break under one step and stand under the attacks"
    count = int(missed.any(axis=1).sum())
    result = rate(count, len(stands) if sizes else 0, 0.01, text)
    return result.adding(f"at {', '.join(where)}") if where else result


def more_breaks_more(evidence: Evidence) -> CheckResult:
    """S10: between neighbouring epsilons, paired by image.

    With b images that break only at the smaller one and c only at the larger, success drops by
    ``(b - c) / n``, whose standard error is ``sqrt(b + c - (b - c)^2 / n) / n`` (paired
    proportions). A larger drop fails the check only if the sign test of b against c is
    significant: among few images, a single one is already larger than one standard error.
    """
    broken = ~wide(evidence.rows, "correct")[_positive(evidence.rows)]
    n, sizes = len(broken), list(broken.columns)
    if len(sizes) < 2 or not broken.to_numpy().any():
        return undecided("fewer than two epsilons above 0" if len(sizes) < 2 else "no image breaks")
    drops = []
    for small, large in itertools.pairwise(sizes):
        lost = int((broken[small] & ~broken[large]).sum())
        gained = int((broken[large] & ~broken[small]).sum())
        error = float(np.sqrt(lost + gained - (lost - gained) ** 2 / n))
        if lost - gained > error:
            text = f"from {small} to {large}, {lost} stand again and {gained} break"
            drops.append((at_least(lost, lost + gained), text))
    shares = ", ".join(f"{float(broken[size].mean()):.3g} at {size}" for size in sizes)
    sentence = f"success on {n} images: {shares}"
    if not drops:
        few = 0.5**n >= SIGNIFICANCE
        return undecided(f"{sentence}; too few to decide") if few else passed(sentence)
    p, worst = min(drops)
    rare = p < SIGNIFICANCE / (len(sizes) - 1)  # Bonferroni, over pairs of neighbours
    return (failed if rare else undecided)(f"{sentence}; {worst} (p = {p:.2g})")


def beats_noise(evidence: Evidence) -> CheckResult:
    """S13: exact one-sided McNemar, at the epsilon where the two differ on most images.

    It fails where the attack breaks significantly fewer than three of four such images: an attack
    that follows a gradient breaks nearly all of them, one that follows none breaks half.
    """
    sizes = _positive(evidence.rows)
    stands, noisy = (wide(evidence.rows, c)[sizes] for c in ("correct", "correct_noise"))
    differ = (stands != noisy).sum()
    if not differ.sum():
        return undecided("attack and noise break the same images")
    size = str(differ.idxmax())
    n, won = int(differ[size]), int((noisy[size] & ~stands[size]).sum())
    p = at_least(won, n)
    only = f"of {n} images that only one of the two breaks"
    sentence = f"at {size}, {only}, the attack breaks {won}, p = {p:.2g}"
    if p < SIGNIFICANCE:
        return passed(sentence)
    lost = at_most(won, n, 0.75)
    return failed(sentence) if lost < SIGNIFICANCE else undecided(f"{sentence}; too few to decide")


def curve(evidence: Evidence) -> CheckResult:
    """S24: at least five epsilons, 0 among them, up to one at which no image stands."""
    sizes, stands = budgets(evidence.rows, "epsilon"), wide(evidence.rows, "correct")
    if stands.empty:
        return undecided("no image is right when clean")
    left = {size: int(stands[size].sum()) for size in sizes}
    broken = [size for size in sizes if not left[size] and value(size) > 0]
    zero = any(value(size) == 0 for size in sizes)
    sentence = f"{len(sizes)} epsilons{'' if zero else ' without 0'}; " + (
        f"no image of {len(stands)} stands at {broken[0]}"
        if broken
        else f"{min(left.values())} of {len(stands)} images stand at the worst of them"
    )
    return passed(sentence) if len(sizes) >= 5 and zero and broken else failed(sentence)


def _each_afresh(measure: Measure) -> bool:
    """Return whether an iterated attack begins anew at each size: others find what they carried."""
    return iterating(measure) and "broken_at" not in measure.columns


_SWEPT = ("epsilon", "correct_clean", "correct")
"""Columns that all checks of a curve read."""


CHECKS = (
    ValidityCheck(
        id="S25", name="at least one image is attacked",
        meaning="Where every clean image is wrong already, robust accuracy is 0 for any attack.",
        source=f"{CARLINI}, section 4",
        guards=reading("correct_clean", "correct"), run=images_attacked,
    ),
    ValidityCheck(
        id="S2", name="inside ball and box",
        meaning="A point outside the ball or outside [0, 1] is not a valid adversarial.",
        source="Croce & Hein 2020, AutoAttack's own check of its results",
        guards=attacking, run=inside_ball,
    ),
    ValidityCheck(
        id="S6", name="gradient finite during the attack",
        meaning="An attack cannot follow a gradient that is not a number: an image that then "
        "stands proves nothing.",
        source="Athalye et al. 2018, section 3.1; Pintor et al. 2022",
        guards=reading("epsilon", "correct", "blind"), run=finite_on_the_way,
    ),
    ValidityCheck(
        id="S17", name="no silent success",
        meaning="An attack that breaks an image and returns another point reports too few.",
        source="Pintor et al. 2022, Indicators of Attack Failure, section 3",
        guards=reading("epsilon", "correct", "ever"), run=no_silent_success,
    ),
    ValidityCheck(
        id="S20", name="target gains",
        meaning="A targeted attack that does not make its target more likely moves the wrong way.",
        source=CARLINI,
        severity="warn",
        guards=reading("budget", "already", "confidence_clean", "confidence", "steps"),
        run=target_gains,
    ),
    ValidityCheck(
        id="S9", name="iterated at least as strong as one step",
        meaning="Many steps can do all that one step can: where they do less, the attack is tuned "
        "badly or the gradient is masked.",
        source=f"{CARLINI}, section 4; Athalye et al. 2018, section 3.1",
        guards=reading(*_SWEPT, "correct_fgsm"), run=beats_one_step,
    ),
    ValidityCheck(
        id="S10", name="more budget breaks more",
        meaning="A larger ball contains every point of a smaller one.",
        source=f"{CARLINI}, section 4",
        guards=reading(*_SWEPT, also=_each_afresh), run=more_breaks_more,
    ),
    ValidityCheck(
        id="S13", name="beats random noise",
        meaning="An attack that is no better than random noise does not follow a gradient.",
        source=f"{CARLINI}, section 4; Athalye et al. 2018, section 3.1",
        guards=reading(*_SWEPT, "correct_noise"), run=beats_noise,
    ),
    ValidityCheck(
        id="S24", name="a curve, not a point",
        meaning="Robustness at one epsilon hides where a network breaks; a sweep should end where "
        "no image stands.",
        source=f"{CARLINI}, section 4",
        severity="warn", guards=reading(*_SWEPT), run=curve,
    ),
)  # fmt: skip
