"""Two sides whose paths differ: how far a metric is apart by that alone, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vision_evals.suite.spec import Spec
from vision_evals.verdict.baseline.gap_bounds import BOUNDS, Bound
from vision_evals.verdict.baseline.paths import STEPS, Path, PathError


@dataclass(frozen=True, slots=True)
class NumericGap:
    """A step in which the paths of two sides differ."""

    step: str
    words: tuple[str, str]
    """Before, now."""
    far: tuple[tuple[PathError, ...], tuple[PathError, ...]]
    """Before, now: of every path of a side; the worst counts."""


def gaps(then: Sequence[Path], now: Sequence[Path]) -> tuple[NumericGap, ...]:
    """Return the steps in which two sides differ; none where a side's paths are not known."""
    return tuple(_gaps(then, now)) if then and now else ()


def _gaps(*sides: Sequence[Path]) -> Iterator[NumericGap]:
    for step in STEPS:
        before, now = ([path.step(step) for path in paths] for paths in sides)
        first, second = (" and ".join(sorted({one.words for one in x})) for x in (before, now))
        if first != second:
            far = tuple(one.far for one in before), tuple(one.far for one in now)
            yield NumericGap(step, (first, second), far)


def distance(found: Sequence[NumericGap], spec: Spec, metric: str) -> float | None:
    """Return by how much the paths move a metric at most: the differences of both sides added.

    None where no bound is known of the metric, or a difference was not measured. Decoders and
    devices are held against each other on pictures as they are, which says nothing of the points
    of a sweep.
    """
    sides = [(gap.step, side) for gap in found for side in gap.far]
    if all(far.plain for _, side in sides for far in side):
        return 0.0
    bound, total = BOUNDS.get((spec.name, metric)), 0.0
    for step, side in sides:
        swept = spec.axis is not None and step != "forwards"
        moved = _worst(side, bound, swept=swept)
        if moved is None:
            return None
        total += moved
    return total


def refusal(found: Sequence[NumericGap], spec: Spec, metric: str, allowed: float) -> str | None:
    """Return why a gate may not compare across these paths, if it may not.

    Args:
        found: steps in which the sides differ.
        spec: of the measure.
        metric: its name.
        allowed: by how much it may become worse. Where that is 0, nothing measured may differ.
    """
    if not found:
        return None
    moved = distance(found, spec, metric)
    if moved is not None and (moved < allowed or moved == 0):
        return None
    if moved is not None:
        why = f"that alone can move {metric} by {moved:.4g}, and the gate allows {allowed:.4g}"
    elif (spec.name, metric) not in BOUNDS:
        why = f"by how much that moves {metric} follows from nothing that is measured"
    else:
        why = f"by how much that moves {metric} was not measured"
    return f"{remark(found)}; {why}; {_repair(found)}"


def remark(found: Sequence[NumericGap]) -> str:
    """Return in which steps two paths differ, with what was measured of each."""
    said = (
        f"{gap.step}: {gap.words[0]}{_measured(gap.far[0])} there, "
        f"{gap.words[1]}{_measured(gap.far[1])} here"
        for gap in found
    )
    return f"computed on different paths, {'; '.join(said)}"


def _repair(found: Sequence[NumericGap]) -> str:
    """Say how the baseline comes by this run's path."""
    words, options = {gap.step: gap.words for gap in found}, []
    if "forwards" in words:
        before, now = (one.partition(" on ")[0].partition(", ") for one in words["forwards"])
        if before[0] != now[0]:
            options.append(f"--evals-precision {now[0]}")
        if before[2] != now[2]:
            options.append("as many forwards (they decide what is folded, compiled and graphed)")
    if "device" in words:
        options.append(f"--evals-device {words['device'][1].partition(' ')[0]}")
    if "decoder" in words:
        options.append(f"pictures decoded by {words['decoder'][1]}")
    return f"run the baseline again with {', '.join(options)}"


def _worst(side: Sequence[PathError], bound: Bound | None, *, swept: bool) -> float | None:
    """Return by how much a side moves a metric at most, by its worst path."""
    worst = 0.0
    for far in side:
        moved = None if bound is None else bound.of(far)
        if moved is None or (swept and not far.plain):
            return None
        worst = max(worst, moved)
    return worst


def _measured(side: Sequence[PathError]) -> str:
    """Return the numbers of a side's worst path; nothing of one that is the reference's."""
    far = max(side, key=lambda far: float("inf") if far.share is None else far.share)
    if far.plain:
        return ""
    if not far.n:
        return " (not measured)"
    by = "" if far.error is None else f", logits by up to {far.error:.2g}"
    return f" ({far.changed:,} of {far.n:,} decisions changed{by})"
