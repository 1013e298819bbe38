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
from vision_evals.core.partition import Portion, dealt
from vision_evals.core.progress import Progress
from vision_evals.engine import evidence, pictures, state_guard, tables
from vision_evals.engine.loop import walk
from vision_evals.engine.plan import Manner, Pass, batch_of, probe_of, room_of
from vision_evals.engine.shard import join_of, spans_of
from vision_evals.engine.shard_cache import opened
from vision_evals.engine.tasks import Station, Task
from vision_evals.images.image_set import ImageSet, fingerprint
from vision_evals.log import Validity
from vision_evals.log.profiling.stages import timed
from vision_evals.log.profiling.trace import traced
from vision_evals.measures.measure import Drawing
from vision_evals.models.device import numerics
from vision_evals.models.fast_path.build import warm
from vision_evals.models.fast_path.fast_path import Lane
from vision_evals.models.fast_path.policy import plan_of
from vision_evals.verdict.check_input import Facts, Measured


def run(this: Pass, manner: Manner, progress: Progress) -> None:
    """Walk, and join the rows of every finished shard, also when the walk was interrupted."""
    networks = {name: station.classifier.network for name, station in this.stations.items()}
    changes = state_guard.Changes()
    rows: dict[str, pd.DataFrame | None] = {}
    aliases = dict.fromkeys(station.classifier.alias for station in this.stations.values())
    try:
        with (
            state_guard.watch(networks, changes),
            numerics(manner.device, manner.precision),
            progress(f"{this.role}, {', '.join(aliases)}", images_of(this, manner)) as shown,
            traced(_trace_file(this, manner), shown) as advance,
        ):
            this.stations = {
                name: _by_lane(this, one, manner) for name, one in this.stations.items()
            }
            this.shelf = opened(this, manner)
            walk(
                this.image_set,
                tuple(this.stations.values()),
                device=manner.device,
                batch_size=batch_of(this, manner),
                seed=manner.seed,
                directory=manner.directory,
                advance=advance,
                walked=this.walked,
                portion=manner.portion,
                shelf=this.shelf,
            )
    except BaseException as error:
        this.broken = f"the pass over {this.role} broke: {type(error).__name__}: {error}"
        raise
    finally:
        for station in this.stations.values():
            if station.lane is not None:
                station.lane.release()
            for task in station.tasks:
                rows[task.table] = _joined(this, task, manner)
    for name in this.stations:
        manner.examiner.homes.setdefault(name, str(this.whole))
    known = _known(this, manner)
    with timed("validity"):
        asked = evidence.examined(this, rows, changes, manner, known)
    for station in this.stations.values():
        for task in station.tasks:
            if task.table not in this.walked.not_applicable:
                found = _measured(this, station, task, rows[task.table], changes, manner)
                validity = known.get(task.table) or (
                    *found.validity,
                    *asked.get(task.table, ()),
                )
                this.measured[task.table] = replace(found, validity=validity)
                _keep(this, station, task, validity, manner)


def _trace_file(this: Pass, manner: Manner) -> Path | None:
    """Return where a trace goes: of workers each writes its own."""
    if manner.trace is None:
        return None
    aliases = dict.fromkeys(station.classifier.alias for station in this.stations.values())
    return manner.trace / f"{tables.slug('-'.join([this.role, *aliases]))}-{os.getpid()}.json"


def _by_lane(this: Pass, station: Station, manner: Manner) -> Station:
    """Choose how a classifier's forwards are computed, by how many there will be."""
    classifier, kernels = station.classifier, manner.kernels
    forwards = sum(task.measure.forwards(task.parameters) for task in station.tasks)
    plan = plan_of(
        classifier.network,
        len(this.image_set.images) * forwards,
        manner.device,
        manner.precision,
        warm=warm(kernels, classifier, manner.precision),
    )
    lane = Lane(classifier, plan, manner.seed, kernels)
    return replace(station, lane=lane, room=room_of(this, manner, classifier.network))


def _known(this: Pass, manner: Manner) -> dict[str, tuple[Validity, ...]]:
    """Return what was found before of numbers whose every row came from the cache, by table."""
    shelf, whole = this.shelf, this.whole
    if shelf is None or whole is None:
        return {}
    found = {}
    for station in this.stations.values():
        for task in station.tasks:
            every = this.walked.cached[task.table] == this.walked.n
            if every and task.table in shelf.asked:
                about = _about(this, station, manner)
                depth = evidence.depth_of(task, manner)
                if validity := shelf.validity(task.table, whole, depth, *about):
                    found[task.table] = validity
    return found


def _keep(
    this: Pass, station: Station, task: Task, validity: tuple[Validity, ...], manner: Manner
) -> None:
    shelf, whole = this.shelf, this.whole
    broken = station.classifier.name in this.walked.failures
    if shelf is None or whole is None or broken or task.table not in shelf.asked:
        return
    depth = evidence.depth_of(task, manner)
    shelf.keep_validity(task.table, whole, depth, validity, *_about(this, station, manner))


def _about(this: Pass, station: Station, manner: Manner) -> tuple[object, ...]:
    """Return what evidence rests on beside rows and images.

    A classifier is asked once a run, on the images that come first: those count, too.
    """
    classifier, limited = station.classifier, len(this.image_set.images) < this.image_set.total
    card = classifier.card.model_dump(mode="json", exclude={"checkpoint"})
    home = manner.examiner.homes[classifier.name]
    return this.image_set.sample_of, limited, dict(classifier.published), card, home


