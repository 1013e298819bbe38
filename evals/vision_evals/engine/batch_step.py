"""What happens to one batch: everybody looks, and whoever fails, fails alone."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vision_evals.core.errors import InvalidError, NotApplicableError, UserError
from vision_evals.images.geometry import to_unit
from vision_evals.images.reader import batches
from vision_evals.log.profiling.stages import timed
from vision_evals.measures.probe import Probe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vision_evals.engine.shard import Planned, Shard
    from vision_evals.engine.tasks import PassResult, RunConfig, Task, TaskGroup
    from vision_evals.images.geometry import Geometry
    from vision_evals.images.image_set import ImageSet
    from vision_evals.images.reader import Batch
    from vision_evals.measures.measure import Columns


@dataclass(frozen=True, slots=True)
class Visit:
    """Who looks at a shard, and how."""

    plan: Planned
    groups: Sequence[TaskGroup]
    device: torch.device
    seed: int
    gradients: frozenset[str]
    """Names of classifiers of which some task wants the gradient, also one that is kept."""


def run_batch(batch: Batch, visit: Visit, shard: Shard, result: PassResult) -> None:
    """Ask every station what its tasks ask, and hold the columns in the shard.

    Args:
        batch: some images, at least one of them readable.
        visit: who looks.
        shard: filled.
        result: filled, with who failed and what stopped.
    """
    started = time.perf_counter()
    pixels = {geometry: to_unit(raw, visit.device) for geometry, raw in batch.pixels.items()}
    _compare(batch, pixels, visit, result)
    for group in visit.groups:
        name = group.classifier.name
        if group.fast_path is not None and group.fast_path.fast and group.fast_path.calibrating:
            shard.calibrated.add(name)
        for probe, task in _asked(group, batch, pixels, visit):
            stopped = task.table in {*result.not_applicable, *result.invalid}
            if name in result.failures or stopped:
                continue
            before = _generators(visit.device)
            began, shared = time.perf_counter(), probe.shared_seconds
            try:
                with timed("attack" if task.measure.attack else "measure"):
                    shard.add(task, probe, observe(task, probe, result.rooms))
            except NotApplicableError as error:
                result.not_applicable[task.table] = str(error)
                shard.stopped[task.table] = "not_applicable"
            except InvalidError as error:
                result.invalid[task.table] = str(error)
                shard.stopped[task.table] = "invalid"
            except Exception as error:  # noqa: BLE001 - one network's failure is not the others'
                result.failures[name] = f"{type(error).__name__}: {error}{_place(error)}"
            spent = time.perf_counter() - began + shared
            result.seconds[task.table] += spent
            shard.seconds[task.table] += spent
            if not all(map(torch.equal, before, _generators(visit.device))):
                result.drew.add(name)
                shard.drew.add(task.table)
    for fast_path in (group.fast_path for group in visit.groups if group.fast_path):
        fast_path.count_images(len(batch.ids))
    result.spent["look"] += time.perf_counter() - started


def observe(task: Task, probe: Probe, rooms: dict[str, int]) -> Columns:
    """Return the columns of a batch; where memory runs out, of its halves one after the other.

    Args:
        task: what is asked.
        probe: of whom.
        rooms: classifier to how many images fit, where memory ran out before; filled.

    Raises:
        torch.OutOfMemoryError: not even one image fits.
    """
    name, n = probe.classifier.name, len(probe.ids)
    if n <= rooms.get(name, n):
        try:
            return task.measure.observe(probe, task.parameters)
        except torch.OutOfMemoryError:
            if n == 1:
                raise
            rooms[name] = n // 2
        if probe.pixels.is_cuda:
            torch.cuda.empty_cache()
    first, second = (observe(task, half, rooms) for half in probe.halves())
    return {name: _cat(first[name], second[name]) for name in first}


def _cat(
    first: torch.Tensor | NDArray[Any], second: torch.Tensor | NDArray[Any]
) -> torch.Tensor | NDArray[Any]:
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return torch.cat([first, second])
    return np.concatenate([np.asarray(first), np.asarray(second)])


def _compare(
    batch: Batch, pixels: Mapping[Geometry, torch.Tensor], visit: Visit, result: PassResult
) -> None:
    """Measure how far pixels that a device made are from PIL's, and what that does."""
    if batch.plain is None or not batch.by_device:
        return
    errors = [
        (batch.pixels[geometry].float() - plain.float())[[*batch.by_device]].abs().mean()
        for geometry, plain in batch.plain.items()
    ]
    result.pixel_error.append(torch.stack(errors).amax())
    for group in visit.groups:
        if group.fast_path is not None and group.classifier.name not in result.failures:
            geometry = group.classifier.geometry
            known = group.answers
            right = None if known is None else known.of(batch.positions, visit.device).accepted
            plain = to_unit(batch.plain[geometry], visit.device)
            rows = torch.tensor(batch.by_device, device=visit.device)
            group.fast_path.parity.compare(
                group.classifier,
                pixels[geometry][rows],
                plain[rows],
                None if right is None else right[rows],
            )


def _asked(
    group: TaskGroup,
    batch: Batch,
    pixels: Mapping[Geometry, torch.Tensor],
    visit: Visit,
) -> Iterator[tuple[Probe, Task]]:
    probe = Probe(
        group.classifier,
        batch.ids,
        pixels[group.classifier.geometry],
        group.answers.of(batch.positions, visit.device) if group.answers else None,
        visit.seed,
        differentiate=group.classifier.name in visit.gradients,
        fast_path=group.fast_path,
        room=group.room,
    )
    return ((probe, task) for task in group.tasks)


def probe_of(
    group: TaskGroup,
    image_set: ImageSet,
    positions: Sequence[int],
    result: PassResult,
    config: RunConfig,
) -> Probe:
    """Return a probe on a few images that were looked at, decoded once more.

    Args:
        group: who looks.
        image_set: that they are of.
        positions: theirs in it.
        result: with the digests of their files.
        config: how to compute.

    Raises:
        UserError: files changed while the run was looking at them.
    """
    chosen = [image_set.images[i] for i in positions]
    geometry = group.classifier.geometry
    (batch,) = batches(chosen, [range(len(chosen))], {geometry})
    if any(result.digests.get(name) != sha256 for name, sha256 in batch.digests.items()):
        raise UserError("pictures changed while the run was looking at them; run it again")
    seen = [positions[i] for i in batch.positions]
    return Probe(
        group.classifier,
        batch.ids,
        to_unit(batch.pixels[geometry], config.device),
        group.answers and group.answers.of(seen, config.device),
        config.seed,
        differentiate=True,
    )


def _generators(device: torch.device) -> list[torch.Tensor]:
    """Return the state of the global generators that a network in eval mode must not draw from."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _place(error: Exception) -> str:
    """Say where in whose file an exception comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
