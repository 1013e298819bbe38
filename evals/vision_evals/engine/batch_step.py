"""One batch: every task group observes it; a network that fails stops alone."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vision_evals.core.errors import (
    ExitError,
    InvalidError,
    NotApplicableError,
    UserError,
    contained,
    words,
)
from vision_evals.core.time_limit import TimeUpError, time_limit
from vision_evals.engine.process_state import Setting, restore, settings
from vision_evals.engine.shard import Shard, ShardPlan
from vision_evals.engine.tasks import PassResult, RunConfig, Task, TaskGroup
from vision_evals.images.geometry import Geometry, to_unit
from vision_evals.images.image_set import ImageSet
from vision_evals.images.reader import Batch, batches
from vision_evals.log.profiling.stages import timed
from vision_evals.measures.measure import MOVED, Columns
from vision_evals.measures.probe import Probe


@dataclass(frozen=True, slots=True)
class ShardWork:
    """The task groups of a shard, and how they compute."""

    plan: ShardPlan
    groups: Sequence[TaskGroup]
    device: torch.device
    seed: int
    gradients: frozenset[str]
    """Names of classifiers with a task that needs the gradient, cached tasks included."""
    keeps: bool = False
    """Whether the points that pictures show are kept: a pass of few images has memory for them."""
    timeout: float = math.inf
    """Seconds that a task may take."""
    cached: Mapping[str, float] = field(default_factory=dict)
    """Table to the seconds that its cached rows took in earlier runs."""

    def left(self, table: str, spent: float) -> float:
        """Return the seconds that a task may still take.

        Args:
            table: of the task.
            spent: that it took, its cached rows included.
        """
        return self.timeout + self.cached.get(table, 0.0) - spent


def run_batch(
    batch: Batch,
    work: ShardWork,
    shard: Shard,
    result: PassResult,
    announce: Callable[[str], None] = lambda _: None,
    spent: Mapping[str, float] | None = None,
) -> None:
    """Run every task of every group on a batch, and put the columns into the shard.

    Args:
        batch: some images, at least one of them readable.
        work: the task groups.
        shard: filled.
        result: filled, with the networks that failed and the tasks that stopped.
        announce: called before each task with its measure, check, network and last image.
        spent: seconds that tasks took before, where they are not in ``result``.
    """
    started, before = time.perf_counter(), settings()
    pixels = {geometry: to_unit(raw, work.device) for geometry, raw in batch.pixels.items()}
    _compare_decoders(batch, pixels, work, result, before)
    for group in work.groups:
        name = group.classifier.name
        if group.fast_path is not None and group.fast_path.fast and group.fast_path.calibrating:
            shard.calibrated.add(name)
        probe = _probe(group, batch, pixels, work)
        for task in group.tasks:
            stopped = task.table in {*result.not_applicable, *result.invalid}
            if name in result.failures or stopped:
                continue
            announce(f"{task.title}, {name}: image {batch.span.stop}")
            _run_task(task, probe, work, shard, result, (spent or {}).get(task.table, 0.0))
        result.touch(name, restore(before))
    for fast_path in (group.fast_path for group in work.groups if group.fast_path):
        fast_path.count_images(len(batch.ids))
    result.spent["look"] += time.perf_counter() - started


def _run_task(
    task: Task, probe: Probe, work: ShardWork, shard: Shard, result: PassResult, spent: float
) -> None:
    """Put the columns of one task into the shard, or note why it stopped."""
    name, table = probe.classifier.name, task.table
    generators = _generator_states(work.device)
    began, shared = time.perf_counter(), probe.shared_seconds
    left = work.left(table, result.seconds[table] + spent)
    try:
        stage = timed("attack" if task.measure.attack else "measure")
        with stage, time_limit(left, work.timeout), contained():
            columns = dict(observe(task, probe, result.fitting))
            if (moved := columns.pop(MOVED, None)) is not None:
                kept = zip(probe.ids, torch.as_tensor(moved), strict=True)
                result.moved[table].update(kept)
            shard.add(task, probe, columns)
    except NotApplicableError as error:
        result.not_applicable[table] = str(error)
        shard.stopped[table] = "not_applicable"
    except InvalidError as error:
        result.invalid[table] = str(error)
        shard.stopped[table] = "invalid"
    except TimeUpError as error:
        result.invalid[table] = str(error)
    except Exception as error:  # noqa: BLE001 - one network's failure is not the others'
        result.failures[name] = f"{words(error)}{_location(error)}"
    seconds = time.perf_counter() - began + shared
    result.seconds[table] += seconds
    shard.seconds[table] += seconds
    if not all(map(torch.equal, generators, _generator_states(work.device))):
        result.drew.add(name)
        shard.drew.add(table)


def count_batch(batch: Batch, shard: Shard, result: PassResult) -> None:
    """Count the images of a batch."""
    shard.count_images(batch)
    result.n += len(batch.ids)
    result.digests.update(batch.digests)
    result.unreadable.update(batch.unreadable)
    result.oriented += batch.oriented
    result.on_device += len(batch.by_device)
    result.hashes.update(zip(batch.span, batch.hashes, strict=True))


def observe(task: Task, probe: Probe, fitting: dict[str, int]) -> Columns:
    """Return the columns of a batch; where memory runs out, of its halves one after the other.

    Args:
        task: what to observe.
        probe: on the classifier and the batch.
        fitting: classifier to how many images fit, where memory ran out before; filled.

    Raises:
        torch.OutOfMemoryError: not even one image fits.
    """
    name, n = probe.classifier.name, len(probe.ids)
    if n <= fitting.get(name, n):
        try:
            return task.measure.observe(probe, task.parameters)
        except torch.OutOfMemoryError:
            if n == 1:
                raise
            fitting[name] = n // 2
        if probe.pixels.is_cuda:
            torch.cuda.empty_cache()
    first, second = (observe(task, half, fitting) for half in probe.halves())
    return {name: _concatenated(first[name], second[name]) for name in first}


def _concatenated(
    first: torch.Tensor | NDArray[Any], second: torch.Tensor | NDArray[Any]
) -> torch.Tensor | NDArray[Any]:
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return torch.cat([first, second])
    return np.concatenate([np.asarray(first), np.asarray(second)])


def _compare_decoders(
    batch: Batch,
    pixels: Mapping[Geometry, torch.Tensor],
    work: ShardWork,
    result: PassResult,
    before: Mapping[Setting, Any],
) -> None:
    """Measure how far pixels decoded on the device are from PIL's, and what that changes."""
    if batch.plain is None or not batch.by_device:
        return
    errors = [
        (batch.pixels[geometry].float() - pil.float())[[*batch.by_device]].abs().mean()
        for geometry, pil in batch.plain.items()
    ]
    result.pixel_error.append(torch.stack(errors).amax())
    for group in work.groups:
        if group.fast_path is not None and group.classifier.name not in result.failures:
            geometry = group.classifier.geometry
            answers = group.answers_at(batch.positions, work.device)
            rows = torch.tensor(batch.by_device, device=work.device)
            group.fast_path.parity.compare(
                group.classifier,
                pixels[geometry][rows],
                to_unit(batch.plain[geometry], work.device)[rows],
                None if answers is None else answers.accepted[rows],
            )
            result.touch(group.classifier.name, restore(before))


