"""Steepest descent against scipy's line search and the closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from vision_evals.measures.measure import Subject
from vision_evals.measures.steepest_descent import MEASURE, Parameters, bound, descend

SUBJECT = Subject("quadratic", None, 0)


def found(parameters: Parameters) -> dict[tuple[str, str | None], float | None]:
    rows = MEASURE.tabulate(None, parameters)
    metrics = MEASURE.summarise(rows, parameters, SUBJECT)
    return {(metric.name, metric.at): metric.value for metric in metrics}


def test_the_lectures_two_quadratics() -> None:
    values = found(Parameters())
    assert values["step_bound", "1.854"] == pytest.approx(0.08953, abs=1e-5)
    assert values["step_bound", "30.234"] == pytest.approx(0.87604, abs=1e-5)
    for condition in ("1.854", "30.234"):
        assert values["step_over_bound", condition] == pytest.approx(1, abs=1e-9)


def test_the_step_is_the_lowest_point_along_the_gradient() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 5))
    matrix = root @ root.T + np.eye(5)
    x = rng.normal(size=5)
    slope = matrix @ x

    def height(step: float) -> float:
        there = x - step * slope
        return float(there @ matrix @ there / 2)

    assert descend(matrix, x, 1)[1] == pytest.approx(minimize_scalar(height).fun, rel=1e-6)


@settings(max_examples=30)
@given(st.floats(1.01, 1e4))
def test_no_start_is_slower_than_the_bound_and_one_attains_it(condition: float) -> None:
    values = found(Parameters(condition_numbers=(condition,), starts=10, steps=10))
    ratio = values["step_over_bound", str(condition)]
    assert ratio == pytest.approx(1, rel=1e-4)
    assert values["step_bound", str(condition)] == bound(condition)


def test_a_wrong_bound_would_be_seen() -> None:
    rows = MEASURE.tabulate(None, Parameters(condition_numbers=(9.0,)))
    slowest = (rows["height"] / rows.groupby("start")["height"].shift()).max()
    assert slowest == pytest.approx(0.64)
    assert slowest > bound(8.0)


def test_the_plot_shows_line_and_bound() -> None:
    parameters = Parameters(condition_numbers=(4.0,), steps=3)
    (plot,) = MEASURE.plots(MEASURE.tabulate(None, parameters), parameters, SUBJECT)
    line, limit = plot.lines
    assert (line.reference, limit.reference) == (False, True)
    assert line.y == pytest.approx(limit.y)
    assert line.y[-1] == pytest.approx(3 * np.log10(0.36))


def test_a_thousand_steps_measure_no_rounding() -> None:
    parameters = Parameters(condition_numbers=(1.01, 1.854), steps=1000, starts=3)
    values = found(parameters)
    assert values["step_over_bound", "1.854"] == pytest.approx(1, abs=1e-6)
    assert values["step_over_bound", "1.01"] == pytest.approx(1, rel=1e-3)
    assert MEASURE.plots(MEASURE.tabulate(None, parameters), parameters, SUBJECT)
