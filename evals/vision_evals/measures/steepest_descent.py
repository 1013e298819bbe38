"""Steepest descent on a quadratic: its slowest step, compared with the proven bound."""

from __future__ import annotations

from functools import partial
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

MIN_HEIGHT = 1e-200
"""Share of the first height at which the descent ends: below it only rounding is measured."""

EVERY_STEP = "every step of every start"


class Parameters(Table):
    """Parameters of ``steepest_descent``."""

    condition_numbers: tuple[Annotated[float, Field(strict=True, gt=1)], ...] = (1.854, 30.234)
    """Largest over smallest curvature of each quadratic."""
    starts: Annotated[int, Field(strict=True, ge=1, le=1000)] = 20
    """Number of starting points: the worst possible one, and random ones."""
    steps: Annotated[int, Field(strict=True, ge=1, le=1000)] = 20
    """Steps from each start."""


def bound(condition: float) -> float:
    """Return the largest share of the height that a step can leave: ((k - 1) / (k + 1))^2.

    Kantorovich 1948; Luenberger & Ye, Linear and Nonlinear Programming, section 8.2.
    """
    return ((condition - 1) / (condition + 1)) ** 2


def tabulate(classifier: Classifier | None, parameters: Parameters) -> pd.DataFrame:  # noqa: ARG001
    """Return the height f = x'Ax / 2 above its minimum 0 at each step from each start."""
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
    """Return the heights along steps down the gradient, each to the lowest point of its line."""
    x, heights = start, [float(start @ matrix @ start / 2)]
    for _ in range(steps):
        slope = matrix @ x
        x = x - (slope @ slope) / (slope @ matrix @ slope) * slope
        heights.append(float(x @ matrix @ x / 2))
        if heights[-1] < MIN_HEIGHT * heights[0]:
            break
    return heights


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return the slowest step of each quadratic, alone and divided by the bound."""
    del subject  # no sample
    metrics: list[Metric] = []
    for condition in parameters.condition_numbers:
        at = rows[rows["condition_number"] == str(condition)]
        ratios = (at["height"] / at.groupby("start")["height"].shift()).dropna()
        slowest, limit = float(ratios.max()), bound(condition)
        metric = partial(exact, n=len(ratios), of="steps", at=str(condition), unit="ratio")
        metrics += [
            metric("slowest_step", slowest, reason=EVERY_STEP),
            metric("step_bound", limit, reason="a formula"),
            metric("step_over_bound", slowest / limit, reason=EVERY_STEP),
        ]
    return tuple(metrics)


def plots(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Plot, ...]:
    """Return the logarithm of the height from the worst start, next to the bound."""
    del subject  # a closed form has no interval
    lines = []
    for condition in parameters.condition_numbers:
        at = rows[(rows["condition_number"] == str(condition)) & (rows["start"] == 0)]
        steps = tuple(map(float, at["step"]))
        heights = np.log10(at["height"] / at["height"].iloc[0])
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
            "start exactly that.",
            x_label="step",
            y_label="log10 of the height over the first",
            lines=tuple(lines),
        ),
    )


_spec = partial(MetricSpec, unit="ratio", higher_is_better=False, axis="condition_numbers")
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
        _spec("slowest_step", "Largest share of the height that a step leaves, over all starts."),
        _spec(
            "step_bound",
            "Largest share of the height that a step can leave: ((k - 1) / (k + 1))^2.",
            source=_SOURCE,
        ),
        _spec(
            "step_over_bound",
            "Slowest step divided by its bound: above 1 it would violate the bound, far below 1 "
            "the bound is not informative.",
            source=_SOURCE,
            range=(0.0, float("inf")),
        ),
    ),
    tabulate=tabulate,
    summarise=summarise,
    plots=plots,
)
