"""Validity checks that read a curve over epsilon: what more budget must do."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from vision_evals.measures.epsilons import value
from vision_evals.validity.check import (
    SIGNIFICANCE,
    CheckResult,
    Evidence,
    ValidityCheck,
    failed,
    iterating,
    passed,
    rate,
    reading,
    undecided,
)
from vision_evals.validity.rows import CARLINI, budgets

if TYPE_CHECKING:
    import pandas as pd


def wide(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a boolean column as (images, epsilons), rising; only images right when clean."""
    right = rows[rows["correct_clean"].astype(bool)]
    table = right.pivot_table(index="image", columns="epsilon", values=column, aggfunc="first")
    return table.reindex(columns=budgets(rows, "epsilon")).astype(bool)


def _positive(rows: pd.DataFrame) -> list[str]:
    return [written for written in budgets(rows, "epsilon") if value(written) > 0]


def beats_one_step(evidence: Evidence) -> CheckResult:
    """S9: an image counts once, at however many epsilons it stands; so counts are independent."""
    sizes = _positive(evidence.rows)
    stands, stood = (wide(evidence.rows, c)[sizes] for c in ("correct", "correct_fgsm"))
    missed = stands & ~stood
    where = [size for size in sizes if missed[size].any()]
    found = rate(
        int(missed.any(axis=1).sum()),
        len(stands) if sizes else 0,
        0.01,
        "images fall to one step and stand the attacks",
    )
    return found._replace(evidence=found.evidence + (f"; at {', '.join(where)}" if where else ""))


def more_breaks_more(evidence: Evidence) -> CheckResult:
    """S10: between neighbouring epsilons, paired by image.

    With b images that fall only at the smaller one and c only at the larger, success drops by
    ``(b - c) / n``, whose standard error is ``sqrt(b + c - (b - c)^2 / n) / n`` (paired
    proportions). A drop beyond that falls only if the sign test of b against c calls it rare:
    one image of a few is beyond one standard error already.
    """
    from scipy.stats import binomtest

    broken = ~wide(evidence.rows, "correct")[_positive(evidence.rows)]
    n, sizes = len(broken), list(broken.columns)
    if len(sizes) < 2 or not broken.to_numpy().any():
        return undecided("fewer than two epsilons above 0" if len(sizes) < 2 else "nothing fell")
    drops = []
    for small, large in itertools.pairwise(sizes):
        lost = int((broken[small] & ~broken[large]).sum())
        gained = int((broken[large] & ~broken[small]).sum())
        error = float(np.sqrt(lost + gained - (lost - gained) ** 2 / n))
        if lost - gained > error:
            p = binomtest(lost, lost + gained, alternative="greater").pvalue
            drops.append((float(p), f"{lost} get up from {small} to {large} and {gained} fall"))
    shares = ", ".join(f"{float(broken[size].mean()):.3g} at {size}" for size in sizes)
    said = f"success on {n} images: {shares}"
    if not drops:
        few = 0.5**n >= SIGNIFICANCE
        return undecided(f"{said}; too few to tell") if few else passed(said)
    p, worst = min(drops)
    rare = p < SIGNIFICANCE / (len(sizes) - 1)  # as many neighbours are compared
    return (failed if rare else undecided)(f"{said}; {worst} (p = {p:.2g})")


def beats_noise(evidence: Evidence) -> CheckResult:
    """S13: exact one-sided McNemar, at the epsilon where most images tell the two apart.

    It falls where the attack wins fewer than three of four such images (same limit on chance):
    an attack that follows a gradient wins nearly all, one that follows none every second.
    """
    from scipy.stats import binomtest

    sizes = _positive(evidence.rows)
    stands, noisy = (wide(evidence.rows, c)[sizes] for c in ("correct", "correct_noise"))
    differ = (stands != noisy).sum()
    if not differ.sum():
        return undecided("no image tells the attack from noise")
    size = str(differ.idxmax())
    n, won = int(differ[size]), int((noisy[size] & ~stands[size]).sum())
    p = float(binomtest(won, n, alternative="greater").pvalue)
    said = f"at {size}, {won} of the {n} images that only one of the two breaks fall to the attack"
    said += f", p = {p:.2g}"
    if p < SIGNIFICANCE:
        return passed(said)
    lost = float(binomtest(won, n, 0.75, alternative="less").pvalue)
    return failed(said) if lost < SIGNIFICANCE else undecided(f"{said}; too few to tell")


def curve(evidence: Evidence) -> CheckResult:
    """S24: five epsilons, 0 among them, up to one at which all have fallen."""
    sizes, stands = budgets(evidence.rows, "epsilon"), wide(evidence.rows, "correct")
    if stands.empty:
        return undecided("no image is right when clean")
    left = {size: int(stands[size].sum()) for size in sizes}
    fallen = [size for size in sizes if not left[size] and value(size) > 0]
    zero = any(value(size) == 0 for size in sizes)
    said = f"{len(sizes)} epsilons{'' if zero else ' without 0'}; " + (
        f"all {len(stands)} images have fallen at {fallen[0]}"
        if fallen
        else f"{min(left.values())} of {len(stands)} images stand at the worst of them"
    )
    return passed(said) if len(sizes) >= 5 and zero and fallen else failed(said)


_SWEPT = ("epsilon", "correct_clean", "correct")
"""What they all read."""

CHECKS = (
    ValidityCheck(
        id="S9", name="iterated at least as strong as one step",
        meaning="Many steps can do all that one can; where they do less, they are tuned badly or "
        "the gradient is masked.",
        source=f"{CARLINI}, section 4; Athalye et al. 2018, section 3.1",
        guards=reading(*_SWEPT, "correct_fgsm"), run=beats_one_step,
    ),
    ValidityCheck(
        id="S10", name="more budget breaks more",
        meaning="A larger ball holds every point of a smaller one.",
        source=f"{CARLINI}, section 4",
        guards=reading(*_SWEPT, also=iterating), run=more_breaks_more,
    ),
    ValidityCheck(
        id="S13", name="beats random noise",
        meaning="A gradient that leads nowhere better than chance is no gradient.",
        source=f"{CARLINI}, section 4; Athalye et al. 2018, section 3.1",
        guards=reading(*_SWEPT, "correct_noise"), run=beats_noise,
    ),
    ValidityCheck(
        id="S24", name="a curve, not a point",
        meaning="Robustness at one epsilon hides where a network breaks; a sweep should end where "
        "nothing stands.",
        source=f"{CARLINI}, section 4",
        severity="warn", guards=reading(*_SWEPT), run=curve,
    ),
)  # fmt: skip
"""Those that hold epsilons against each other."""
