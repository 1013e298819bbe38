"""A pass from the walk to pictures: rows, whether they can be trusted, what the report shows."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from vision_evals import log
from vision_evals.core.partition import Partition, dealt
from vision_evals.core.progress import Progress
from vision_evals.engine import evidence, pictures, state_guard, tables
from vision_evals.engine.loop import run_loop
from vision_evals.engine.plan import Pass, RunConfig, batch_of, probe_of, room_of
from vision_evals.engine.shard import join_of, spans_of
from vision_evals.engine.shard_cache import shard_cache_of
from vision_evals.engine.tasks import Task, TaskGroup
from vision_evals.images.image_set import ImageSet, fingerprint
from vision_evals.log import Validity
from vision_evals.log.profiling.stages import timed
from vision_evals.log.profiling.trace import traced
from vision_evals.measures.measure import Drawing
from vision_evals.models.device import numerics
from vision_evals.models.fast_path.build import warm
from vision_evals.models.fast_path.fast_path import FastPath
from vision_evals.models.fast_path.policy import plan_of
from vision_evals.verdict.check_input import Facts, Measured


def run(this: Pass, config: RunConfig, progress: Progress) -> None:
    """Walk, and join the rows of every finished shard, also when the walk was interrupted."""
    networks = {name: group.classifier.network for name, group in this.groups.items()}
    changes = state_guard.Changes()
    rows: dict[str, pd.DataFrame | None] = {}
    aliases = dict.fromkeys(group.classifier.alias for group in this.groups.values())
    try:
        with (
            state_guard.watch(networks, changes),
            numerics(config.device, config.precision),
            progress(f"{this.role}, {', '.join(aliases)}", images_of(this, config)) as shown,
            traced(_trace_file(this, config), shown) as advance,
        ):
            this.groups = {
                name: _with_fast_path(this, one, config) for name, one in this.groups.items()
            }
            this.shard_cache = shard_cache_of(this, config)
            run_loop(
                this.image_set,
                tuple(this.groups.values()),
                device=config.device,
                batch_size=batch_of(this, config),
                seed=config.seed,
                directory=config.directory,
                advance=advance,
                result=this.result,
                partition=config.partition,
                shard_cache=this.shard_cache,
            )
    except BaseException as error:
        this.broken = f"the pass over {this.role} broke: {type(error).__name__}: {error}"
        raise
    finally:
        for group in this.groups.values():
            if group.fast_path is not None:
                group.fast_path.release()
            for task in group.tasks:
                rows[task.table] = _joined(this, task, config)
    for name in this.groups:
        config.examiner.homes.setdefault(name, str(this.whole))
    known = _known(this, config)
    with timed("validity"):
        asked = evidence.examined(this, rows, changes, config, known)
    for group in this.groups.values():
        for task in group.tasks:
            if task.table not in this.result.not_applicable:
                found = _measured(this, group, task, rows[task.table], changes, config)
                validity = known.get(task.table) or (
                    *found.validity,
                    *asked.get(task.table, ()),
                )
                this.measured[task.table] = replace(found, validity=validity)
                _keep(this, group, task, validity, config)


def _trace_file(this: Pass, config: RunConfig) -> Path | None:
    """Return where a trace goes: of workers each writes its own."""
    if config.trace is None:
        return None
    aliases = dict.fromkeys(group.classifier.alias for group in this.groups.values())
    return config.trace / f"{tables.slug('-'.join([this.role, *aliases]))}-{os.getpid()}.json"


def _with_fast_path(this: Pass, group: TaskGroup, config: RunConfig) -> TaskGroup:
    """Choose how a classifier's forwards are computed, by how many there will be."""
    classifier, kernels = group.classifier, config.kernels
    forwards = sum(task.measure.forwards(task.parameters) for task in group.tasks)
    plan = plan_of(
        classifier.network,
        len(this.image_set.images) * forwards,
        config.device,
        config.precision,
        warm=warm(kernels, classifier, config.precision),
    )
    fast_path = FastPath(classifier, plan, config.seed, kernels)
    return replace(group, fast_path=fast_path, room=room_of(this, config, classifier.network))


