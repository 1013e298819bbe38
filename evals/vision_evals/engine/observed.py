"""What a walk itself tells of its rows: who failed, drew or changed, and by which path it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vision_evals.log import Validity
from vision_evals.verdict.judge import check_finite

if TYPE_CHECKING:
    import pandas as pd

    from vision_evals import log
    from vision_evals.engine.state_guard import Changes
    from vision_evals.engine.tasks import PassResult, Task, TaskGroup
    from vision_evals.models.classifier import Classifier


def observed(
    group: TaskGroup, task: Task, table: pd.DataFrame, result: PassResult, changes: Changes
) -> tuple[Validity, ...]:
    """Return what the walk itself tells of a task's rows.

    Args:
        group: whose task.
        task: what was asked.
        table: its rows.
        result: what the walk left behind.
        changes: what the networks were left with.
    """
    name, refused = group.classifier.name, _refused(task, result)
    return (
        *_trained(group.classifier),
        _ran(name, result),
        changes.validity(name),
        _drew(name, result),
        *_decided(lane_record(group, result)),
        *refused,
        *(() if refused or table.empty else task.measure.vouch(group.classifier.network, table)),
        check_finite(table),
    )


def _refused(task: Task, result: PassResult) -> tuple[Validity, ...]:
    """Return why a measure refused to answer for this network, if it did."""
    if task.table not in result.invalid:
        return ()
    return (
        Validity(
            name=f"{task.measure.name} can be measured",
            outcome="failed",
            evidence=result.invalid[task.table],
            meaning="A measure that does not see what it counts would give a number all the same.",
        ),
    )


def _trained(classifier: Classifier) -> tuple[Validity, ...]:
    training = classifier.training
    if training is None:
        return ()
    return (
        Validity(
            name="the training converged",
            outcome="failed" if training.diverged else "passed",
            evidence=training.diverged or f"weights of epoch {training.returned_epoch}",
            meaning="A network whose training diverged is not what its recipe describes.",
        ),
    )


def _ran(name: str, result: PassResult) -> Validity:
    failure = result.failures.get(name)
    return Validity(
        name="the network ran",
        outcome="passed" if failure is None else "failed",
        evidence=failure or f"on all of {result.n} images",
        meaning="Numbers from the images before a crash are not numbers of the whole set.",
    )


def lane_record(group: TaskGroup, result: PassResult) -> log.FastPath | None:
    """Return by which path a classifier answered, here or in the run that kept its rows."""
    fast_path, kept = group.fast_path, result.fast_paths.get(group.classifier.name)
    if fast_path is None or (kept is not None and not fast_path.used):
        return kept
    return fast_path.record()


def _decided(fast_path: log.FastPath | None) -> tuple[Validity, ...]:
    """Return whether a fast path kept the plain one's decisions, as far as it was looked."""
    if fast_path is None or fast_path.plain:
        return ()
    seen = fast_path.rechecked and not fast_path.changed
    return (
        Validity(
            name="decisions of the fast path",
            outcome="passed" if seen else "failed" if fast_path.changed else "undecided",
            # in fp32 it claims to be the same network; bf16 is another precision, that is said
            severity="warn" if fast_path.precision == "bf16" else "error",
            evidence=(
                f"{fast_path.changed} of {fast_path.rechecked:,} sure answers that were computed "
                f"again differ; {fast_path.repeated:,} of {fast_path.answers:,} were close and "
                "repeated"
            ),
            meaning="A faster path may change the digits of a number, and not what was decided.",
        ),
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
        meaning="A network that throws dice in eval mode answers otherwise the next time.",
        source="Croce & Hein 2020, AutoAttack's flag for randomised defences",
    )
