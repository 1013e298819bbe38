"""`evals merge`: one run from its parts, judged by the code that judges every run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.run_dirs import new_directory
from vision_evals.engine.item import Results, Standards, failed, item_of
from vision_evals.engine.merge import rejudge, tables
from vision_evals.engine.merge.read import Part, by_id
from vision_evals.engine.merge.rejudge import JoinedRows
from vision_evals.engine.merge.union import classifiers, joined, once, settings
from vision_evals.engine.pictures import pick
from vision_evals.log import Verdict
from vision_evals.suite.suite import Suite
from vision_evals.verdict.baseline.baseline import BaselineRun, CurrentRun
from vision_evals.verdict.job import Job
from vision_evals.verdict.noise_floor import Noise

NUMBERLESS = (Verdict.UNAVAILABLE, Verdict.NOT_APPLICABLE)
"""Verdicts that one part may give for all: they are about no image."""


@dataclass
class Merge:
    """What is joined, and where it will lie."""

    parts: tuple[Part, ...]
    suites: Mapping[str, tuple[Suite, Path]]
    """By path: each with its folder."""
    directory: Path
    """Of the new run; made when all is judged."""
    noise: Noise | None = None
    """This machine's, where the parts were computed on it."""
    baseline: BaselineRun | None = None
    """The run that gates compare with."""
    pictures: dict[str, Path] = field(default_factory=dict)
    """File below the new run to where it comes from."""


def merge(this: Merge, command: str, warnings: Sequence[str] = ()) -> log.Run:
    """Join parts into a run: write its tables and pictures, judge it, and return its log.

    Raises:
        UserError: a table is missing or damaged, or the parts do not fit together.
    """
    runs = [part.log for part in this.parts]
    first = runs[0]
    image_sets = _image_sets(this.parts)
    known = classifiers((c for run in runs for c in run.classifiers), first.selected)
    shard_cache = JoinedRows(
        this.parts,
        {one.role: one for one in image_sets},
        {one.alias: one for one in known},
        first.settings.seed,
    )
    entries = [by_id(run) for run in runs]
    items = tuple(
        _item(this, shard_cache, [one[name] for one in entries]) for name in first.selected
    )
    _write(this, shard_cache)
    devices = once(run.settings.device_name for run in runs)
    said = [f"parts ran on different devices: {', '.join(devices)}"] if len(devices) > 1 else []
    update = {
        "id": this.directory.name,
        "status": "finished",
        "seconds": sum(run.seconds for run in runs),
        "baseline": None if this.baseline is None else this.baseline.stored.record,
        "settings": settings(runs).model_copy(update={"shard": None}),
        "image_sets": image_sets,
        "items": items,
    }
    return joined(runs, command, [*said, *warnings], update)


def _image_sets(parts: Sequence[Part]) -> tuple[log.ImageSet, ...]:
    """Return each image set as if one run had looked at all of it."""
    found = []
    for one in parts[0].log.image_sets:
        same = [{i.role: i for i in part.log.image_sets}[one.role] for part in parts]
        for part, images in zip(parts, same, strict=True):
            if images.table is None:
                raise UserError(f"{part}: lists no images of {one.role}; run it again")
        fingerprint = tables.whole(parts, [str(images.table) for images in same])
        found.append(
            one.model_copy(
                update={
                    "fingerprint": fingerprint,
                    "table": None,
                    "unreadable": tuple(u for images in same for u in images.unreadable),
                    "oriented": sum(images.oriented for images in same),
                }
            )
        )
    return tuple(found)


