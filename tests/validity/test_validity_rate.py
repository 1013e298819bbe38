"""A rate falls when chance would not give it, and holds only where it could have fallen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from vision_evals.validity.check import rate

COUNTS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
LIMITS = st.floats(0.001, 0.5)


@given(COUNTS, LIMITS)
def test_against_scipy(count: tuple[int, int], limit: float) -> None:
    bad, n = count
    seen = binomtest(bad, n, limit, alternative="greater").pvalue
    worst = binomtest(n, n, limit, alternative="greater").pvalue
    outcome = rate(bad, n, limit, "bad").outcome
    assert (outcome == "failed") == (seen < 0.01)
    assert (outcome == "passed") == (seen >= 0.01 and bad / n <= limit and worst < 0.01)


@given(COUNTS, LIMITS)
def test_one_more_is_never_better(count: tuple[int, int], limit: float) -> None:
    bad, n = count
    grave = ["passed", "undecided", "failed"]
    said = [grave.index(rate(k, n, limit, "bad").outcome) for k in range(bad, n + 1)]
    assert said == sorted(said)


@given(COUNTS, LIMITS, LIMITS)
def test_a_stricter_limit_is_never_kinder_to_what_fell(
    count: tuple[int, int], one: float, other: float
) -> None:
    strict, loose = sorted((one, other))
    if rate(*count, loose, "bad").outcome == "failed":
        assert rate(*count, strict, "bad").outcome == "failed"


def test_nothing_looked_at() -> None:
    found = rate(0, 0, 0.05, "images")
    assert found == ("undecided", "0 of 0 images, at most 0.05 of them allowed; too few to decide")
