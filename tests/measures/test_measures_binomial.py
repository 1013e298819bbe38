"""Binomial tails against scipy.stats, and against exact sums of fractions."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from vision_evals.measures.binomial import at_least, at_most

COUNTS = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
CHANCES = st.sampled_from([0.001, 0.01, 0.05, 0.5, 0.75, 0.999])


@given(COUNTS, CHANCES)
def test_against_scipy_stats(counts: tuple[int, int], chance: float) -> None:
    greater = binomtest(*counts, chance, alternative="greater").pvalue
    assert at_least(*counts, chance) == pytest.approx(greater, rel=1e-9, abs=1e-300)
    less = binomtest(*counts, chance, alternative="less").pvalue
    assert at_most(*counts, chance) == pytest.approx(less, rel=1e-9, abs=1e-300)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_against_exact_sums(counts: tuple[int, int]) -> None:
    successes, n = counts
    exact = Fraction(sum(comb(n, k) for k in range(successes, n + 1)), 2**n)
    assert at_least(successes, n) == pytest.approx(float(exact), rel=1e-12)
    exact = Fraction(sum(comb(n, k) for k in range(successes + 1)), 2**n)
    assert at_most(successes, n) == pytest.approx(float(exact), rel=1e-12)


def test_no_trial_is_certain() -> None:
    assert at_least(0, 0) == at_most(0, 0) == 1.0