def _probe(
    group: TaskGroup,
    batch: Batch,
    pixels: Mapping[Geometry, torch.Tensor],
    work: ShardWork,
) -> Probe:
    return Probe(
        group.classifier,
        batch.ids,
        pixels[group.classifier.geometry],
        group.answers_at(batch.positions, work.device),
        work.seed,
        differentiate=group.classifier.name in work.gradients,
        fast_path=group.fast_path,
        room=group.room,
        keeps=work.keeps,
    )


def probe_of(
    group: TaskGroup,
    image_set: ImageSet,
    positions: Sequence[int],
    result: PassResult,
    config: RunConfig,
) -> Probe:
    """Return a probe on a few images of a pass, decoded once more.

    Args:
        group: the classifier.
        image_set: the images of the pass.
        positions: of the few images in it.
        result: with the digests of their files.
        config: how to compute.

    Raises:
        UserError: files changed during the run.
    """
    chosen = [image_set.images[i] for i in positions]
    geometry = group.classifier.geometry
    (batch,) = batches(chosen, [range(len(chosen))], {geometry})
    before = {image.id: result.digests.get(image.id) for image in chosen}
    # unreadable ones had no digest, and have none now
    if {**dict.fromkeys(before), **batch.digests} != before:
        raise UserError("image files changed or vanished during the run; run it again")
    none = torch.empty(0, 3, *geometry.size, dtype=torch.uint8)
    return Probe(
        group.classifier,
        batch.ids,
        to_unit(batch.pixels.get(geometry, none), config.device),
        group.answers_at([positions[i] for i in batch.positions], config.device),
        config.seed,
        differentiate=True,
    )


def _generator_states(device: torch.device) -> list[torch.Tensor]:
    """Return the state of the global generators that a network in eval mode must not draw from."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _location(error: Exception) -> str:
    """Return the file and line that an exception comes from."""
    cause = (error.__cause__ if isinstance(error, ExitError) else None) or error
    frames = traceback.extract_tb(cause.__traceback__)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
