"""What stands in a frame as rows of its chart: a row a line, its points in lists."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from vision_evals.report.plots import Frame
from vision_evals.report.scales import tidy
from vision_evals.report.traces import Spot, Trace
from vision_evals.report.vega.drawing import ChartRow, colour, offset_of, shape


def row(trace: Trace, place: int, frame: Frame) -> ChartRow:
    """Return a line with its points in lists, a tenth of what a row a point takes."""
    spots = trace.spots
    lists: dict[str, list[Any]] = {
        "x": [tidy(spot.x) for spot in spots],
        "y": [None if spot.y is None else tidy(frame.up.near(spot.y)) for spot in spots],
        "seen": [int(visible) for visible in _seen(trace)],
    }
    if worded(frame):
        lists["at"] = list(_places(trace, frame))
    if frame.steps:
        lists["to"] = [*lists["x"][1:], None][: len(spots)] if trace.steps else [None] * len(spots)
    if trace.steps and len(spots) > 1:  # the last step ends where its bin does
        lists["y"][-1] = lists["y"][-2]
    if frame.clipped:
        lists["value"] = [tidy(spot.y) for spot in spots]
    if whiskered(frame):
        lists |= {
            "low": [tidy(spot.low) for spot in spots],
            "high": [tidy(spot.high) for spot in spots],
        }
    if counted(frame):
        lists["n"] = [spot.n for spot in spots]
    return {
        "who": None if trace.reference else trace.classifier,
        "name": trace.name,
        "line": trace.full,
        "key": f"{place}",
        "sign": shape(trace.shape or 0),
        "offset": line_offset(place, frame),
        "width": 1.2 if trace.thin or trace.reference else 2.2,
        "filled": (place == 0) or None,
        **lists,
    }


def _seen(trace: Trace) -> Iterator[bool]:
    """Yield whether the mark of each point is seen: a line shows nothing of a lone one."""
    values = [None, *(spot.y for spot in trace.spots), None]
    for spot, before, after in zip(trace.spots, values[:-2], values[2:], strict=True):
        alone = before is None and after is None
        yield trace.shape is not None or spot.low is not None or alone


def counted(frame: Frame) -> bool:
    """Whether points say how many observations they rest on."""
    return any(spot.n is not None for trace in frame.traces for spot in trace.spots)


def whiskered(frame: Frame) -> bool:
    """Whether points have intervals."""
    return any(spot.low is not None for trace in frame.traces for spot in trace.spots)


def flags(frame: Frame) -> Iterator[ChartRow]:
    """Yield the upright lines; one word stands for all that mean the same."""
    labels: set[str] = set()
    for flag in frame.flags:
        first = flag.label not in labels
        labels.add(flag.label)
        label = flag.label if first else None
        yield {"x": tidy(flag.x), "label": label, "tip": flag.label, "colour": colour(flag.colour)}


def line_offset(place: int, frame: Frame) -> int:
    """Return by how many pixels a line stands offset: of networks that are equal all are seen."""
    aliases = list(dict.fromkeys(trace.classifier for trace in frame.traces))
    return offset_of(aliases.index(frame.traces[place].classifier), len(aliases))


def worded(frame: Frame) -> bool:
    """Whether places on the x axis are written as words: names or bins."""
    return bool(frame.ticks) or frame.steps


def _places(trace: Trace, frame: Frame) -> Iterator[str]:
    words = [_word(spot, frame) for spot in trace.spots]
    after = words[1:] if trace.steps else []
    for word, end in zip_longest(words, after):
        yield word if end is None else f"{word} to {end}"


def _word(spot: Spot, frame: Frame) -> str:
    place = int(spot.x) if spot.x.is_integer() else -1
    return frame.ticks[place] if 0 <= place < len(frame.ticks) else f"{spot.x:.6g}"
