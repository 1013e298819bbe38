"""Means of pairs against SciPy, and records against counts by a loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, ttest_rel

from vision_evals.core.errors import UserError
from vision_evals.measures.intervals import generator
from vision_evals.verdict.paired.difference import mean_interval, paired, t_interval
from vision_evals.verdict.paired.shares import mcnemar, score_interval


@pytest.mark.parametrize("n", [2, 7, 200, 3000])
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_t_equals_scipys_paired_test(n: int, confidence: float) -> None:
    rng = np.random.default_rng(n)
    before, now = rng.normal(1, 2, n), rng.normal(1.2, 3, n)
    expected = ttest_rel(now, before).confidence_interval(confidence)
    found = t_interval(now - before, confidence)
    assert found == pytest.approx((expected.low, expected.high), rel=1e-10)


def test_one_difference_has_no_spread() -> None:
    with pytest.raises(ValueError, match="at least two"):
        t_interval(np.ones(1), 0.9)


def test_the_way_changes_at_200_images_and_agrees_there() -> None:
    drawn = np.random.default_rng(2).gamma(2.0, 1.0, 200)
    student, by = mean_interval(drawn, generator(0, "x"), 0.9)
    assert (by, student) == ("paired t", t_interval(drawn, 0.9))
    few, by = mean_interval(drawn[:199], generator(0, "x"), 0.9)
    assert by == "bootstrap"
    assert few == pytest.approx(t_interval(drawn[:199], 0.9), abs=0.15 * drawn.std() / 199**0.5)


def test_the_bootstrap_is_seeded_and_a_loop() -> None:
    drawn = np.random.default_rng(3).normal(0, 1, 40)
    found, _ = mean_interval(drawn, generator(7, "nll"), 0.9)
    assert mean_interval(drawn, generator(7, "nll"), 0.9)[0] == found
    assert mean_interval(drawn, generator(8, "nll"), 0.9)[0] != found
    rng = generator(7, "nll")
    means = sorted(sum(drawn[i] for i in rng.integers(0, 40, 40)) / 40 for _ in range(1000))
    assert found.low == pytest.approx((means[49] + means[50]) / 2, abs=2e-3)
    assert found.high == pytest.approx((means[948] + means[949]) / 2, abs=2e-3)


def test_a_thin_tail_gets_more_resamples() -> None:
    """At 99.5 % a thousand draws would leave two or three beyond each end."""
    drawn = np.random.default_rng(3).normal(0, 1, 100)
    half = norm.ppf(0.9975) * drawn.std() / 10
    for seed in range(4):
        found, _ = mean_interval(drawn, generator(seed, "nll"), 0.995)
        middle = drawn.mean()
        assert found == pytest.approx((middle - half, middle + half), abs=0.08 * half)


@pytest.mark.slow
def test_the_bootstrap_covers_about_what_it_says() -> None:
    """A percentile interval of 40 images is a little narrow: 0.886 +- 0.01 measured."""
    rng, held = np.random.default_rng(4), 0
    for trial in range(600):
        (low, high), _ = mean_interval(rng.normal(0.3, 1, 40), generator(trial, "c"), 0.9)
        held += low <= 0.3 <= high
    assert 0.85 <= held / 600 <= 0.93


@pytest.mark.parametrize("n", [10, 199, 200, 5000])
@pytest.mark.parametrize("value", [0.0, -0.1])
def test_equal_differences_have_no_width(n: int, value: float) -> None:
    found, _ = mean_interval(np.full(n, value), generator(0, "x"), 0.9)
    assert found == (value, value)


@pytest.mark.parametrize(("n", "said"), [(1, "1 image is"), (9, "9 images are")])
def test_a_handful_is_refused_with_the_repair(n: int, said: str) -> None:
    with pytest.raises(UserError, match=f"{said} too few .* at least 10"):
        mean_interval(np.arange(float(n)), generator(0, "x"), 0.9)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
def test_booleans_are_a_share(pairs: list[tuple[bool, bool]]) -> None:
    found = paired([b for b, _ in pairs], [n for _, n in pairs], generator(0, "x"), 0.9)
    worse = sum(1 for before, now in pairs if before and not now)
    better = sum(1 for before, now in pairs if now and not before)
    n = len(pairs)
    assert (found.n, found.worse, found.better, found.method) == (n, worse, better, "score")
    share = sum(now for _, now in pairs) / n - sum(before for before, _ in pairs) / n
    assert found.difference == pytest.approx(share, abs=1e-12)
    assert (found.low, found.high) == score_interval(worse, better, n, 0.9)
    assert found.p_value == mcnemar(worse, better)


def test_numbers_are_a_mean() -> None:
    rng = np.random.default_rng(5)
    before, now = rng.random(300), rng.random(300)
    found = paired(before, now, generator(0, "x"), 0.9)
    assert found.difference == pytest.approx(now.mean() - before.mean())
    assert (found.low, found.high) == t_interval(now - before, 0.9)
    assert (found.method, found.worse, found.better, found.p_value) == (
        "paired t", None, None, None,
    )  # fmt: skip
    half = paired(before > 0.5, now, generator(0, "x"), 0.9)
    assert half.difference == pytest.approx(now.mean() - (before > 0.5).mean())
    assert half.method == "paired t"


def test_pairing_is_what_makes_it_narrow() -> None:
    before = np.random.default_rng(6).normal(0, 5, 400)
    now = before + np.random.default_rng(7).normal(0, 0.1, 400)
    found = paired(before, now, generator(0, "x"), 0.9)
    assert found.high - found.low == pytest.approx(2 * norm.ppf(0.95) * 0.1 / 20, rel=0.15)


def test_what_has_no_difference_is_refused() -> None:
    rng = generator(0, "x")
    with pytest.raises(ValueError, match="one length"):
        paired([True], [True, False], rng, 0.9)
    with pytest.raises(UserError, match="no image in common"):
        paired([], [], rng, 0.9)
    values = np.arange(20.0)
    for odd in (np.nan, np.inf):
        with pytest.raises(UserError, match="1 of 20 images"):
            paired(values, np.where(values == 3, odd, values), rng, 0.9)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "drop"), [(20, 0.05), (199, 0.01), (500, 0.005)])
def test_a_loss_that_was_not_drawn_is_no_pass(n: int, drop: float) -> None:
    """Where few images move, none of those that got worse may be among the ones seen."""
    rng = np.random.default_rng(0)
    passed = 0
    for trial in range(1000):
        before = np.ones(n)
        now = np.where(rng.random(n) < drop, 0.0, 1.0)
        found = paired(before, now, generator(trial), 0.9, 1.0)
        passed += found.low >= -drop
    assert passed / 1000 <= 0.05
