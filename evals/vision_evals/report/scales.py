"""Axes that several charts share: from where to where, and whether in powers of ten."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

LOGARITHMIC_RATIO = 1000.0
"""Highest over lowest, above which a straight scale would show nothing but the highest."""

BOTH_SCALES_RATIO = 20.0
"""Highest over lowest, above which a reader may choose between both scales."""

_HUGE = 1e300  # sums and differences of this stay finite


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from ``low`` to ``high``."""

    low: float
    high: float
    logarithmic: bool = False
    both: bool = False
    """Whether the values can be shown in powers of ten as well as straight."""

    def holds(self, value: float) -> bool:
        """Whether a value stands on it."""
        return self.low <= value <= self.high

    def near(self, value: float) -> float:
        """Return the value, or where it is beyond the axis, one no further than an axis off.

        A path to a loss of 1e30 would be longer than what lays out a page can count.
        """
        if self.logarithmic:
            off = self.high / self.low
            return min(max(value, self.low / off), self.high * off)
        off = self.high - self.low
        return min(max(value, self.low - off), self.high + off)


SHARES = Scale(0, 1)
"""Of shares, from 0 to 100 %."""


def across(values: Iterable[float]) -> Scale:
    """Return the x axis of numbers, from the lowest to the highest."""
    low, high = _ends([_tame(value) for value in values])
    return Scale(low, high)


def up(values: Iterable[float]) -> Scale:
    """Return the y axis of numbers.

    It starts at 0 where that takes at most half of it, and is logarithmic where the values are
    positive and more than a thousandfold apart.
    """
    numbers = [_tame(value) for value in values]
    low, high = _ends(numbers)
    apart = max(numbers) / min(numbers) if numbers and min(numbers) > 0 else 0.0
    if apart > LOGARITHMIC_RATIO:
        return Scale(low, high, logarithmic=True, both=True)
    if 0 < low <= high / 2 and apart <= BOTH_SCALES_RATIO:
        low = 0.0
    return Scale(low, high, both=apart > BOTH_SCALES_RATIO)


def places(names: Sequence[str]) -> Scale:
    """Return an axis on which x = 0, 1, 2, ... are places with names."""
    return Scale(-0.5, len(names) - 0.5)


def _tame(value: float) -> float:
    return min(max(float(value), -_HUGE), _HUGE)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    size = max(abs(low), abs(high))
    if high - low > max(1e-9 * size, 1e-100):
        return low, high
    pad = size / 10 if size > 1e-90 else 1.0  # one value needs an axis, too
    return low - pad, high + pad


@overload
def tidy(value: float) -> float: ...
@overload
def tidy(value: None) -> None: ...
def tidy(value: float | None) -> float | None:
    """Return a number with six digits, more than a screen shows; whole ones as such."""
    if value is None or not math.isfinite(value):
        return value
    short = float(f"{value:.6g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