def _known(this: Pass, config: RunConfig) -> dict[str, tuple[Validity, ...]]:
    """Return what was found before of numbers whose every row came from the cache, by table."""
    shard_cache, whole = this.shard_cache, this.whole
    if shard_cache is None or whole is None:
        return {}
    found = {}
    for group in this.groups.values():
        for task in group.tasks:
            every = this.result.cached[task.table] == this.result.n
            if every and task.table in shard_cache.asked:
                about = _about(this, group, config)
                depth = evidence.depth_of(task, config)
                if validity := shard_cache.validity(task.table, whole, depth, *about):
                    found[task.table] = validity
    return found


def _keep(
    this: Pass, group: TaskGroup, task: Task, validity: tuple[Validity, ...], config: RunConfig
) -> None:
    shard_cache, whole = this.shard_cache, this.whole
    broken = group.classifier.name in this.result.failures
    if shard_cache is None or whole is None or broken or task.table not in shard_cache.asked:
        return
    depth = evidence.depth_of(task, config)
    shard_cache.keep_validity(task.table, whole, depth, validity, *_about(this, group, config))


def _about(this: Pass, group: TaskGroup, config: RunConfig) -> tuple[object, ...]:
    """Return what evidence rests on beside rows and images.

    A classifier is asked once a run, on the images that come first: those count, too.
    """
    classifier, limited = group.classifier, len(this.image_set.images) < this.image_set.total
    card = classifier.card.model_dump(mode="json", exclude={"checkpoint"})
    home = config.examiner.homes[classifier.name]
    return this.image_set.sample_of, limited, dict(classifier.published), card, home


def _joined(this: Pass, task: Task, config: RunConfig) -> pd.DataFrame | None:
    """Return a task's rows; where they cannot be joined, that task alone is invalid."""
    try:
        return tables.merge(config.directory, task.table, join_of(task))
    except Exception as error:  # noqa: BLE001 - a measure may be a user's own
        said = f"its rows cannot be joined: {type(error).__name__}: {error}"
        this.result.invalid.setdefault(task.table, said)
        return None


def _measured(
    this: Pass,
    group: TaskGroup,
    task: Task,
    rows: pd.DataFrame | None,
    changes: state_guard.Changes,
    config: RunConfig,
) -> Measured:
    table = pd.DataFrame({key: [] for key in task.measure.keys}) if rows is None else rows
    return Measured(
        classifier=Facts.of(group.classifier),
        rows=table,
        images=this.result.n,
        limited=len(this.image_set.images) < this.image_set.total,
        sample_of=this.image_set.sample_of,
        unreadable=this.result.unreadable,
        validity=evidence.seen(this, group, task, table, changes),
        seed=config.seed,
        table=None if table.empty else tables.file(task.table),
    )


def images_of(this: Pass, config: RunConfig) -> int:
    """Return how many images a pass looks at."""
    spans = spans_of(len(this.image_set.images), batch_of(this, config))
    return sum(map(len, dealt(spans, config.partition)))


def draw(
    this: Pass, task: Task, name: str, count: int, config: RunConfig
) -> tuple[log.Picture, ...]:
    """Show a few images to a classifier again, and write what its measure makes of them."""
    started = time.perf_counter()
    if task.measure.badness is None:
        return ()
    whole, shard_cache = this.whole, this.shard_cache
    keeping = whole is not None and shard_cache is not None and task.table in shard_cache.asked
    if keeping and shard_cache and whole:
        before = shard_cache.pictures(task.table, whole, count, config.directory)
        if before is not None:
            return before
    badness = task.measure.badness(this.measured[task.table].rows)
    samples = pictures.pick(badness, count, gallery=task.measure.gallery)
    if not samples:
        return ()
    positions = [i for i, image in enumerate(this.image_set.images) if image.id in samples]
    drawings = _explained(this, task, name, positions, config)
    saved = pictures.save(drawings, samples, config.directory, task.table)
    if keeping and shard_cache and whole:
        shard_cache.keep_pictures(task.table, whole, count, saved, config.directory)
    this.picture_seconds += time.perf_counter() - started
    return saved


