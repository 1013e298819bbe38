"""`evals merge`: one run from its parts, judged by the code that judges every run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.run_dirs import new_directory
from vision_evals.engine.jobs import Job
from vision_evals.engine.merge import rejudge, tables
from vision_evals.engine.merge.read import Part, by_id
from vision_evals.engine.merge.rejudge import JoinedRows
from vision_evals.engine.merge.union import classifiers, once, settings
from vision_evals.engine.pictures import pick
from vision_evals.log import Verdict
from vision_evals.suite.suite import Suite
from vision_evals.verdict.baseline.baseline import Baseline, Now
from vision_evals.verdict.check_input import Family, Question
from vision_evals.verdict.judge import judge, unjudged
from vision_evals.verdict.noise_floor import Noise, asked
from vision_evals.verdict.verdict import Floor, no_floor

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
    baseline: Baseline | None = None
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
    return first.model_copy(
        update={
            "id": this.directory.name,
            "status": "finished",
            "started": min(run.started for run in runs),
            "seconds": sum(run.seconds for run in runs),
            "command": command,
            "baseline": None if this.baseline is None else this.baseline.stored.record,
            "settings": settings(runs).model_copy(update={"shard": None}),
            "classifiers": known,
            "image_sets": image_sets,
            "items": items,
            "passes": tuple(walk for run in runs for walk in run.passes),
            "warnings": once([*(w for run in runs for w in run.warnings), *said, *warnings]),
        }
    )


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
    check_input = _question(this, shard_cache, job, entries)
    item = _judged(this, shard_cache, check_input, first)
    own = check_input.measured[0]
    drawn = _pictures(this, check_input, entries) if item.metrics else ()
    return item.model_copy(update={**spent, "table": own.table, "pictures": drawn})


def _question(
    this: Merge, shard_cache: JoinedRows, job: Job, entries: Sequence[log.Item]
) -> Question:
    measure = rejudge.measure(job.check)
    others = shard_cache.seed_results_by_alias(entries, measure, against=False)
    if job.alias not in others:
        raise UserError(f"{job.id}: the parts hold no rows of {job.alias}; run them again")
    measured: Family = others.pop(job.alias)
    against = shard_cache.seed_results_by_alias(entries, measure, against=True)
    floor = _floor(this, shard_cache, job, entries[0])
    return Question(job, measure, measured, others, against, floor=floor)


def _floor(
    this: Merge, shard_cache: JoinedRows, job: Job, item: log.Item
) -> Callable[[log.Metric], Floor | None]:
    roles = dict.fromkeys(rows.images for rows in item.rows if rows.images is not None)
    classifier = shard_cache.classifiers.get(job.alias)
    if this.noise is None or classifier is None or not roles:
        return no_floor
    images = [str(shard_cache.image_sets[role].fingerprint) for role in roles]
    check_input = asked(job, str(classifier.fingerprint), images)
    return partial(this.noise.floor, check_input, this.parts[0].log.settings.precision)


def _judged(
    this: Merge, shard_cache: JoinedRows, check_input: Question, first: log.Item
) -> log.Item:
    """Return the verdict; what cannot be judged is INVALID and says why, as in a session."""
    roles = first.images, first.against
    try:
        if this.baseline is None:
            return judge(check_input, *roles)
        sets = [
            shard_cache.image_sets[role]
            for role in roles
            if role is not None and role in shard_cache.image_sets
        ]
        settings = this.parts[0].log.settings.model_copy(update={"shard": None})
        passes = tuple(walk for part in this.parts for walk in part.log.passes)
        now = Now(settings, shard_cache.classifiers, passes)
        this.baseline.early(check_input.job, now, sets)
        check_input = replace(check_input, baseline=this.baseline.beside(check_input, now, sets))
        return this.baseline.compared(judge(check_input, *roles), check_input, now)
    except UserError as error:
        return unjudged(check_input.job, Verdict.INVALID, str(error))
    except Exception as error:  # noqa: BLE001 - a measure may be a user's own
        return unjudged(check_input.job, Verdict.INVALID, repr(error))


def _pictures(
    this: Merge, check_input: Question, entries: Sequence[log.Item]
) -> tuple[log.Picture, ...]:
    """Pick among the pictures of all parts as a whole run would have among all images.

    What the whole run picks, its part has picked: the worst of all are among the worst of a part,
    and the first of all by hash among the first of a part.
    """
    measure, rows = check_input.measure, check_input.measured[0].rows
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
