"""Sides whose numeric paths differ: how far that can move a metric, and which gates it refuses."""

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
    """Before, now: of each path of a side; the one with the largest error counts."""

    def each(self, describe: Callable[[Step], str]) -> tuple[str, str]:
        """Return a property of both sides in words, of each path where there are several."""
        before, now = (" and ".join(sorted(set(map(describe, side)))) for side in self.sides)
        return before, now


def gaps(then: Sequence[NumericPath], now: Sequence[NumericPath]) -> tuple[NumericGap, ...]:
    """Return the steps in which two sides differ; none where the paths of a side are unknown."""
    return tuple(_gaps(then, now)) if then and now else ()


def _gaps(*sides: Sequence[NumericPath]) -> Iterator[NumericGap]:
    for step in STEPS:
        before, now = (tuple(getattr(path, step) for path in paths) for paths in sides)
        gap = NumericGap(step, (before, now))
        first, second = gap.each(_words)
        if first != second:
            yield gap


def _words(step: Step) -> str:
    return step.words


def distance(differing: Sequence[NumericGap], spec: Spec, metric: str) -> float | None:
    """Return how far the paths can move a metric: the errors of both sides added.

    None where the metric has no error bound, or an error was not measured. Errors of decoders and
    devices are measured on the unchanged pictures, which gives no bound at the points of a sweep.
    """
    sides = [(gap.step, [step.error for step in side]) for gap in differing for side in gap.sides]
    if all(error.plain for _, side in sides for error in side):
        return 0.0
    bound, total = spec.metric(metric).numeric_error, 0.0
    for step, side in sides:
        swept = spec.axis is not None and step != "forwards"
        moved = _worst(side, bound, swept=swept)
        if moved is None:
            return None
        total += moved
    return total


def refusal(differing: Sequence[NumericGap], spec: Spec, metric: str, allowed: float) -> str | None:
    """Return why a gate may not compare across these paths, if it may not.

    Args:
        differing: steps in which the sides differ.
        spec: of the measure.
        metric: its name.
        allowed: how much worse the metric may be. At 0, no measured difference is allowed.
    """
    if not differing:
        return None
    moved = distance(differing, spec, metric)
    if moved is not None and (moved < allowed or moved == 0):
        return None
    if moved is not None:
        why = f"that alone can move {metric} by {moved:.4g}, and the gate allows {allowed:.4g}"
    elif spec.metric(metric).numeric_error is None:
        why = f"no error bound of {metric} is known"
    else:
        why = f"how far that moves {metric} was not measured"
    return f"{remark(differing)}; {why}; {_repair(differing)}"


def remark(differing: Sequence[NumericGap]) -> str:
    """Return a sentence on the steps in which two paths differ, with their measured errors."""
    return path_sentence(differences(differing))


def differences(differing: Sequence[NumericGap]) -> tuple[PathDifference, ...]:
    """Return the log's records of the steps in which two paths differ."""
    return tuple(
        PathDifference(
            step=gap.step,
            before=_side(gap.each(_words)[0], gap.sides[0]),
            now=_side(gap.each(_words)[1], gap.sides[1]),
        )
        for gap in differing
    )


def _side(words: str, side: Sequence[Step]) -> PathSide:
    """Return one side of a step with the numbers of its worst path."""
    errors = (step.error for step in side)
    worst = max(errors, key=lambda error: float("inf") if error.share is None else error.share)
    n = None if worst.plain else worst.n
    return PathSide(words=words, n=n, changed=worst.changed, logit_error=worst.error)


def _repair(differing: Sequence[NumericGap]) -> str:
    """Return how to run the baseline by the path of this run."""
    steps, options = {gap.step: gap for gap in differing}, []
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
    """Return how far the worst path of a side can move a metric."""
    worst = 0.0
    for error in side:
        measured = error.logit if bound is not None and bound.by == "logits" else error.share
        if bound is None or measured is None or (swept and not error.plain):
            return None
        worst = max(worst, bound.times * measured)
    return worst
