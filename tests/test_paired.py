"""Paired differences: every number a second way, and the error rates that are promised."""

from __future__ import annotations

import functools
import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binomtest, norm, ttest_rel

from evals.log import Paired, Verdict
from evals.paired import (
    decide,
    images_needed,
    mcnemar,
    mean_interval,
    paired,
    score,
    score_interval,
    smallest_drop,
)
from evals.statistics import bootstrap, generator

GATES = 4000
"""Simulated gates behind each rate below: their standard error is at most 0.8 points."""

COUNTS = st.integers(1, 300).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n)).flatmap(
        lambda pair: st.tuples(
            st.just(pair[0]), st.integers(0, pair[1] - pair[0]), st.just(pair[1])
        )
    )
)


def share(worse: int, better: int, n: int, confidence: float = 0.9) -> Paired:
    before = np.array([True] * worse + [False] * (n - worse))
    now = np.array([False] * worse + [True] * better + [False] * (n - worse - better))
    found = paired(before, now, generator(0), confidence)
    assert found is not None
    return found


def log_likelihood(q: float, difference: float, worse: int, better: int, n: int) -> float:
    """Of the three kinds of images, where ``q`` is the share that got worse."""
    parts = ((worse, q), (better, q + difference), (n - worse - better, 1 - 2 * q - difference))
    return sum(k * math.log(max(p, 1e-300)) for k, p in parts if k)


def by_search(worse: int, better: int, n: int, difference: float) -> float:
    """Return the score statistic with the restricted likelihood maximised by a search."""
    low, high = max(0.0, -difference), (1 - difference) / 2
    found = minimize_scalar(
        lambda q: -log_likelihood(q, difference, worse, better, n),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-12},
    )
    q = found.x
    return (better - worse - n * difference) / math.sqrt(n * (2 * q + difference - difference**2))


@pytest.mark.parametrize(
    ("worse", "better", "n"), [(12, 5, 80), (1, 0, 30), (40, 38, 500), (0, 9, 25), (30, 30, 60)]
)
@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.99])
def test_the_interval_holds_what_the_score_test_does_not_reject(
    worse: int, better: int, n: int, confidence: float
) -> None:
    interval = score_interval(worse, better, n, confidence)
    z = float(norm.ppf((1 + confidence) / 2))
    found = (better - worse) / n
    low = brentq(lambda d: by_search(worse, better, n, d) - z, -0.98, found)
    high = brentq(lambda d: by_search(worse, better, n, d) + z, found, 0.98)
    assert interval == pytest.approx((low, high), abs=2e-5)


@pytest.mark.parametrize("n", [1, 20, 5000, 50_000])
def test_without_a_flip_the_interval_has_a_closed_form(n: int) -> None:
    z2 = float(norm.ppf(0.95)) ** 2
    interval = score_interval(0, 0, n, 0.9)
    assert interval == pytest.approx((-z2 / (n + z2), z2 / (n + z2)), rel=1e-9)


@given(COUNTS)
def test_the_interval_is_symmetric_and_holds_the_difference(counts: tuple[int, int, int]) -> None:
    worse, better, n = counts
    low, high = score_interval(worse, better, n, 0.9)
    other = score_interval(better, worse, n, 0.9)
    assert other == pytest.approx((-high, -low), abs=1e-9)
    assert -1 <= low <= (better - worse) / n <= high <= 1
    wider = score_interval(worse, better, n, 0.99)
    assert wider.low <= low
    assert wider.high >= high


