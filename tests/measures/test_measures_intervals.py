"""Intervals against closed forms and second implementations."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from vision_evals.measures import intervals
from vision_evals.measures.intervals import bootstrap, generator, wilson, wilson_images_needed


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_the_closed_form(counts: tuple[int, int]) -> None:
    successes, n = counts
    z = norm.ppf(0.975)
    p = successes / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    interval = wilson(successes, n)
    assert interval.low == pytest.approx(max(0, middle - half), abs=1e-9)
    assert interval.high == pytest.approx(min(1, middle + half), abs=1e-9)


@given(
    st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.sampled_from([0.9, 0.95, 0.98, 0.99]),
)
def test_wilson_equals_scipy(counts: tuple[int, int], confidence: float) -> None:
    expected = binomtest(*counts).proportion_ci(confidence, method="wilson")
    assert wilson(*counts, confidence) == pytest.approx((expected.low, expected.high), rel=1e-14)


def test_wilson_of_the_human_annotators() -> None:
    assert wilson(round(0.949 * 1500), 1500) == pytest.approx((0.937, 0.959), abs=5e-4)
    assert wilson(round(0.88 * 258), 258) == pytest.approx((0.835, 0.914), abs=1e-3)


def test_wilson_needs_an_observation() -> None:
    with pytest.raises(ValueError, match="at least one observation"):
        wilson(0, 0)


@pytest.mark.parametrize("successes", [-1, 4])
def test_wilson_refuses_more_successes_than_observations(successes: int) -> None:
    with pytest.raises(ValueError, match="do not fit into 3 observations"):
        wilson(successes, 3)


@given(
    st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.floats(0.02, 0.98),
)
def test_images_needed_is_the_first_n_that_decides(
    counts: tuple[int, int], threshold: float
) -> None:
    value = counts[0] / counts[1]
    if abs(value - threshold) < 0.01:
        return
    needed = wilson_images_needed(value, threshold, 0.95)
    assert needed is not None

    def undecided(n: int) -> bool:  # the score test, which Wilson's interval inverts
        error = math.sqrt(threshold * (1 - threshold) / n)
        return abs(value - threshold) <= norm.ppf(0.975) * error

    assert not undecided(needed)
    assert needed == 1 or undecided(needed - 1)


def test_no_number_of_images_decides_a_tie() -> None:
    assert wilson_images_needed(0.5, 0.5, 0.95) is None


def test_bootstrap_of_a_mean_is_the_normal_interval_for_many_rows() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 4000)
    low, high = bootstrap(lambda x: float(x.mean()), (values,), generator(0, "test"))
    half = norm.ppf(0.975) * values.std() / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.2 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.2 * half)


def test_bootstrap_keeps_columns_paired() -> None:
    column = np.arange(50.0)
    interval = bootstrap(lambda a, b: float((a - b).sum()), (column, column), generator(0, "x"))
    assert interval == (0.0, 0.0)


def test_generators_depend_on_seed_and_names_alone() -> None:
    first = generator(3, "accuracy", "ece").random(4)
    generator(3, "other").random(100)
    assert (generator(3, "accuracy", "ece").random(4) == first).all()
    assert (generator(4, "accuracy", "ece").random(4) != first).all()
    assert (generator(3, "accuracyece").random(4) != first).all()


@pytest.mark.parametrize("statistic", [np.mean, np.median])
@pytest.mark.parametrize("n", [10, 17, 20, 129, 1000])
def test_many_resamples_at_once_are_those_one_by_one(
    statistic: Callable[..., float], n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intervals, "MAX_DRAWS_AT_ONCE", 7000)  # several matrices
    column = generator(3, "x").normal(size=n) ** 3
    at_once = bootstrap(statistic, (column,), generator(0, "y"), 0.9, 500)
    one_by_one = bootstrap(lambda x: statistic(x), (column,), generator(0, "y"), 0.9, 500)
    assert at_once == one_by_one


def test_a_column_that_is_larger_than_a_matrix_is_resampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    column = generator(3, "x").normal(size=50)
    whole = bootstrap(np.mean, (column,), generator(0, "y"))
    monkeypatch.setattr(intervals, "MAX_DRAWS_AT_ONCE", 9)
    assert bootstrap(np.mean, (column,), generator(0, "y")) == whole
