"""Validity checks on a pass itself: did a network fail, draw or change; was the fast path right."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from vision_evals import log
from vision_evals.engine.state_guard import Changes
from vision_evals.engine.tasks import PassResult, Task, TaskGroup
from vision_evals.log import Validity
from vision_evals.models.classifier import Classifier
from vision_evals.verdict.judge import check_finite


def observed(
    group: TaskGroup, task: Task, table: pd.DataFrame, result: PassResult, changes: Changes
) -> tuple[Validity, ...]:
    """Return the validity of a task's rows, as far as the pass itself shows it.

    Args:
        group: of the task.
        task: the task.
        table: its rows.
        result: of the pass.
        changes: of the networks' state.
    """
    name, refused = group.classifier.name, tuple(_refused(task, result))
    return (
        *_trained(group.classifier),
        _ran(name, result),
        changes.validity(name),
        _drew(name, result),
        *_fast_path_decisions(fast_path_record(group, result)),
        *refused,
        *(() if refused or table.empty else task.measure.vouch(group.classifier.network, table)),
        check_finite(table),
    )


def _refused(task: Task, result: PassResult) -> Iterator[Validity]:
    """Yield why a measure refused this network, if it did."""
    if task.table in result.invalid:
        yield Validity(
            name=f"{task.measure.name} can be measured",
            outcome="failed",
            evidence=result.invalid[task.table],
            meaning="A measure that cannot see what it counts would still give a number.",
        )


def _trained(classifier: Classifier) -> Iterator[Validity]:
    if (training := classifier.training) is not None:
        yield Validity(
            name="the training converged",
            outcome="failed" if training.diverged else "passed",
            evidence=training.diverged or f"weights of epoch {training.returned_epoch}",
            meaning="A network whose training diverged is not what its recipe describes.",
        )


def _ran(name: str, result: PassResult) -> Validity:
    failure = result.failures.get(name)
    return Validity(
        name="the network ran",
        outcome="passed" if failure is None else "failed",
        evidence=failure or f"on all of {result.n} images",
        meaning="Numbers from the images before a crash are not numbers of the whole set.",
    )


def fast_path_record(group: TaskGroup, result: PassResult) -> log.FastPath | None:
    """Return the fast path of a classifier, of this run or of the run that cached its rows."""
    fast_path, cached = group.fast_path, result.fast_paths.get(group.classifier.name)
    if fast_path is None or (cached is not None and not fast_path.used):
        return cached
    return fast_path.record()


def _fast_path_decisions(fast_path: log.FastPath | None) -> Iterator[Validity]:
    """Yield whether a fast path kept the plain path's decisions on images that ran both."""
    if fast_path is not None and not fast_path.plain:
        unchanged = fast_path.rechecked and not fast_path.changed
        yield Validity(
            name="decisions of the fast path",
            outcome="passed" if unchanged else "failed" if fast_path.changed else "undecided",
            # in fp32 the fast path claims to be the same network; bf16 is another precision
            severity="warn" if fast_path.precision == "bf16" else "error",
            evidence=(
                f"{fast_path.changed} of {fast_path.rechecked:,} sure answers that were computed "
                f"again differ; {fast_path.repeated:,} of {fast_path.answers:,} were close and "
                "repeated"
            ),
            meaning="A fast path may change the last digits of a number, but not a decision.",
        )


def _drew(name: str, result: PassResult) -> Validity:
    drew = name in result.drew
    return Validity(
        id="S4",
        name="deterministic",
        outcome="failed" if drew else "passed",
        evidence="drew from a global generator in eval mode"
        if drew
        else "no draw from a global generator",
        meaning="A network that draws random numbers in eval mode answers differently next time.",
        source="Croce & Hein 2020, AutoAttack's flag for randomised defences",
    )
