"""Gates: on a grid of outcomes, on thousands of simulated candidates, and what they can see."""

from __future__ import annotations

import functools
import math
from collections import Counter
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, multinomial, nct, t

from vision_evals.log import Paired, Verdict
from vision_evals.measures.intervals import generator
from vision_evals.verdict.paired.decide import decide, images_needed, p_value, smallest_drop
from vision_evals.verdict.paired.difference import paired
from vision_evals.verdict.paired.shares import mcnemar, score_interval

Side = Literal["at_least", "at_most"]


@functools.cache
def share(worse: int, better: int, n: int, confidence: float = 0.9) -> Paired:
    low, high = score_interval(worse, better, n, confidence)
    return Paired(
        n=n, difference=(better - worse) / n, low=low, high=high, confidence=confidence,
        method="score", worse=worse, better=better, p_value=mcnemar(worse, better),
    )  # fmt: skip


def mean(low: float, high: float, n: int = 400, confidence: float = 0.9) -> Paired:
    return Paired(
        n=n, difference=(low + high) / 2, low=low, high=high, confidence=confidence,
        method="paired t",
    )  # fmt: skip


@functools.cache
def rates(drop: float, margin: float, side: Side = "at_least") -> dict[Verdict, float]:
    """Return how 4,000 seeded gates end: n = 5,000, of which 10 % change."""
    sign = 1 if side == "at_least" else -1
    cells = (0.05 + sign * drop / 2, 0.05 - sign * drop / 2, 0.9)
    drawn = generator(0, "gates", str(drop), side).multinomial(5000, cells, size=4000)
    ends: Counter[Verdict] = Counter()
    for (worse, better), times in Counter(map(tuple, drawn[:, :2].tolist())).items():
        ends[decide(share(worse, better, 5000), -sign * margin, side, 0.05)] += times
    return {verdict: ends[verdict] / 4000 for verdict in Verdict}


@pytest.mark.parametrize("side", ["at_least", "at_most"])
@pytest.mark.parametrize(
    ("drop", "margin", "verdict", "low", "high"),
    [
        (0.01, 0.01, Verdict.FAILED, 0.04, 0.06),
        (0.01, 0.01, Verdict.PASSED, 0.04, 0.06),
        (0.0, 0.01, Verdict.FAILED, 0.0, 0.005),
        (0.0, 0.01, Verdict.PASSED, 0.70, 0.75),
        (0.02, 0.01, Verdict.FAILED, 0.70, 0.75),
        (0.02, 0.0, Verdict.FAILED, 0.99, 1.0),
        (0.0, 0.0, Verdict.FAILED, 0.03, 0.05),
    ],
)
def test_thousands_of_gates_end_as_they_must(
    side: Side, drop: float, margin: float, verdict: Verdict, low: float, high: float
) -> None:
    assert low <= rates(drop, margin, side)[verdict] <= high


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_at_margin_zero_the_gate_is_exact_mcnemar(alpha: float) -> None:
    for worse in range(26):
        for better in range(26):
            found = share(worse, better, 60, 1 - 2 * alpha)
            for side, bad, good in (("at_least", worse, better), ("at_most", better, worse)):
                p = binomtest(bad, bad + good, alternative="greater").pvalue if bad + good else 1.0
                expected = Verdict.FAILED if p <= alpha else Verdict.PASSED
                assert decide(found, 0.0, side, alpha) is expected  # type: ignore[arg-type]
                assert p_value(found, side) == pytest.approx(p)  # type: ignore[arg-type]


def test_too_few_images_to_fail_are_no_pass() -> None:
    """Four coins of four: 1/16 > 0.05, and nothing could have failed."""
    for n in range(1, 9):
        could = decide(share(n, 0, n), 0.0, "at_least", 0.05) is Verdict.FAILED
        assert could == (n >= 5)
        passed = decide(share(0, n, n), 0.0, "at_least", 0.05)
        assert passed is (Verdict.PASSED if could else Verdict.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("low", "high", "at_least", "at_most"),
    [
        (-0.03, -0.02, "failed", "passed"),
        (-0.03, -0.01, "inconclusive", "passed"),
        (-0.02, 0.02, "inconclusive", "inconclusive"),
        (-0.01, 0.02, "passed", "inconclusive"),
        (0.0, 0.02, "passed", "failed"),
        (-0.01, -0.01, "passed", "passed"),
    ],
)
def test_a_mean_beyond_within_or_across_its_margin(
    low: float, high: float, at_least: str, at_most: str
) -> None:
    assert decide(mean(low, high), -0.01, "at_least", 0.05) == at_least
    assert decide(mean(low, high), -0.01, "at_most", 0.05) == at_most
    assert decide(mean(-high, -low), 0.01, "at_most", 0.05) == at_least