def keep(this: Pass, task: Task, name: str, config: RunConfig) -> None:
    """Write every adversarial of a task as an 8-bit PNG; they are made again, batch by batch."""
    spans = spans_of(len(this.image_set.images), batch_of(this, config))
    for span in dealt(spans, config.partition):
        drawings = _explained(this, task, name, span, config)
        pictures.save_adversarials(drawings, config.directory / "adversarials" / task.table)


def _explained(
    this: Pass, task: Task, name: str, positions: Sequence[int], config: RunConfig
) -> tuple[Drawing, ...]:
    group, rows = this.groups[name], this.measured[task.table].rows
    probe = probe_of(this, group, positions, config)
    if not probe.ids:
        return ()
    shown = rows[rows["image"].isin(probe.ids)]
    with numerics(config.device, config.precision):
        return task.measure.explain(probe, shown, task.parameters)


def image_set_record(this: Pass, partition: Partition | None = None) -> log.ImageSet:
    """Return the entry of the pass's images in the log.

    The fingerprint needs the bytes of all images, so where only a part was looked at it waits for
    the others.
    """
    result, image_set = this.result, this.image_set
    whole = result.finished and partition is None
    return log.ImageSet(
        role=this.role,
        source=this.source.text,
        n=len(image_set.images),
        total=image_set.total,
        limit=image_set.limit,
        sample_of=image_set.sample_of,
        fingerprint=fingerprint(image_set, result.digests) if whole else None,
        table=None if partition is None else tables.file(listing(this.role)),
        unreadable=tuple(
            log.Unreadable(image=image, reason=reason)
            for image, reason in result.unreadable.items()
        ),
        about={image.id: dict(image.about) for image in image_set.images if image.about},
        oriented=result.oriented,
    )


def planned(image_set: ImageSet) -> log.ImageSet:
    """Return the entry of images that nobody has walked over, so far as it is known."""
    return log.ImageSet(
        role="images",
        source=image_set.source,
        n=len(image_set.images),
        total=image_set.total,
        limit=image_set.limit,
    )


def listing(role: str) -> str:
    """Return the name of the table that lists the images of a role, where a part is looked at."""
    return f"images-{tables.slug(role)}-{hashlib.sha256(role.encode()).hexdigest()[:8]}"


def list_images(this: Pass, config: RunConfig) -> None:
    """Write what the fingerprint of an image set is made of, as far as this part knows it."""
    rows = [
        (image.id, this.result.digests.get(image.id), image.label, list(image.accepted))
        for image in this.image_set.images
    ]
    columns = ["image", "sha256", "label", "accepted"]
    tables.write(config.directory, listing(this.role), pd.DataFrame(rows, columns=columns))


def pass_record(this: Pass, config: RunConfig) -> log.PassRecord:
    """Return the entry that says where the pass's time went."""
    spent = this.result.spent
    return log.PassRecord(
        images=this.role,
        batch_size=batch_of(this, config),
        n=this.result.n,
        seconds=spent["total"],
        decode_seconds=spent["read"] + spent["decode"] + spent["preprocess"],
        wait_seconds=spent["wait"],
        forward_seconds=spent["look"],
        rows_seconds=spent["rows"],
        picture_seconds=this.picture_seconds,
        validity_seconds=this.validity_seconds,
        decoder="nvjpeg" if this.result.on_device else "pil",
        on_device=this.result.on_device,
        pixel_difference=_mean(this.result.pixel_error),
        fitting=dict(this.result.rooms),
        fast_paths=tuple(
            filter(None, (evidence.fast_path_record(this, name) for name in this.groups))
        ),
    )


def _mean(errors: Sequence[torch.Tensor]) -> float | None:
    return float(torch.stack(list(errors)).mean()) if errors else None
