"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals import log
from vision_evals.report import rounding

finite = st.floats(-1e9, 1e9, allow_nan=False)
fraction = st.floats(0, 1)


def metric(
    value: float | None, low: float | None = None, high: float | None = None, **more: object
) -> log.Metric:
    fields: dict[str, object] = {
        "name": "m", "value": value, "unit": "fraction", "n": 20, "denominator": "images",
        "low": low, "high": high,
    }  # fmt: skip
    return log.Metric.model_validate(fields | more)


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (0.85, 0.6396, 0.9476, ("0.85", "0.64 to 0.95")),
        (0.949, 0.93664, 0.95905, ("0.949", "0.937 to 0.959")),
        (0.56522, 0.5609, 0.5696, ("0.5652", "0.5609 to 0.5696")),
        (1.0, 0.8389, 1.0, ("1.00", "0.84 to 1.00")),
        (12.3456, 3.2, 41.7, ("12", "3 to 42")),
    ],
)
def test_the_interval_decides_the_digits(
    value: float, low: float, high: float, shown: tuple[str, str]
) -> None:
    m = metric(value, low, high)
    assert (rounding.point(m), rounding.interval(m)) == shown


def test_without_an_interval_n_decides() -> None:
    assert rounding.point(metric(0.85)) == "0.85"
    assert rounding.point(metric(0.56522, n=50_000)) == "0.5652"
    assert rounding.point(metric(0.0012345, unit="nats")) == "0.00123"


def test_an_absent_value_is_none_never_zero() -> None:
    m = metric(None, reason="no images")
    assert rounding.point(m) == "none"
    assert rounding.point(m, in_percent=True) == "none"
    assert rounding.interval(m) is None
    assert rounding.interval(m, in_percent=True) is None


def test_percent() -> None:
    m = metric(0.949, 0.93664, 0.95905)
    assert rounding.point(m, in_percent=True) == "94.9 %"
    assert rounding.interval(m, in_percent=True) == "93.7 to 95.9 %"
    assert rounding.written(0.88, in_percent=True) == "88 %"
    assert rounding.written(0.949, in_percent=True) == "94.9 %"


def test_certainty_is_only_said_when_it_is_certain() -> None:
    assert rounding.share(1.0) == "100 %"
    assert rounding.share(0.9999) == "> 99 %"
    assert rounding.share(0.0001) == "< 1 %"
    assert rounding.share(0.0) == "0 %"


@pytest.mark.parametrize(
    ("duration", "text"),
    [(0.0, "0 ms"), (0.0123, "12 ms"), (0.9999, "1.0 s"), (3.14, "3.1 s"), (59.7, "1 min 0 s"),
     (125, "2 min 5 s"), (3600, "1 h 0 min")],
)  # fmt: skip
def test_seconds(duration: float, text: str) -> None:
    assert rounding.seconds(duration) == text


@given(finite, st.integers(0, 8))
def test_fixed_is_the_number_to_half_a_unit_and_never_minus_zero(
    number: float, digits: int
) -> None:
    text = rounding.fixed(number, digits)
    plain = text.replace(",", "").replace("\N{MINUS SIGN}", "-")
    assert abs(float(plain) - number) <= 0.5 * 10.0**-digits + 1e-6
    assert not (plain.startswith("-") and float(plain) == 0)


@given(fraction, fraction, fraction)
def test_rounding_costs_little_of_the_interval_and_keeps_its_order(
    a: float, b: float, c: float
) -> None:
    low, value, high = sorted([a, b, c])
    digits = rounding.decimals(low, high)
    if digits is None:
        assert low == high
        return
    if digits < rounding.MAX_DECIMALS:
        assert 0.5 * 10.0**-digits <= 0.05 * (high - low) * (1 + 1e-9)
    ends = [float(rounding.fixed(end, digits)) for end in (low, value, high)]
    assert ends == sorted(ends)


@given(fraction, fraction, st.integers(0, 4))
def test_a_value_never_looks_like_the_threshold_it_missed(
    value: float, threshold: float, digits: int
) -> None:
    shown = rounding.apart(value, threshold, digits)
    if value != threshold and not math.isclose(value, threshold, rel_tol=0, abs_tol=1e-16):
        assert shown != rounding.fixed(threshold, len(shown.partition(".")[2]))
