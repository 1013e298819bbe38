"""Axes: from the numbers that must fit to round ticks, and from a number to its place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evals.report import rounding

MOST = 6
"""Steps between the ticks of an axis, at most."""

WORDS = 11
"""Short words that fit under a frame; of more every second, third, ... is written."""

SLANTED = 20
"""Long words that fit when they stand aslant."""

LINE = 44
"""Letters that fit side by side under a frame on a narrow screen."""

LETTERS = 20
"""Of a long word; module paths differ at their end, so that is what is kept."""

LOGARITHMIC = 1000.0
"""Highest over lowest, above which a straight scale would show nothing but the highest."""

_HUGE = 1e300  # sums and differences of this stay finite
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Tick:
    """A value of an axis, at a share of its length; without a text there is only its line."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from ``low`` to ``high``."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    logarithmic: bool = False
    slant: float = 0.0
    """Height in em that words aslant take; 0 for words that stand upright."""

    def place(self, value: float) -> float:
        """Return the share of the axis at which a value stands, no further than one axis off."""
        low, high, value = self.low, self.high, _tame(value)
        if self.logarithmic:
            if value <= 0:
                return -1.0
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return min(max((value - low) / (high - low), -1.0), 2.0)


def step(width: float, most: int = MOST, least: float = 0.0) -> float:
    """Return 1, 2 or 5 times a power of ten: the smallest that takes ``most`` steps or fewer."""
    raw = width / most
    power = 10.0 ** math.floor(math.log10(raw))
    return max(next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9)), least)


def across(values: Iterable[float]) -> Scale:
    """Return the x axis of numbers, to scale, from the lowest to the highest."""
    known = [_tame(value) for value in values]
    low, high = _ends(known)
    size = step(high - low, least=float(all(value.is_integer() for value in known)))
    first, last = math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9)
    return _straight(low, high, [(k * size) for k in range(first, last + 1)], size)


def up(values: Iterable[float]) -> Scale:
    """Return the y axis of numbers, with a tick at either end.

    It starts at 0 where that takes at most half of it, and is logarithmic where the values are
    positive and more than a thousandfold apart.
    """
    known = [_tame(value) for value in values]
    low, high = _ends(known)
    if known and min(known) > 0 and max(known) / min(known) > LOGARITHMIC:
        return _decades(min(known), max(known))
    if 0 < low <= high / 2:
        low = 0.0
    size = step(high - low)
    first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
    return _straight(first * size, last * size, [(k * size) for k in range(first, last + 1)], size)


def shares() -> Scale:
    """Return the axis of shares, from 0 to 100 %."""
    quarters = (0, 25, 50, 75, 100)
    texts = (f"{quarter}{' %' if quarter == 100 else ''}" for quarter in quarters)
    return Scale(0, 1, tuple(Tick(q / 100, text) for q, text in zip(quarters, texts, strict=True)))


def places(names: Sequence[str]) -> Scale:
    """Return an axis on which x = 0, 1, 2, ... are places with names."""
    fits = len(names) <= WORDS and sum(map(len, names)) <= LINE
    short = all(len(name) <= 8 for name in names)
    every = -(-len(names) // (WORDS if fits or short else SLANTED))
    texts = [_cut(name) if rank % every == 0 else "" for rank, name in enumerate(names)]
    slant = 0.0 if fits or short else 1.5 + 0.5 * max(map(len, texts))
    ticks = tuple(Tick((rank + 0.5) / len(names), text) for rank, text in enumerate(texts))
    return Scale(-0.5, len(names) - 0.5, ticks, slant=slant)


def _tame(value: float) -> float:
    return min(max(float(value), -_HUGE), _HUGE)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    size = max(abs(low), abs(high))
    if high - low > max(1e-9 * size, 1e-100):
        return low, high
    pad = size / 10 if size > 1e-90 else 1.0  # one value needs an axis, too
    return low - pad, high + pad


def _straight(low: float, high: float, values: Sequence[float], size: float) -> Scale:
    digits = max(-math.floor(math.log10(size) + 1e-9), 0)
    plain = digits <= rounding.MOST and max(abs(low), abs(high)) < 1e5
    texts = [rounding.fixed(v, digits) if plain else rounding.brief(v) for v in values]
    ticks = (
        Tick((value - low) / (high - low), text) for value, text in zip(values, texts, strict=True)
    )
    return Scale(low, high, tuple(ticks))


def _decades(lowest: float, highest: float) -> Scale:
    low, high = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
    every = -(-(high - low) // MOST)
    high = low + every * -(-(high - low) // every)
    ticks = tuple(Tick((k - low) / (high - low), _power(k)) for k in range(low, high + 1, every))
    return Scale(10.0**low, 10.0**high, ticks, logarithmic=True)


def _power(exponent: int) -> str:
    if -3 <= exponent <= 3:
        return rounding.written(10.0**exponent)
    return f"10{str(exponent).translate(_SUPERSCRIPTS)}"


def _cut(name: str) -> str:
    return name if len(name) <= LETTERS else "…" + name[1 - LETTERS :].lstrip(".")
