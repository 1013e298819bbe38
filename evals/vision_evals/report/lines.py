"""A metric over places: checkpoints of a training, runs of a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from vision_evals.log import Line, Metric, Plot
from vision_evals.report import rounding
from vision_evals.report.scales import SHARES
from vision_evals.report.words import with_point

At = tuple[str, str | None]
"""Name of a metric, and its value of the axis."""


def line(name: str, points: Sequence[tuple[float, Metric | None]]) -> Line:
    """Return a metric at some places as a line with intervals; where there is none, it breaks."""
    metrics = [metric for _, metric in points]

    def values(of: Callable[[Metric], float | None]) -> tuple[float | None, ...]:
        return tuple(None if metric is None else of(metric) for metric in metrics)

    return Line(
        name=name,
        x=tuple(place for place, _ in points),
        y=values(lambda metric: metric.value),
        low=values(lambda metric: metric.low),
        high=values(lambda metric: metric.high),
    )


def plot(
    metric: Metric,
    at: str | None,
    lines: Sequence[Line],
    x_label: str,
    remarks: Sequence[str] = (),
    ticks: Sequence[str] = (),
) -> Plot:
    """Return the plot of a metric.

    Args:
        metric: says unit, direction and meaning.
        at: value of its axis that all lines are at; None without one, or of several.
        lines: those without a value are left out.
        x_label: of the places.
        remarks: what else must be known to read it.
        ticks: names of the places 0, 1, 2, ... where they have any.
    """
    drawn = tuple(line for line in lines if count_values(line))
    ends = [end for line in drawn for end in (*line.y, *line.low, *line.high) if end is not None]
    about = [metric.about, "" if metric.higher_is_better else "Lower is better.", *remarks]
    return Plot(
        title=with_point(metric.name, at),
        about=" ".join(filter(None, about)),
        x_label=x_label,
        y_label="share" if metric.unit == "fraction" else metric.unit,
        lines=drawn,
        ticks=tuple(ticks),
        # a difference of shares has their unit, and may be negative
        share=metric.unit == "fraction" and all(map(SHARES.holds, ends)),
    )


def grounds(metrics: Iterable[Metric]) -> Iterator[str]:
    """Yield what the numbers of a chart rest on: their n, and why none of them has an interval."""
    measured = [metric for metric in metrics if metric.value is not None]
    if not measured:
        return
    counts = sorted({metric.n for metric in measured})
    n = " to ".join(dict.fromkeys(map(rounding.count, (counts[0], counts[-1]))))
    yield f"n = {n}, counts {measured[0].denominator}."
    if all(metric.low is None for metric in measured):
        # what the log says of seeds names the ends of one point
        reasons = ["a point is the median over seeds" if m.spread else m.reason for m in measured]
        if reason_text := "; ".join(dict.fromkeys(filter(None, reasons))):
            yield f"No interval: {reason_text}."


def count_values(line: Line) -> int:
    """Return how many values a line has."""
    return sum(y is not None for y in line.y)
