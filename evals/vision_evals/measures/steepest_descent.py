"""Steepest descent on a quadratic: how fast it can be, and never slower."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from vision_evals.core.tables import Table
from vision_evals.log import Line, Metric, Plot
from vision_evals.measures.intervals import generator
from vision_evals.measures.measure import Measure, Subject
from vision_evals.measures.metrics import exact
from vision_evals.suite.spec import MetricSpec

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from vision_evals.models.classifier import Classifier

DIMENSIONS = 8

TINY = 1e-200
"""Of the first height: below it rounding would be measured, and soon 0 over 0."""


class Parameters(Table):
    """Parameters of ``steepest_descent``."""

    condition_numbers: tuple[Annotated[float, Field(strict=True, gt=1)], ...] = (1.854, 30.234)
    """Largest over smallest curvature of each quadratic."""
    starts: Annotated[int, Field(strict=True, ge=1, le=1000)] = 20
    """Points it starts from: the worst there is, and random ones."""
    steps: Annotated[int, Field(strict=True, ge=1, le=1000)] = 20
    """Steps from each."""


def bound(condition: float) -> float:
    """Return what is left of the height after a step at most: ((k - 1) / (k + 1))^2.

    Kantorovich 1948; Luenberger & Ye, Linear and Nonlinear Programming, section 8.2.
    """
    return ((condition - 1) / (condition + 1)) ** 2


def tabulate(classifier: Classifier | None, parameters: Parameters) -> pd.DataFrame:  # noqa: ARG001
    """Return the height f = x'Ax / 2 over its minimum 0 at each step from each start."""
    import pandas as pd

    rows = []
    for condition in parameters.condition_numbers:
        rng = generator(0, "steepest_descent", str(condition))
        curvatures = np.geomspace(1.0, condition, DIMENSIONS)
        axes, _ = np.linalg.qr(rng.normal(size=(DIMENSIONS, DIMENSIONS)))
        matrix = axes @ np.diag(curvatures) @ axes.T
        # along both extreme axes at once, weighted by 1 / curvature: Kantorovich's equality
        worst = axes[:, 0] + axes[:, -1] / condition
        starts = [worst, *rng.normal(size=(parameters.starts - 1, DIMENSIONS))]
        for number, start in enumerate(starts):
            heights = descend(matrix, start, parameters.steps)
            rows += [(str(condition), number, step, h) for step, h in enumerate(heights)]
    return pd.DataFrame(rows, columns=["condition_number", "start", "step", "height"])


def descend(matrix: NDArray[np.float64], start: NDArray[np.float64], steps: int) -> list[float]:
    """Return the height before and after each step down the gradient, each to the lowest point."""
    x, heights = start, [float(start @ matrix @ start / 2)]
    for _ in range(steps):
        slope = matrix @ x
        x = x - (slope @ slope) / (slope @ matrix @ slope) * slope
        heights.append(float(x @ matrix @ x / 2))
        if heights[-1] < TINY * heights[0]:
            break
    return heights


def summarise(
    rows: pd.DataFrame,
    parameters: Parameters,
    subject: Subject,  # noqa: ARG001 - no sample
) -> tuple[Metric, ...]:
    """Return the slowest step of each quadratic, alone and over the bound."""
    found = []
    for condition in parameters.condition_numbers:
        mine = rows[rows["condition_number"] == str(condition)]
        before = mine.groupby("start")["height"].shift()
        ratios = (mine["height"] / before).dropna()
        slowest, n = float(ratios.max()), len(ratios)
        limit = bound(condition)
        found += [
            _metric("slowest_step", condition, slowest, n, "every step of every start"),
            _metric("step_bound", condition, limit, n, "a formula"),
            _metric("step_over_bound", condition, slowest / limit, n, "every step of every start"),
        ]
    return tuple(found)


def _metric(name: str, condition: float, value: float, n: int, reason: str) -> Metric:
    return exact(name, value, n, "steps", reason, at=str(condition), unit="ratio")


def plots(
    rows: pd.DataFrame,
    parameters: Parameters,
    subject: Subject,  # noqa: ARG001 - a closed form has no interval
) -> tuple[Plot, ...]:
    """Return the logarithm of the height from the worst start, beside the bound."""
    lines = []
    for condition in parameters.condition_numbers:
        mine = rows[(rows["condition_number"] == str(condition)) & (rows["start"] == 0)]
        steps = tuple(map(float, mine["step"]))
        heights = np.log10(mine["height"] / mine["height"].iloc[0])
        slope = np.log10(bound(condition))
        lines += [
            Line(name=f"k = {condition:g}", x=steps, y=tuple(map(float, heights))),
            Line(
                name=f"bound, k = {condition:g}",
                x=steps,
                y=tuple(slope * s for s in steps),
                reference=True,
            ),
        ]
    return (
        Plot(
            title="Steepest descent from its worst start",
            about="Each step leaves at most ((k - 1) / (k + 1))^2 of the height, and from this "
            "start just that.",
            x_label="step",
            y_label="log10 of the height over the first",
            lines=tuple(lines),
        ),
    )


_SOURCE = "Kantorovich 1948; Luenberger & Ye, Linear and Nonlinear Programming, section 8.2"

MEASURE = Measure(
    name="steepest_descent",
    about="Steepest descent with exact line search on a quadratic of known condition number.",
    parameters=Parameters,
    labels=False,
    images=False,
    subject="quadratic",
    keys=("condition_number", "start", "step"),
    metrics=(
        MetricSpec(
            "slowest_step",
            "Largest share of the height that a step left, over all starts.",
            unit="ratio",
            higher_is_better=False,
            axis="condition_numbers",
        ),
        MetricSpec(
            "step_bound",
            "The share that a step leaves at most: ((k - 1) / (k + 1))^2.",
            source=_SOURCE,
            unit="ratio",
            higher_is_better=False,
            axis="condition_numbers",
        ),
        MetricSpec(
            "step_over_bound",
            "The slowest step over its bound: above 1 the bound would be wrong, far below 1 it "
            "would say little.",
            source=_SOURCE,
            unit="ratio",
            higher_is_better=False,
            axis="condition_numbers",
            range=(0.0, float("inf")),
        ),
    ),
    tabulate=tabulate,
    summarise=summarise,
    plots=plots,
)
