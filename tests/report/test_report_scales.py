"""Axes: from where to where, and whether in powers of ten."""

from __future__ import annotations

import math

import pytest

from vision_evals.report.scales import SHARES, across, places, tidy, up


def test_the_x_axis_ends_where_the_numbers_end() -> None:
    axis = across([-16 / 255, 0, 16 / 255])
    assert (axis.low, axis.high) == (-16 / 255, 16 / 255)
    assert not axis.logarithmic


def test_the_y_axis_starts_at_zero_where_that_costs_less_than_half() -> None:
    assert (up([0.31, 2.3]).low, up([0.31, 2.3]).high) == (0, 2.3)
    assert up([11, 12]).low == 11, "0 is far from these"
    assert (up([-3, 5]).low, up([-3, 5]).high) == (-3, 5)


def test_positive_numbers_far_apart_stand_on_a_logarithmic_axis() -> None:
    axis = up([1e-7, 0.5])
    assert axis.logarithmic
    assert axis.low == 1e-7
    assert not up([0, 1e9]).logarithmic, "zero has no logarithm"


@pytest.mark.parametrize(
    ("values", "both"),
    [([1, 10], False), ([1, 30], True), ([1, 3000], True), ([0, 30], False), ([-1, 30], False)],
)
def test_a_reader_may_choose_where_both_scales_show_something(
    values: list[float], both: bool
) -> None:
    axis = up(values)
    assert axis.both is both
    assert axis.low > 0 or not both, "a logarithmic scale has no zero"


@pytest.mark.parametrize("values", [[], [0.0], [3.5], [-2, -2], [1e308, -1e308], [5e-324, 0]])
def test_every_axis_has_a_width(values: list[float]) -> None:
    for axis in (across(values), up(values)):
        assert axis.low < axis.high
        assert math.isfinite(axis.high - axis.low)


def test_names_have_places() -> None:
    assert (places("abcd").low, places("abcd").high) == (-0.5, 3.5)


def test_what_lies_beyond_an_axis_is_told() -> None:
    assert SHARES.holds(1)
    assert not SHARES.holds(1.01)
    assert not SHARES.holds(-0.01)


def test_tidy_keeps_six_digits() -> None:
    assert tidy(0.1 + 0.2) == 0.3
    assert tidy(1e-12) == 1e-12
    assert tidy(1234567.0) == 1234570
    assert str(tidy(3.0)) == "3"
    assert tidy(None) is None


def test_what_lies_beyond_an_axis_is_drawn_near_it() -> None:
    assert SHARES.near(0.3) == 0.3
    assert (SHARES.near(1e30), SHARES.near(-1e30)) == (2, -1)
    powers = up([1e-7, 1])
    assert powers.near(0.0) == pytest.approx(1e-14)
    assert powers.near(1e300) == pytest.approx(1e7)
