"""`evals merge`: one run from its parts, judged by the code that judges every run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pyarrow.parquet as pq

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.paths import new_directory
from vision_evals.engine.item import Results, Standards, failed, item_of
from vision_evals.engine.merge import rejudge, tables
from vision_evals.engine.merge.read import RunPart
from vision_evals.engine.merge.rejudge import JoinedRows
from vision_evals.engine.merge.union import classifiers, join_logs, settings, unique
from vision_evals.engine.pictures import ADVERSARIALS, pick
from vision_evals.log import Verdict
from vision_evals.suite.suite import Suite
from vision_evals.verdict.baseline.baseline import BaselineRun, CurrentRun
from vision_evals.verdict.job import Job
from vision_evals.verdict.noise_floor import Noise

NUMBERLESS = (Verdict.UNAVAILABLE, Verdict.NOT_APPLICABLE)
"""Verdicts that one part may give for all parts: they do not depend on the images."""


@dataclass
class Merge:
    """The parts of a run, and the directory of the run that is made of them."""

    parts: tuple[RunPart, ...]
    suites: Mapping[str, tuple[Suite, Path]]
    """By path: each with its folder."""
    directory: Path
    """Of the new run; made when every check is judged."""
    noise: Noise | None = None
    """This machine's, where the parts were computed on it."""
    baseline: BaselineRun | None = None
    """The run that gates compare with."""
    pictures: dict[str, Path] = field(default_factory=dict)
    """File below the new run to the file that it is copied from."""
    remarks: dict[str, None] = field(default_factory=dict)
    """Warnings that judging gave, each once."""

    def run(self, command: str, warnings: Sequence[str] = ()) -> log.Run:
        """Join the parts: judge the run, write its tables and pictures, and return its log.

        Raises:
            UserError: a table is missing or damaged, or the parts do not fit together.
        """
        runs = [part.log for part in self.parts]
        entries = [{item.id: item for item in run.items} for run in runs]
        items = tuple(self._item([part[name] for part in entries]) for name in runs[0].selected)
        self._write()
        devices = unique(run.settings.device_name for run in runs)
        mixed = [f"parts ran on different devices: {', '.join(devices)}"] * (len(devices) > 1)
        update = {
            "id": self.directory.name,
            "status": "finished",
            "seconds": sum(run.seconds for run in runs),
            "baseline": None if self.baseline is None else self.baseline.stored.record,
            "settings": settings(runs).model_copy(update={"shard": None}),
            "image_sets": tuple(self.rows.image_sets.values()),
            "items": items,
        }
        return join_logs(runs, command, [*mixed, *warnings, *self.remarks], update)

    @cached_property
    def rows(self) -> JoinedRows:
        """The rows of all parts."""
        runs = [part.log for part in self.parts]
        cards = classifiers((card for run in runs for card in run.classifiers), runs[0].selected)
        return JoinedRows(
            self.parts,
            {image_set.role: image_set for image_set in _image_sets(self.parts)},
            {card.alias: card for card in cards},
            runs[0].settings.seed,
        )

    def _item(self, entries: Sequence[log.Item]) -> log.Item:
        """Return the entry of one check on one classifier, from that of each part."""
        first = entries[0]
        if first.suite not in self.suites:
            raise UserError(f"{first.id}: its log does not list the suite {first.suite}")
        classifier = self.rows.classifiers.get(first.classifier)
        job = rejudge.job(first, self.suites[first.suite], self.rows.image_sets, classifier)
        if job.source is None:
            entries = entries[:1]
        common = {
            "seconds": sum(item.seconds for item in entries),
            "cached": sum(item.cached for item in entries),
        }
        for part, item in zip(self.parts, entries, strict=False):
            if item.verdict in NUMBERLESS:
                return item.model_copy(update={**common, "rows": ()})
            if not item.rows:
                sentence = f"{part.partition.words}: {item.sentence}"
                return item.model_copy(update={**common, "sentence": sentence})
        results = self._results(job, entries)
        item = self._judge(results)
        pictures = self._pick_pictures(results, entries) if item.metrics else ()
        table = results.measured[0].table
        return item.model_copy(update={**common, "table": table, "pictures": pictures})

    def _results(self, job: Job, entries: Sequence[log.Item]) -> Results:
        """Return what the parts measured for a job."""
        seed_results = self.rows.seed_results_by_alias(entries, job, against=False)
        if job.alias not in seed_results:
            raise UserError(f"{job.id}: the parts have no rows of {job.alias}; run them again")
        roles = filter(None, (entries[0].images, entries[0].against))
        image_sets = self.rows.image_sets
        images = tuple(image_sets[role] for role in roles if role in image_sets)
        against = self.rows.seed_results_by_alias(entries, job, against=True)
        return Results(job, seed_results, against, images=images)

    def _judge(self, results: Results) -> log.Item:
        """Return the verdict; a check that cannot be judged is INVALID with the reason."""
        settings = self.parts[0].log.settings.model_copy(update={"shard": None})
        passes = tuple(record for part in self.parts for record in part.log.passes)
        now = CurrentRun(settings, self.rows.classifiers, passes)
        try:
            if self.baseline is not None:
                remark = self.baseline.require_comparable(results.job, now, results.images)
                self.remarks |= dict.fromkeys(filter(None, [remark]))
            return item_of(results, Standards(now, self.noise, self.baseline))
        except Exception as error:  # noqa: BLE001 - a measure may be a user's own
            return failed(results.job, error)

    def _pick_pictures(
        self, results: Results, entries: Sequence[log.Item]
    ) -> tuple[log.Picture, ...]:
        """Pick among the pictures of all parts as a whole run picks among all images.

        Each picture that the whole run picks is a picture of its part: the worst of all images are
        among the worst of a part, and the first of all by hash among the first of a part.
        """
        measure, rows = results.job.measure, results.measured[0].rows
        count = self.parts[0].log.settings.pictures
        if measure.badness is None or rows.empty or not count:
            return ()
        picked = pick(measure.badness(rows), count, gallery=measure.gallery)
        drawn = {
            picture.image: (part, picture)
            for part, item in zip(self.parts, entries, strict=False)
            for picture in item.pictures
        }
        pictures = []
        for image, sample in picked.items():
            if image in drawn:
                part, picture = drawn[image]
                file = f"pictures/{Path(picture.file).name}"
                self.pictures[file] = tables.path_in(part, picture.file)
                pictures.append(picture.model_copy(update={"file": file, "sample": sample}))
        return tuple(pictures)

    def _write(self) -> None:
        """Make the run; write its tables, and copy its pictures and adversarials."""
        new_directory(self.directory.parent, self.directory)
        for file, table in self.rows.joined.items():
            with (self.directory / file).open("wb") as stream:
                pq.write_table(table, stream, compression="zstd")
        for part in self.parts:
            for path in sorted((part.directory / ADVERSARIALS).rglob("*.png")):
                file = str(path.relative_to(part.directory))
                self.pictures[file] = tables.path_in(part, file)
        for file, path in self.pictures.items():
            target = self.directory / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def _image_sets(parts: Sequence[RunPart]) -> list[log.ImageSet]:
    """Return each image set as if one run had read all of it."""
    image_sets = []
    for image_set in parts[0].log.image_sets:
        role = image_set.role
        records = [{i.role: i for i in part.log.image_sets}[role] for part in parts]
        for part, record in zip(parts, records, strict=True):
            if record.table is None:
                raise UserError(f"{part}: lists no images of {role}; run it again")
        update = {
            "fingerprint": tables.joined_fingerprint(parts, [str(r.table) for r in records]),
            "table": None,
            "unreadable": tuple(image for record in records for image in record.unreadable),
            "oriented": sum(record.oriented for record in records),
        }
        image_sets.append(image_set.model_copy(update=update))
    return image_sets
