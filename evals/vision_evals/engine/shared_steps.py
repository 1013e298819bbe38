"""The batches of a pass on a CPU, computed by several processes and joined in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vision_evals.core.time_limit import time_up
from vision_evals.engine.batch_step import ShardWork, count_batch, run_batch
from vision_evals.engine.shard import Shard
from vision_evals.engine.state_guard import Changes, changed_since, state_of
from vision_evals.engine.tasks import PassResult, tasks_of
from vision_evals.images.image_set import ImageSet
from vision_evals.images.reader import batches
from vision_evals.models.fast_path.fast_path import Counts
from vision_evals.models.processes import EndedError, forked

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

    A classifier that ends its process fails alone: what was lost with it is computed again.

    Raises:
        UserError: a process was killed before it computed anything.
    """
    units = _units(batches_of_shards, processes)
    failures, timeout = dict(result.failures), batches_of_shards[0][0].timeout
    while units:
        computed: dict[int, Computed] = {}
        compute, done = partial(_compute, image_set, failures, result.seconds), 0
        try:
            for message in forked(units, processes, compute, timeout):
                if isinstance(message, str):
                    announce(message)
                    continue
                computed[message.number] = message
                while done in computed:
                    unit = units[done]
                    fill = partial(_join, computed.pop(done), unit, result, changes)
                    done += 1
                    yield Step(unit.span, fill, unit.last)
        except EndedError as error:
            if error.unit is None:
                raise
            if error.unit >= done:
                units = _without_culprit(units, error, failures)
            units = units[done:]
            units = [replace(unit, number=number) for number, unit in enumerate(units)]
        else:
            return


def _without_culprit(
    units: Sequence[Unit], error: EndedError, failures: dict[str, str]
) -> list[Unit]:
    """Return the units, in which the classifier that ended its process computes nothing more.

    Which one it was is known where it computed alone; other units are cut into such ones.

    Args:
        units: all of the round.
        error: names the unit.
        failures: of classifiers; filled.
    """
    assert error.unit is not None
    unit = units[error.unit]
    names = [group.classifier.name for group in unit.work.groups]
    suspects = [name for name in names if name not in failures]
    if len(suspects) > 1:
        return [*units[: error.unit], *_cut(unit), *units[error.unit + 1 :]]
    failures[(suspects or names)[0]] = error.reason
    return list(units)


def _cut(unit: Unit) -> list[Unit]:
    """Return a unit for each classifier of a unit."""
    groups = unit.work.groups
    return [
        replace(
            unit,
            work=replace(unit.work, groups=(group,)),
            first=unit.first and group is groups[0],
            last=unit.last and group is groups[-1],
        )
        for group in groups
    ]


def _units(batches_of_shards: Sequence[tuple[ShardWork, range]], processes: int) -> list[Unit]:
    whole = len(batches_of_shards) >= UNITS_PER_PROCESS * processes
    batches_ = [Unit(0, work, span, first=True, last=True) for work, span in batches_of_shards]
    parts = batches_ if whole else [part for unit in batches_ for part in _cut(unit) or [unit]]
    return [replace(unit, number=number) for number, unit in enumerate(parts)]


def _compute(
    image_set: ImageSet,
    failures: Mapping[str, str],
    earlier: Mapping[str, float],
    units: Iterator[Unit],
    send: Callable[[Computed | str], None],
) -> None:
    """Compute units in a process of their own; classifiers that failed compute nothing."""
    states: dict[str, dict[str, object]] = {}
    spent = {**earlier}
    for unit in units:
        groups = unit.work.groups
        for group in groups:
            if group.classifier.name not in states:
                states[group.classifier.name] = state_of(group.classifier.network)
        geometries = {group.classifier.geometry for group in groups}
        (batch,) = batches(image_set.images, [unit.span], geometries)
        shard, result = Shard(unit.work.plan, Path()), PassResult(failures=dict(failures))
        if unit.first:
            count_batch(batch, shard, result)
            for kind, seconds in batch.spent._asdict().items():
                result.spent[kind] += seconds
        if batch.ids:
            run_batch(batch, unit.work, shard, result, send, spent)
        for table, more in result.seconds.items():
            spent[table] = spent.get(table, 0.0) + more
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
    for _, task in tasks_of(unit.work.groups):
        if unit.work.left(task.table, result.seconds[task.table]) < 0:  # of all processes together
            result.invalid.setdefault(task.table, time_up(unit.work.timeout))
    for group in unit.work.groups:
        if group.fast_path is not None:
            group.fast_path.add_counts(computed.counts[group.classifier.name])
    shard.changed |= computed.changed.keys()
    changes.by_alias |= computed.changed