def test_a_mean_at_margin_zero_fails_only_on_a_shown_drop() -> None:
    for low, high, expected in ((-2, -1, "failed"), (-2, 0, "passed"), (0, 0, "passed")):
        assert decide(mean(low, high), 0.0, "at_least", 0.05) == expected
        assert decide(mean(-high, -low), 0.0, "at_most", 0.05) == expected


@given(st.integers(0, 60), st.integers(0, 60), st.floats(-0.2, 0.2))
def test_the_sides_are_mirror_images(worse: int, better: int, margin: float) -> None:
    one = decide(share(worse, better, 200), margin, "at_least", 0.05)
    assert decide(share(better, worse, 200), -margin, "at_most", 0.05) is one


def test_an_interval_for_another_alpha_decides_nothing() -> None:
    with pytest.raises(ValueError, match=r"0\.95 does not decide at alpha 0\.05"):
        decide(share(3, 3, 60, 0.95), -0.1, "at_least", 0.05)
    assert decide(share(3, 3, 60, 0.95), -0.1, "at_least", 0.025)


def passing(n: int, changed: float, margin: float, true: float = 0.0) -> float:
    """Return the probability that a share passes, summed over the outcomes."""
    cells = ((changed - true) / 2, (changed + true) / 2, 1 - changed)
    total, reach = 0.0, 6 * math.sqrt(n * changed / 2)
    spans = [range(max(0, int(n * p - reach)), int(n * p + reach)) for p in cells[:2]]
    for worse in spans[0]:
        for better in spans[1]:
            if worse + better <= n:
                p = float(_likely(worse, better, n, cells))
                verdict = decide(share(worse, better, n), margin, "at_least", 0.05)
                total += p * (verdict is Verdict.PASSED)
    return total


def _likely(worse: int, better: int, n: int, cells: tuple[float, float, float]) -> float:
    counts = (worse, better, n - worse - better)
    log = math.lgamma(n + 1) - sum(math.lgamma(k + 1) for k in counts)
    return math.exp(log + sum(k * math.log(p) for k, p in zip(counts, cells, strict=True)))


def test_the_images_needed_are_those_that_pass_four_in_five() -> None:
    assert float(multinomial.pmf((3, 4, 13), 20, (0.1, 0.2, 0.7))) == pytest.approx(
        _likely(3, 4, 20, (0.1, 0.2, 0.7))
    )
    needed = images_needed(share(10, 10, 100), -0.06, "at_least", 0.05)
    assert needed is not None
    assert passing(needed, 0.2, -0.06) == pytest.approx(0.8, abs=0.015)
    assert passing(int(0.8 * needed), 0.2, -0.06) < 0.75
    assert images_needed(share(10, 10, 100), 0.06, "at_most", 0.05) == needed
    # the difference found is noise: it changes nothing
    assert images_needed(share(15, 5, 100), -0.06, "at_least", 0.05) == needed


def test_the_images_needed_of_the_issues_gate() -> None:
    """By the normal approximation (1.645 + 0.842)^2 0.1 / 0.01^2 = 6,183."""
    needed = images_needed(share(260, 240, 5000), -0.01, "at_least", 0.05)
    assert needed == pytest.approx(6183, rel=0.01)


def test_a_gain_is_only_reached_by_a_gain() -> None:
    assert images_needed(share(10, 10, 100), 0.02, "at_least", 0.05) is None
    assert images_needed(share(10, 11, 100), 0.02, "at_least", 0.05) is None
    needed = images_needed(share(6, 14, 100), 0.02, "at_least", 0.05)
    assert needed is not None
    assert passing(needed, 0.2, 0.02, true=0.08) == pytest.approx(0.8, abs=0.02)