@given(COUNTS)
def test_at_zero_the_score_is_mcnemars(counts: tuple[int, int, int]) -> None:
    worse, better, n = counts
    if worse + better:
        expected = (better - worse) / math.sqrt(worse + better)
        assert score(worse, better, n, 0.0) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("counts", [(1, 0, 0), (3, 0, 2), (-1, 0, 5)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="worse and"):
        score_interval(*counts, 0.9)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_a_sum_of_coins(worse: int, better: int) -> None:
    m = worse + better
    by_hand = sum(math.comb(m, k) for k in range(worse, m + 1)) / 2**m
    assert mcnemar(worse, better) == pytest.approx(by_hand)
    if m:
        expected = binomtest(worse, m, alternative="greater").pvalue
        assert mcnemar(worse, better) == pytest.approx(expected)


@pytest.mark.parametrize("side", ["at_least", "at_most"])
def test_without_a_margin_a_gate_is_the_exact_test(side: Literal["at_least", "at_most"]) -> None:
    for worse in range(31):
        for better in range(31):
            lost = (worse, better) if side == "at_least" else (better, worse)
            p = 1.0
            if worse + better:
                p = binomtest(lost[0], worse + better, alternative="greater").pvalue
            wanted = Verdict.FAILED if p <= 0.05 else Verdict.PASSED
            assert decide(share(worse, better, 100), 0.0, side, 0.05) is wanted


@pytest.mark.parametrize(("n", "verdict"), [(4, Verdict.INCONCLUSIVE), (5, Verdict.PASSED)])
def test_so_few_images_that_no_loss_could_show_decide_nothing(n: int, verdict: Verdict) -> None:
    assert decide(share(0, 0, n), 0.0, "at_least", 0.05) is verdict
    # five of five is the least that fails
    assert decide(share(n, 0, n), 0.0, "at_least", 0.05) is (
        Verdict.INCONCLUSIVE if n == 4 else Verdict.FAILED
    )


@given(COUNTS, st.floats(-0.5, 0.5).filter(lambda margin: margin != 0))
def test_the_two_sides_mirror_each_other(counts: tuple[int, int, int], margin: float) -> None:
    worse, better, n = counts
    assert decide(share(worse, better, n), margin, "at_least", 0.05) is decide(
        share(better, worse, n), -margin, "at_most", 0.05
    )


@functools.cache
def verdict_of(worse: int, better: int, margin: float) -> Verdict:
    return decide(share(worse, better, 5000), margin, "at_least", 0.05)


def rates(drop: float, margin: float, seed: str) -> dict[Verdict, float]:
    """Return how often 4,000 gates on 5,000 images, of which a tenth flip, come out each way."""
    shares = [(0.1 + drop) / 2, (0.1 - drop) / 2, 0.9]
    drawn = generator(0, seed).multinomial(5000, shares, size=GATES)
    found = [verdict_of(int(worse), int(better), margin) for worse, better, _ in drawn]
    return {verdict: found.count(verdict) / GATES for verdict in Verdict}


def test_a_drop_of_just_the_margin_fails_as_often_as_promised() -> None:
    assert 0.04 <= rates(0.01, -0.01, "on the margin")[Verdict.FAILED] <= 0.06


def test_an_equal_network_hardly_ever_fails_and_mostly_passes() -> None:
    found = rates(0.0, -0.01, "equal")
    assert found[Verdict.FAILED] < 0.005
    assert 0.70 <= found[Verdict.PASSED] <= 0.75


def test_twice_the_margin_mostly_fails() -> None:
    assert 0.70 <= rates(0.02, -0.01, "twice")[Verdict.FAILED] <= 0.75


def test_without_a_margin_two_points_fail_and_no_loss_does_not() -> None:
    assert rates(0.02, 0.0, "two points")[Verdict.FAILED] >= 0.99
    assert rates(0.0, 0.0, "none")[Verdict.FAILED] <= 0.05


def test_the_images_that_are_said_to_be_needed_give_that_power() -> None:
    needed = images_needed(share(50, 50, 1000), -0.01, "at_least", 0.05)
    assert needed is not None
    # FIELD's formula: (1.645 + 0.842)^2 d / delta^2
    assert needed == math.ceil((norm.ppf(0.95) + norm.ppf(0.8)) ** 2 * 0.1 / 0.01**2)
    drawn = generator(0, "power").multinomial(needed, [0.05, 0.05, 0.9], size=1000)
    passed = [
        decide(share(int(worse), int(better), needed), -0.01, "at_least", 0.05) is Verdict.PASSED
        for worse, better, _ in drawn
    ]
    assert 0.76 <= np.mean(passed) <= 0.84


def test_no_flip_at_all_still_needs_images() -> None:
    needed = images_needed(share(0, 0, 20), -0.02, "at_least", 0.05)
    assert needed is not None
    assert decide(share(0, 0, needed), -0.02, "at_least", 0.05) is Verdict.PASSED
    assert decide(share(0, 0, needed - 2), -0.02, "at_least", 0.05) is Verdict.INCONCLUSIVE


def test_no_number_of_images_shows_a_gain_that_is_not_there() -> None:
    assert images_needed(share(10, 12, 1000), 0.05, "at_least", 0.05) is None
    assert images_needed(share(0, 200, 1000), 0.1, "at_least", 0.05) is not None


def test_the_smallest_drop_is_found_eight_times_in_ten() -> None:
    drop = smallest_drop(share(50, 50, 1000), 0.05)
    drawn = generator(0, "drop").multinomial(
        1000, [(0.1 + drop) / 2, (0.1 - drop) / 2, 0.9], size=2000
    )
    failed = [mcnemar(int(worse), int(better)) <= 0.05 for worse, better, _ in drawn]
    assert 0.74 <= np.mean(failed) <= 0.84  # the exact test is a little shy
    assert smallest_drop(share(0, 0, 100), 0.05) == 0.05  # five of a hundred


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_many_differences_have_a_t_interval(confidence: float) -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(size=200)
    now = before + rng.normal(0.1, 0.5, size=200)
    found = paired(before, now, generator(0), confidence)
    assert found is not None
    assert found.method == "paired t"
    expected = ttest_rel(now, before).confidence_interval(confidence)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.difference == pytest.approx(now.mean() - before.mean())
    # the scatter is read back from the interval where images needed are counted
    needed = images_needed(found, -0.01, "at_least", (1 - confidence) / 2)
    z = norm.ppf((1 + confidence) / 2) + norm.ppf(0.8)
    assert needed == math.ceil(z**2 * (now - before).var(ddof=1) / 0.01**2)


def test_fewer_have_a_seeded_bootstrap_and_too_few_nothing() -> None:
    rng = np.random.default_rng(1)
    before, now = rng.normal(size=(2, 199))
    first, second = (paired(before, now, generator(3, "x"), 0.9) for _ in range(2))
    assert first == second
    assert first is not None
    assert first.method == "bootstrap"
    by_hand = bootstrap(np.mean, (now - before,), generator(3, "x"), 0.9)
    assert (first.low, first.high) == pytest.approx(by_hand)
    assert paired(before[:9], now[:9], generator(0), 0.9) is None
    assert paired(before[:10], now[:10], generator(0), 0.9) is not None


@pytest.mark.parametrize("n", [10, 500])
def test_equal_values_differ_by_nothing(n: int) -> None:
    values = np.linspace(0, 1, n)
    found = paired(values, values, generator(0), 0.9)
    assert found is not None
    assert (found.low, found.difference, found.high) == (0, 0, 0)
    assert decide(found, -0.01, "at_least", 0.05) is Verdict.PASSED
    assert decide(found, 0.0, "at_most", 0.05) is Verdict.PASSED


@settings(max_examples=30)
@given(st.floats(-0.3, 0.3), st.sampled_from([-0.1, 0.1]))
def test_means_are_decided_by_their_interval(shift: float, margin: float) -> None:
    rng = np.random.default_rng(2)
    before = rng.normal(size=300)
    found = paired(before, before + shift + rng.normal(0, 0.2, 300), generator(0), 0.9)
    assert found is not None
    verdict = decide(found, margin, "at_least", 0.05)
    assert (verdict is Verdict.FAILED) == (found.high < margin)
    assert (verdict is Verdict.PASSED) == (found.low >= margin)


def test_the_t_interval_covers_as_promised() -> None:
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(1000):
        low, high = mean_interval(rng.exponential(size=200) - 1, rng, 0.9)[0]
        hits += low <= 0 <= high
    assert 0.87 <= hits / 1000 <= 0.93