def _item(this: Merge, shard_cache: JoinedRows, entries: Sequence[log.Item]) -> log.Item:
    """Return the entry of one check on one classifier, from that of each part."""
    first = entries[0]
    if first.suite not in this.suites:
        raise UserError(f"{first.id}: its log does not list the suite {first.suite}")
    job = rejudge.job(
        first,
        this.suites[first.suite],
        shard_cache.image_sets,
        shard_cache.classifiers.get(first.classifier),
    )
    if job.source is None:
        entries = entries[:1]
    spent = {
        "seconds": sum(item.seconds for item in entries),
        "cached": sum(item.cached for item in entries),
    }
    for part, item in zip(this.parts, entries, strict=False):
        if item.verdict in NUMBERLESS:
            return item.model_copy(update={**spent, "rows": ()})
        if not item.rows:
            words = f"{part.partition.words}: {item.sentence}"
            return item.model_copy(update={**spent, "sentence": words})
    results = _results(shard_cache, job, entries)
    item = _judged(this, shard_cache, results)
    drawn = _pictures(this, results, entries) if item.metrics else ()
    table = results.measured[0].table
    return item.model_copy(update={**spent, "table": table, "pictures": drawn})


def _results(shard_cache: JoinedRows, job: Job, entries: Sequence[log.Item]) -> Results:
    """Return what the parts measured for a job."""
    seed_results_by_alias = shard_cache.seed_results_by_alias(entries, job.measure, against=False)
    if job.alias not in seed_results_by_alias:
        raise UserError(f"{job.id}: the parts hold no rows of {job.alias}; run them again")
    roles = filter(None, (entries[0].images, entries[0].against))
    images = tuple(shard_cache.image_sets[role] for role in roles if role in shard_cache.image_sets)
    against = shard_cache.seed_results_by_alias(entries, job.measure, against=True)
    return Results(job, seed_results_by_alias, against, images)


def _judged(this: Merge, shard_cache: JoinedRows, results: Results) -> log.Item:
    """Return the verdict; what cannot be judged is INVALID and says why, as in a session."""
    settings = this.parts[0].log.settings.model_copy(update={"shard": None})
    passes = tuple(walk for part in this.parts for walk in part.log.passes)
    now = CurrentRun(settings, shard_cache.classifiers, passes)
    try:
        if this.baseline is not None:
            this.baseline.require_comparable(results.job, now, results.images)
        return item_of(results, Standards(now, this.noise, this.baseline))
    except Exception as error:  # noqa: BLE001 - a measure may be a user's own
        return failed(results.job, error)


def _pictures(
    this: Merge, results: Results, entries: Sequence[log.Item]
) -> tuple[log.Picture, ...]:
    """Pick among the pictures of all parts as a whole run would have among all images.

    What the whole run picks, its part has picked: the worst of all are among the worst of a part,
    and the first of all by hash among the first of a part.
    """
    measure, rows = results.job.measure, results.measured[0].rows
    count = this.parts[0].log.settings.pictures
    if measure.badness is None or rows.empty or not count:
        return ()
    picked = pick(measure.badness(rows), count, gallery=measure.gallery)
    drawn = {
        picture.image: (part, picture)
        for part, item in zip(this.parts, entries, strict=False)
        for picture in item.pictures
    }
    found = []
    for image, sample in picked.items():
        if image in drawn:
            part, picture = drawn[image]
            file = f"pictures/{Path(picture.file).name}"
            this.pictures[file] = tables.below(part, picture.file)
            found.append(picture.model_copy(update={"file": file, "sample": sample}))
    return tuple(found)


def _write(this: Merge, shard_cache: JoinedRows) -> None:
    """Make the run, write the tables, copy the pictures that were picked and what was kept."""
    new_directory(this.directory.parent, this.directory)
    for file, table in shard_cache.joined.items():
        pq.write_table(table, this.directory / file, compression="zstd")
    for file, place in this.pictures.items():
        (this.directory / file).parent.mkdir(exist_ok=True)
        shutil.copyfile(place, this.directory / file)
    for part in this.parts:
        for place in sorted((part.directory / KEPT).rglob("*.png")):
            file = str(place.relative_to(part.directory))
            target = this.directory / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(tables.below(part, file), target)


KEPT = "adversarials"
"""Folder of `--evals-keep-adversarials`."""
