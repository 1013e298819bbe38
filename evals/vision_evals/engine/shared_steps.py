"""The batches of a pass on a CPU, computed by several processes and joined in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vision_evals.engine.batch_step import ShardWork, count_batch, run_batch
from vision_evals.engine.shard import Shard
from vision_evals.engine.state_guard import Changes, changed_since, state_of
from vision_evals.engine.tasks import PassResult, tasks_of
from vision_evals.images.image_set import ImageSet
from vision_evals.images.reader import batches
from vision_evals.models.fast_path.fast_path import Counts
from vision_evals.models.processes import forked

UNITS_PER_PROCESS = 4
"""Units below which the classifiers of a batch go to different processes: the last ones to be
finished leave the other processes idle."""


@dataclass(frozen=True, slots=True)
class Step:
    """A batch, or some of its classifiers, and how its results get into the shard."""

    span: range
    fill: Callable[[Shard], None]
    last: bool = True
    """Whether the batch is complete after it."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What one process computes at a time: some task groups on a batch."""

    number: int
    work: ShardWork
    span: range
    first: bool
    """Whether it counts the images of the batch."""
    last: bool


@dataclass(frozen=True, slots=True)
class Computed:
    """The results of a unit."""

    number: int
    shard: Shard
    result: PassResult
    counts: dict[str, Counts]
    """Name of a classifier to what its fast path counted."""
    changed: dict[str, list[str]]
    """Name of a classifier to the parts of its network that changed."""


def shared_steps(
    image_set: ImageSet,
    batches_of_shards: Sequence[tuple[ShardWork, range]],
    processes: int,
    announce: Callable[[str], None],
    result: PassResult,
    changes: Changes,
) -> Iterator[Step]:
    """Yield the steps in order, however the processes finish.

    Args:
        image_set: the images.
        batches_of_shards: what is to be computed.
        processes: how many there are at most.
        announce: called with what is being computed.
        result: filled by the steps.
        changes: of the networks' state, in these processes; filled by the steps.

    Raises:
        UserError: a process was killed.
    """
    units = _units(batches_of_shards, processes)
    computed: dict[int, Computed] = {}
    number = 0
    for message in forked(units, processes, partial(_compute, image_set)):
        if isinstance(message, str):
            announce(message)
            continue
        computed[message.number] = message
        while number in computed:
            unit = units[number]
            fill = partial(_join, computed.pop(number), unit, result, changes)
            yield Step(unit.span, fill, unit.last)
            number += 1


def _units(batches_of_shards: Sequence[tuple[ShardWork, range]], processes: int) -> list[Unit]:
    whole = len(batches_of_shards) >= UNITS_PER_PROCESS * processes
    units: list[Unit] = []
    for work, span in batches_of_shards:
        parts = [work] if whole else [replace(work, groups=(group,)) for group in work.groups]
        for place, part in enumerate(parts):
            last = place == len(parts) - 1
            units.append(Unit(len(units), part, span, first=place == 0, last=last))
    return units


def _compute(
    image_set: ImageSet, units: Iterator[Unit], send: Callable[[Computed | str], None]
) -> None:
    """Compute units in a process of their own."""
    states: dict[str, dict[str, object]] = {}
    for unit in units:
        groups = unit.work.groups
        for group in groups:
            if group.classifier.name not in states:
                states[group.classifier.name] = state_of(group.classifier.network)
        geometries = {group.classifier.geometry for group in groups}
        (batch,) = batches(image_set.images, [unit.span], geometries)
        shard, result = Shard(unit.work.plan, Path()), PassResult()
        if unit.first:
            count_batch(batch, shard, result)
            for kind, seconds in batch.spent._asdict().items():
                result.spent[kind] += seconds
        if batch.ids:
            run_batch(batch, unit.work, shard, result, send)
        networks = {group.classifier.name: group.classifier.network for group in groups}
        changed = {name: changed_since(states[name], networks[name]) for name in networks}
        counts = {g.classifier.name: g.fast_path.take_counts() for g in groups if g.fast_path}
        send(Computed(unit.number, shard, result, counts, {k: v for k, v in changed.items() if v}))


def _join(
    computed: Computed, unit: Unit, result: PassResult, changes: Changes, shard: Shard
) -> None:
    """Put the results of a unit into the shard and the result, as if computed here."""
    before = {*result.failures, *result.not_applicable, *result.invalid}
    skipped = {
        task.table
        for group, task in tasks_of(unit.work.groups)
        if before & {group.classifier.name, task.table}
    }
    shard.join(computed.shard, skipped)
    result.join(computed.result, skipped)
    for group in unit.work.groups:
        if group.fast_path is not None:
            group.fast_path.add_counts(computed.counts[group.classifier.name])
    shard.changed |= computed.changed.keys()
    changes.by_alias |= computed.changed
