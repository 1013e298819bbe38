"""Axes: round steps, and values where they belong."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from evals.report.scales import MOST, across, places, shares, step, up


@pytest.mark.parametrize(
    ("width", "size"),
    [(6, 1), (7, 2), (12, 2), (13, 5), (31, 10), (0.06, 0.01), (0.032, 0.01), (1, 0.2), (5e7, 1e7)],
)
def test_steps_are_one_two_or_five_times_a_power_of_ten(width: float, size: float) -> None:
    assert step(width) == pytest.approx(size)


@pytest.mark.parametrize("width", [3.7**k for k in range(-40, 40)])
def test_a_step_is_the_smallest_round_one_that_fits(width: float) -> None:
    rounds = [m * 10.0**e for e in range(-25, 25) for m in (1, 2, 5)]
    assert step(width) == pytest.approx(min(one for one in rounds if width / one <= MOST))


def test_the_x_axis_is_to_scale_and_ends_where_the_numbers_end() -> None:
    axis = across([-16 / 255, 0, 16 / 255])
    assert [tick.text for tick in axis.ticks] == [
        "\N{MINUS SIGN}0.05", "0.00", "0.05",
    ]  # fmt: skip
    assert [axis.place(x) for x in (-16 / 255, 0, 16 / 255)] == pytest.approx([0, 0.5, 1])
    assert axis.ticks[2].place == pytest.approx((0.05 + 16 / 255) / (32 / 255))


def test_whole_numbers_have_no_halves_between_them() -> None:
    assert [tick.text for tick in across([0, 1, 2]).ticks] == ["0", "1", "2"]
    assert [tick.text for tick in across([0, 0.5]).ticks][:2] == ["0.0", "0.1"]


def test_the_y_axis_ends_at_ticks_and_holds_everything() -> None:
    axis = up([0.31, 2.3])
    assert [tick.text for tick in axis.ticks] == ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]
    assert axis.place(2.3) == pytest.approx(2.3 / 2.5)
    assert up([11, 12]).low == 11, "0 is far from these"
    assert (up([-3, 5]).low, up([-3, 5]).high) == (-4, 6)


def test_positive_numbers_far_apart_stand_on_a_logarithmic_axis() -> None:
    axis = up([1e-7, 0.5])
    assert axis.logarithmic
    values = [10.0**k for k in range(-7, 1)]
    gaps = [b - a for a, b in pairwise(map(axis.place, values))]
    assert gaps == pytest.approx([gaps[0]] * len(gaps))
    assert [tick.text for tick in axis.ticks][:2] == ["10⁻⁷", "10⁻⁵"]
    for tick in axis.ticks:
        value = axis.low * (axis.high / axis.low) ** tick.place
        assert math.log10(value) == pytest.approx(round(math.log10(value)))
    assert not up([0, 1e9]).logarithmic, "zero has no logarithm"


@pytest.mark.parametrize("values", [[], [0.0], [3.5], [-2, -2], [1e308, -1e308], [5e-324, 0]])
def test_every_axis_has_a_width(values: list[float]) -> None:
    for axis in (across(values), up(values)):
        assert axis.low < axis.high
        assert all(0 <= axis.place(value) <= 1 for value in values)
        assert all(-1e-9 <= tick.place <= 1 + 1e-9 for tick in axis.ticks)


def test_what_lies_beyond_an_axis_stays_near() -> None:
    assert shares().place(1e300) == 2
    assert shares().place(-1e300) == -1
    assert up([1e-7, 1]).place(0.0) == -1


def test_names_have_places_and_some_are_written() -> None:
    few = places(("a", "b", "c", "d"))
    assert [tick.place for tick in few.ticks] == pytest.approx([1 / 8, 3 / 8, 5 / 8, 7 / 8])
    assert [few.place(k) for k in range(4)] == pytest.approx([tick.place for tick in few.ticks])
    assert few.slant == 0
    many = places(tuple(f"features.{k}.expand3x3_activation" for k in range(94)))
    written = [tick.text for tick in many.ticks if tick.text]
    assert 10 <= len(written) <= 20
    assert len(many.ticks) == 94
    assert many.slant > 0
    assert all(len(text) <= 20 and text.endswith("activation") for text in written)