def _joined(this: Pass, task: Task, manner: Manner) -> pd.DataFrame | None:
    """Return a task's rows; where they cannot be joined, that task alone is invalid."""
    try:
        return tables.merge(manner.directory, task.table, join_of(task))
    except Exception as error:  # noqa: BLE001 - a measure may be a user's own
        said = f"its rows cannot be joined: {type(error).__name__}: {error}"
        this.walked.invalid.setdefault(task.table, said)
        return None


def _measured(
    this: Pass,
    station: Station,
    task: Task,
    rows: pd.DataFrame | None,
    changes: state_guard.Changes,
    manner: Manner,
) -> Measured:
    table = pd.DataFrame({key: [] for key in task.measure.keys}) if rows is None else rows
    return Measured(
        classifier=Facts.of(station.classifier),
        rows=table,
        images=this.walked.n,
        limited=len(this.image_set.images) < this.image_set.total,
        sample_of=this.image_set.sample_of,
        unreadable=this.walked.unreadable,
        validity=evidence.seen(this, station, task, table, changes),
        seed=manner.seed,
        table=None if table.empty else tables.file(task.table),
    )


def images_of(this: Pass, manner: Manner) -> int:
    """Return how many images a pass looks at."""
    spans = spans_of(len(this.image_set.images), batch_of(this, manner))
    return sum(map(len, dealt(spans, manner.portion)))


def draw(this: Pass, task: Task, name: str, count: int, manner: Manner) -> tuple[log.Picture, ...]:
    """Show a few images to a classifier again, and write what its measure makes of them."""
    started = time.perf_counter()
    if task.measure.badness is None:
        return ()
    whole, shelf = this.whole, this.shelf
    keeping = whole is not None and shelf is not None and task.table in shelf.asked
    if keeping and shelf and whole:
        before = shelf.pictures(task.table, whole, count, manner.directory)
        if before is not None:
            return before
    badness = task.measure.badness(this.measured[task.table].rows)
    samples = pictures.pick(badness, count, gallery=task.measure.gallery)
    if not samples:
        return ()
    positions = [i for i, image in enumerate(this.image_set.images) if image.id in samples]
    drawings = _explained(this, task, name, positions, manner)
    saved = pictures.save(drawings, samples, manner.directory, task.table)
    if keeping and shelf and whole:
        shelf.keep_pictures(task.table, whole, count, saved, manner.directory)
    this.picture_seconds += time.perf_counter() - started
    return saved


def keep(this: Pass, task: Task, name: str, manner: Manner) -> None:
    """Write every adversarial of a task as an 8-bit PNG; they are made again, batch by batch."""
    spans = spans_of(len(this.image_set.images), batch_of(this, manner))
    for span in dealt(spans, manner.portion):
        drawings = _explained(this, task, name, span, manner)
        pictures.save_adversarials(drawings, manner.directory / "adversarials" / task.table)


def _explained(
    this: Pass, task: Task, name: str, positions: Sequence[int], manner: Manner
) -> tuple[Drawing, ...]:
    station, rows = this.stations[name], this.measured[task.table].rows
    probe = probe_of(this, station, positions, manner)
    if not probe.ids:
        return ()
    shown = rows[rows["image"].isin(probe.ids)]
    with numerics(manner.device, manner.precision):
        return task.measure.explain(probe, shown, task.parameters)


def image_set_record(this: Pass, portion: Portion | None = None) -> log.ImageSet:
    """Return the entry of the pass's images in the log.

    The fingerprint needs the bytes of all images, so where only a part was looked at it waits for
    the others.
    """
    walked, image_set = this.walked, this.image_set
    whole = walked.finished and portion is None
    return log.ImageSet(
        role=this.role,
        source=this.source.text,
        n=len(image_set.images),
        total=image_set.total,
        limit=image_set.limit,
        sample_of=image_set.sample_of,
        fingerprint=fingerprint(image_set, walked.digests) if whole else None,
        table=None if portion is None else tables.file(listing(this.role)),
        unreadable=tuple(
            log.Unreadable(image=image, reason=reason)
            for image, reason in walked.unreadable.items()
        ),
        about={image.id: dict(image.about) for image in image_set.images if image.about},
        oriented=walked.oriented,
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


def list_images(this: Pass, manner: Manner) -> None:
    """Write what the fingerprint of an image set is made of, as far as this part knows it."""
    rows = [
        (image.id, this.walked.digests.get(image.id), image.label, list(image.accepted))
        for image in this.image_set.images
    ]
    columns = ["image", "sha256", "label", "accepted"]
    tables.write(manner.directory, listing(this.role), pd.DataFrame(rows, columns=columns))


def walk_record(this: Pass, manner: Manner) -> log.Walk:
    """Return the entry that says where the pass's time went."""
    spent = this.walked.spent
    return log.Walk(
        images=this.role,
        batch_size=batch_of(this, manner),
        n=this.walked.n,
        seconds=spent["total"],
        decode_seconds=spent["read"] + spent["decode"] + spent["preprocess"],
        wait_seconds=spent["wait"],
        forward_seconds=spent["look"],
        rows_seconds=spent["rows"],
        picture_seconds=this.picture_seconds,
        validity_seconds=this.validity_seconds,
        decoder="nvjpeg" if this.walked.on_device else "pil",
        on_device=this.walked.on_device,
        pixel_difference=_mean(this.walked.pixel_error),
        fitting=dict(this.walked.rooms),
        lanes=tuple(filter(None, (evidence.lane_record(this, name) for name in this.stations))),
    )


def _mean(errors: Sequence[torch.Tensor]) -> float | None:
    return float(torch.stack(list(errors)).mean()) if errors else None
