"""Tango's interval against the likelihood maximised by search, and McNemar against sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binomtest, multinomial, norm

from vision_evals.verdict.paired.shares import mcnemar, null_variance, score_interval

Counts = tuple[int, int, int]

COUNTS = st.integers(1, 400).flatmap(
    lambda n: st.integers(0, n).flatmap(
        lambda worse: st.tuples(st.just(worse), st.integers(0, n - worse), st.just(n))
    )
)
"""(worse, better, n)."""

CASES: list[Counts] = [
    (0, 0, 1), (1, 0, 1), (0, 1, 1), (0, 0, 50), (0, 12, 44), (9, 16, 75), (16, 9, 75),
    (20, 30, 50), (50, 0, 50), (1, 0, 44), (260, 240, 5000), (0, 0, 50_000), (2400, 2600, 50_000),
    (30_000, 20_000, 50_000),
]  # fmt: skip


def by_search(worse: int, better: int, n: int, margin: float) -> float:
    """Return the score statistic; the nuisance parameter is looked for, not solved for."""

    def unlikely(q: float) -> float:
        cells = ((worse, q), (better, q + margin), (n - worse - better, 1 - 2 * q - margin))
        return -sum(count * math.log(max(p, 1e-300)) for count, p in cells if count)

    low, high = max(0.0, -margin), (1 - margin) / 2
    found = minimize_scalar(
        unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-13}
    )
    q = min((low, high, float(found.x)), key=unlikely)
    variance = (2 * q + margin - margin**2) / n
    return ((better - worse) / n - margin) / math.sqrt(max(variance, 1e-300))


def score_statistic(worse: int, better: int, n: int, margin: float) -> float:
    """Return Tango's statistic: standard normal if the true difference is ``margin``."""
    away = (better - worse) / n - margin
    spread = math.sqrt(null_variance(worse / n, better / n, margin) / n)
    if spread == 0:
        return 0.0 if away == 0 else math.copysign(math.inf, away)
    return away / spread


@pytest.mark.parametrize("counts", CASES)
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_interval_inverts_the_test_by_search(counts: Counts, confidence: float) -> None:
    worse, better, n = counts
    interval, found = score_interval(*counts, confidence), (better - worse) / n
    z, tiny = float(norm.ppf((1 + confidence) / 2)), 1e-12
    for end, edge, sign in ((interval.low, -1.0, 1), (interval.high, 1.0, -1)):
        if found == edge:
            assert end == edge
            continue
        inside = found + (edge - found) * tiny
        outside = edge - (edge - found) * tiny
        expected = brentq(lambda m, s=sign: s * by_search(*counts, m) - z, inside, outside)
        assert end == pytest.approx(expected, abs=2e-7)


def test_an_unchanged_set_has_the_width_of_its_closed_form() -> None:
    """Where no image changed, n d / (1 - d) = z^2 at the ends."""
    for n in (1, 10, 5000, 50_000):
        z = float(norm.ppf(0.95))
        low, high = score_interval(0, 0, n, 0.9)
        assert high == pytest.approx(z**2 / (n + z**2), abs=1e-15)
        assert low == -high


def test_many_images_have_walds_interval() -> None:
    low, high = score_interval(24_000, 26_000, 500_000, 0.9)
    error = math.sqrt((0.1 - 0.004**2) / 500_000)
    half = float(norm.ppf(0.95)) * error
    assert (low, high) == pytest.approx((0.004 - half, 0.004 + half), abs=5e-6)


@given(COUNTS, st.floats(0.5, 0.999))
def test_ends_lie_inside_the_scale_on_either_side_and_are_rejected_from_there_on(
    counts: Counts, confidence: float
) -> None:
    worse, better, n = counts
    low, high = score_interval(*counts, confidence)
    assert -1 <= low <= (better - worse) / n <= high <= 1
    z = float(norm.ppf((1 + confidence) / 2))
    for margin in np.linspace(-1, 1, 41):
        if abs(margin - low) > 1e-9 and abs(margin - high) > 1e-9:
            assert (abs(score_statistic(*counts, float(margin))) <= z) == (low <= margin <= high)


@given(COUNTS, st.floats(0.5, 0.999), st.floats(-0.99, 0.99))
def test_swapping_the_networks_turns_everything_round(
    counts: Counts, confidence: float, margin: float
) -> None:
    worse, better, n = counts
    low, high = score_interval(worse, better, n, confidence)
    assert score_interval(better, worse, n, confidence) == pytest.approx((-high, -low), abs=1e-15)
    one, other = score_statistic(*counts, margin), score_statistic(better, worse, n, -margin)
    assert one == pytest.approx(-other)


@given(COUNTS, st.floats(0.5, 0.99))
def test_another_image_that_got_worse_never_raises_an_end(
    counts: Counts, confidence: float
) -> None:
    worse, better, n = counts
    if worse + better == n:
        return
    before = score_interval(*counts, confidence)
    after = score_interval(worse + 1, better, n, confidence)
    assert after.low <= before.low + 1e-15
    assert after.high <= before.high + 1e-15
    assert mcnemar(worse + 1, better) <= mcnemar(worse, better)


@pytest.mark.parametrize(
    ("worse", "better"), [(0.05, 0.05), (0.06, 0.04), (0.15, 0.05), (0.02, 0.01), (0.3, 0.3)]
)
def test_coverage_summed_over_every_outcome(worse: float, better: float) -> None:
    n, covered = 100, 0.0
    for a in range(n + 1):
        for b in range(n + 1 - a):
            p = float(multinomial.pmf((a, b, n - a - b), n, (worse, better, 1 - worse - better)))
            if p > 1e-9:
                low, high = score_interval(a, b, n, 0.9)
                covered += p * (low <= better - worse <= high)
    assert 0.88 <= covered <= 0.93


def test_at_margin_zero_the_statistic_is_mcnemars() -> None:
    assert score_statistic(20, 10, 500, 0.0) == pytest.approx(-10 / math.sqrt(30))
    assert score_statistic(0, 0, 500, 0.0) == 0
    assert score_statistic(0, 3, 3, -1.0) == math.inf


def test_mcnemar_against_scipy_and_a_sum() -> None:
    for worse in range(25):
        for better in range(25):
            n = worse + better
            found = mcnemar(worse, better)
            tail = sum(math.comb(n, k) for k in range(worse, n + 1)) / 2**n
            assert found == pytest.approx(tail, rel=1e-12)
            if n:
                expected = binomtest(worse, n, 0.5, alternative="greater").pvalue
                assert found == pytest.approx(expected, rel=1e-12)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 7) == 1.0


@pytest.mark.parametrize("counts", [(0, 0, 0), (-1, 0, 5), (3, 3, 5)])
def test_counts_that_do_not_fit_are_refused(counts: Counts) -> None:
    with pytest.raises(ValueError, match=r"at least one image|do not fit"):
        score_interval(*counts, 0.9)
