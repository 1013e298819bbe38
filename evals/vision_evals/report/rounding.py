"""Numbers as people read them: no more digits than the interval justifies.

Rounding happens here and nowhere else; the log keeps every digit. Tables speak in the unit that
suites are written in (``0.85``), charts and pictures in percent (``85 %``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vision_evals.log import Metric

MAX_DECIMALS = 8
"""Decimals beyond which no measurement here goes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric as people read it."""

    value: str
    unit: str
    interval: str | None
    n: str
    reason: str | None
    """Why there is no value or no interval, unless its seeds stand in its place."""


def reading(metric: Metric, value: str | None = None, *, in_percent: bool = False) -> Reading:
    """Return a metric as people read it.

    Args:
        metric: of the log.
        value: in place of its rounded value.
        in_percent: for charts; the metric must be a fraction.
    """
    return Reading(
        value=value or point(metric, in_percent=in_percent),
        unit="" if in_percent else unit(metric),
        interval=interval(metric, in_percent=in_percent),
        n=count(metric.n),
        reason=None if metric.spread and metric.value is not None else metric.reason,
    )


def decimals(low: float, high: float) -> int | None:
    """Return the decimals that show two digits of an interval's width; None for width zero.

    And for one beyond all numbers.
    """
    width = high - low
    if width <= 0 or math.isinf(width):
        return None
    return min(max(1 - math.floor(math.log10(width)), 0), MAX_DECIMALS)


def places(metric: Metric) -> int:
    """Return the decimals of a metric: by interval or seeds, else by its n, else three digits."""
    ends = _ends(metric)
    digits = None if ends is None else decimals(*ends)
    if digits is not None:
        return digits
    if metric.unit == "fraction":
        return min(max(math.ceil(math.log10(max(metric.n, 1))), 2), 4)
    if not metric.value:
        return 2
    return min(max(2 - math.floor(math.log10(abs(metric.value))), 0), MAX_DECIMALS)


def fixed(number: float, decimal_places: int) -> str:
    """Return a number with thousands separators, a true minus and never a minus zero."""
    text = f"{number:,.{decimal_places}f}" if abs(number) < 1e12 else f"{number:.3g}"
    if text.startswith("-"):
        positive = text[1:]
        return positive if not positive.strip("0.,") else "\N{MINUS SIGN}" + positive
    return text


def signed(number: float, decimal_places: int) -> str:
    """Return a difference: as `fixed`, with a plus where it is one."""
    text = fixed(number, decimal_places)
    return f"+{text}" if number > 0 and text.strip("0.") else text


def point(metric: Metric, *, in_percent: bool = False) -> str:
    """Return the value alone: ``0.85``, or ``none``; of a fraction also ``85 %``."""
    if metric.value is None:
        return "none"
    factor, digits, sign = _scale(metric, in_percent=in_percent)
    return fixed(factor * metric.value, digits) + sign


def unit(metric: Metric) -> str:
    """Return the unit; empty for a fraction."""
    return "" if metric.unit == "fraction" or metric.value is None else metric.unit


def interval(metric: Metric, *, in_percent: bool = False) -> str | None:
    """Return ``0.64 to 0.95``, or ``median of 5 seeds, 0.23 to 0.91``, or None without either.

    Args:
        metric: of the log.
        in_percent: for a fraction: ``64 to 95 %``.
    """
    ends = _ends(metric)
    if ends is None:
        return None
    factor, digits, sign = _scale(metric, in_percent=in_percent)
    low, high = (fixed(factor * end, digits) for end in ends)
    text = f"{low} to {high}{sign}"
    seeds = len(metric.spread)
    if metric.low is not None or not seeds:
        return text
    return f"median of {seeds} seeds, {text}" if seeds > 1 else "one seed"


def share(part: float) -> str:
    """Return one confidence in percent; 0 and 100 % only where they are exact."""
    if 0 < part < 0.01:
        return "< 1 %"
    if 0.99 < part < 1:
        return "> 99 %"
    return f"{fixed(100 * part, 0)} %"


def written(number: float, *, in_percent: bool = False) -> str:
    """Return a threshold or a published value with the digits it was written with."""
    scaled = 100 * number if in_percent else number
    text = f"{scaled:.6g}".replace("-", "\N{MINUS SIGN}")
    return f"{text} %" if in_percent else text


def brief(number: float) -> str:
    """Return four digits, for the tables below plots: ``0.2312``, ``1.2e+06``."""
    return f"{number:.4g}".replace("-", "\N{MINUS SIGN}")


def apart(value: float, threshold: float, decimal_places: int) -> str:
    """Return the value with so many digits that it cannot be taken for the threshold."""
    for digits in range(decimal_places, 17):
        text = fixed(value, digits)
        if value == threshold or text != fixed(threshold, digits):
            return text
    return repr(value)


def count(number: int) -> str:
    """Return ``1,500``."""
    return f"{number:,}"


def seconds(duration: float) -> str:
    """Return ``12 ms``, ``1.2 s``, ``38 s`` or ``2 min 5 s``."""
    if duration < 0.9995:
        duration = max(duration, 0.0)  # clocks are set back
        return f"{round(1000 * duration)} ms"
    if duration < 9.95:
        return f"{duration:.1f} s"
    whole = round(duration)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _ends(metric: Metric) -> tuple[float, float] | None:
    """Return the ends of the interval, else the lowest and highest over the seeds of a recipe."""
    if metric.value is None:
        return None
    if metric.low is not None and metric.high is not None:
        return metric.low, metric.high
    return (min(metric.spread), max(metric.spread)) if metric.spread else None


def _scale(metric: Metric, *, in_percent: bool) -> tuple[int, int, str]:
    """Return a factor for its numbers, their decimals, and the sign behind them."""
    return (100, max(places(metric) - 2, 0), " %") if in_percent else (1, places(metric), "")