def test_where_no_image_changed_the_interval_must_shrink_into_the_margin() -> None:
    needed = images_needed(share(0, 0, 20), -0.01, "at_least", 0.05)
    assert needed is not None
    assert decide(share(0, 0, needed), -0.01, "at_least", 0.05) is Verdict.PASSED
    assert decide(share(0, 0, needed - 1), -0.01, "at_least", 0.05) is Verdict.INCONCLUSIVE


@given(
    st.integers(0, 60),
    st.integers(0, 60),
    st.floats(-1.5, 1.5).filter(lambda margin: abs(margin) > 1e-3),
    st.sampled_from(["at_least", "at_most"]),
)
def test_a_need_is_a_number_or_none_whatever_was_found(
    worse: int, better: int, margin: float, side: Side
) -> None:
    needed = images_needed(share(worse, better, 120), margin, side, 0.05)
    allows = margin < 0 if side == "at_least" else margin > 0
    assert (needed is None) <= (not allows)
    assert needed is None or needed >= 1


def test_at_margin_zero_as_many_are_needed_as_could_fail() -> None:
    assert images_needed(share(1, 1, 3), 0.0, "at_least", 0.05) == 5
    assert images_needed(share(1, 1, 3, 0.98), 0.0, "at_least", 0.01) == 7
    assert images_needed(mean(-1, 1), 0.0, "at_least", 0.05) is None


def test_a_mean_by_the_noncentral_t() -> None:
    drawn = np.random.default_rng(8).normal(0, 2, 400)
    deviation = drawn.std(ddof=1)
    found = paired(np.zeros(400), drawn, generator(0, "x"), 0.9)
    needed = images_needed(found, -0.2, "at_least", 0.05)
    assert needed is not None

    def power(n: int, away: float) -> float:
        return float(nct.sf(t.ppf(0.95, n - 1), n - 1, away * math.sqrt(n) / deviation))

    assert power(needed, 0.2) == pytest.approx(0.8, abs=0.005)
    assert images_needed(found, 0.2, "at_most", 0.05) == needed
    drop = smallest_drop(found, 0.05)
    assert drop is not None
    assert power(400, drop) == pytest.approx(0.8, abs=0.005)


@pytest.mark.parametrize(("worse", "better", "n"), [(4, 4, 40), (0, 0, 40), (30, 20, 300)])
def test_the_smallest_drop_is_caught_four_times_in_five(worse: int, better: int, n: int) -> None:
    found = share(worse, better, n)
    drop = smallest_drop(found, 0.05)
    assert drop is not None
    changed = max((worse + better) / n, drop)
    cells = ((changed + drop) / 2, (changed - drop) / 2, 1 - changed)
    drawn = generator(1, "drop", str(n)).multinomial(n, np.clip(cells, 0, 1), size=8000)
    counted = Counter(map(tuple, drawn[:, :2].tolist()))
    failed = sum(
        times
        for (a, b), times in counted.items()
        if decide(share(a, b, n), 0.0, "at_least", 0.05) is Verdict.FAILED
    )
    assert failed / 8000 == pytest.approx(0.8, abs=0.02)


def test_the_smallest_drop_of_the_issues_gate() -> None:
    """(1.645 + 0.842) sqrt(0.1 / 5,000) = 1.11 points; the exact test asks a little more."""
    drop = smallest_drop(share(250, 250, 5000), 0.05)
    assert drop == pytest.approx(0.0112, abs=0.0003)


def test_so_few_images_catch_nothing() -> None:
    assert smallest_drop(share(0, 0, 4), 0.05) is None
    # all five must get worse: d^5 = 0.8
    assert smallest_drop(share(0, 0, 5), 0.05) == pytest.approx(0.8**0.2, abs=1e-5)


def test_an_alpha_that_is_exactly_a_tail_is_reached() -> None:
    """All of four: p = 1/16 <= 1/16."""
    found = share(4, 0, 4, 0.875)
    assert found.p_value == 0.0625
    assert decide(found, 0.0, "at_least", 0.0625) is Verdict.FAILED
    # every image changes, and all four must get worse: ((1 + d) / 2)^4 = 0.8
    assert smallest_drop(found, 0.0625) == pytest.approx(2 * 0.8**0.25 - 1, abs=1e-5)
