"""Two sides whose paths differ: how far a metric is apart by that alone, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from vision_evals.log import PathDifference, PathSide, path_sentence
from vision_evals.suite.spec import NumericError, Spec
from vision_evals.verdict.baseline.paths import STEPS, NumericPath, PathError, Step


@dataclass(frozen=True, slots=True)
class NumericGap:
    """A step in which the paths of two sides differ."""

    step: Literal["decoder", "device", "forwards"]
    sides: tuple[tuple[Step, ...], tuple[Step, ...]]
    """Before, now: of every path of a side; the worst counts."""

    def each(self, what: Callable[[Step], str]) -> tuple[str, str]:
        """Return something of both sides in words, of several paths every one."""
        before, now = (" and ".join(sorted(set(map(what, side)))) for side in self.sides)
        return before, now


def gaps(then: Sequence[NumericPath], now: Sequence[NumericPath]) -> tuple[NumericGap, ...]:
    """Return the steps in which two sides differ; none where a side's paths are not known."""
    return tuple(_gaps(then, now)) if then and now else ()


def _gaps(*sides: Sequence[NumericPath]) -> Iterator[NumericGap]:
    for step in STEPS:
        before, now = (tuple(path.step(step) for path in paths) for paths in sides)
        gap = NumericGap(step, (before, now))
        first, second = gap.each(_words)
        if first != second:
            yield gap


def _words(step: Step) -> str:
    return step.words


def distance(found: Sequence[NumericGap], spec: Spec, metric: str) -> float | None:
    """Return by how much the paths move a metric at most: the differences of both sides added.

    None where no bound is known of the metric, or a difference was not measured. Decoders and
    devices are held against each other on pictures as they are, which says nothing of the points
    of a sweep.
    """
    sides = [(gap.step, [one.error for one in side]) for gap in found for side in gap.sides]
    if all(far.plain for _, side in sides for far in side):
        return 0.0
    bound, total = spec.metric(metric).numeric_error, 0.0
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
    elif spec.metric(metric).numeric_error is None:
        why = f"by how much that moves {metric} follows from nothing that is measured"
    else:
        why = f"by how much that moves {metric} was not measured"
    return f"{remark(found)}; {why}; {_repair(found)}"


def remark(found: Sequence[NumericGap]) -> str:
    """Return in which steps two paths differ, with what was measured of each."""
    return path_sentence(differences(found))


def differences(found: Sequence[NumericGap]) -> tuple[PathDifference, ...]:
    """Return what the log has of the steps in which two paths differ."""
    return tuple(
        PathDifference(
            step=gap.step,
            before=_side(gap.each(_words)[0], gap.sides[0]),
            now=_side(gap.each(_words)[1], gap.sides[1]),
        )
        for gap in found
    )


def _side(said: str, side: Sequence[Step]) -> PathSide:
    """Return one side of a step with the numbers of its worst path."""
    shares = (one.error for one in side)
    far = max(shares, key=lambda far: float("inf") if far.share is None else far.share)
    n = None if far.plain else far.n
    return PathSide(words=said, n=n, changed=far.changed, logit_error=far.error)


def _repair(found: Sequence[NumericGap]) -> str:
    """Say how the baseline comes by this run's path."""
    steps, options = {gap.step: gap for gap in found}, []
    if "forwards" in steps:
        before, now = steps["forwards"].each(lambda step: step.precision)
        if before != now:
            options.append(f"--evals-precision {now}")
        before, now = steps["forwards"].each(lambda step: ", ".join(step.done))
        if before != now:
            options.append("as many forwards (they decide what is folded, compiled and graphed)")
    if "device" in steps:
        options.append(f"--evals-device {steps['device'].each(lambda step: step.kind)[1]}")
    if "decoder" in steps:
        options.append(f"pictures decoded by {steps['decoder'].each(_words)[1]}")
    return f"run the baseline again with {', '.join(options)}"


def _worst(side: Sequence[PathError], bound: NumericError | None, *, swept: bool) -> float | None:
    """Return by how much a side moves a metric at most, by its worst path."""
    worst = 0.0
    for far in side:
        measured = far.logit if bound is not None and bound.by == "logits" else far.share
        if bound is None or measured is None or (swept and not far.plain):
            return None
        worst = max(worst, bound.times * measured)
    return worst
