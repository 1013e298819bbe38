"""Rebuilds jobs and rows from the logs of parts, whose suites must be unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.tables import toml_text
from vision_evals.engine.merge import tables
from vision_evals.engine.merge.read import RunPart
from vision_evals.engine.roles import source_of
from vision_evals.images.labels import BUILT_IN, ClassMap, class_map
from vision_evals.log import Validity
from vision_evals.log.rows import RowPlan
from vision_evals.measures import lookup
from vision_evals.measures.measure import Measure
from vision_evals.models.request import Request
from vision_evals.suite.options import Source
from vision_evals.suite.parse import digest, parse
from vision_evals.suite.suite import Suite
from vision_evals.verdict.check_input import ClassifierInfo, Measured
from vision_evals.verdict.job import Job

OUTCOMES_WORST_FIRST = ("failed", "undecided", "passed")
"""Outcomes of a validity check."""


def suite(entry: log.Suite, folders: Sequence[Path], commit: str | None) -> tuple[Suite, Path]:
    """Read a suite again, and return it with its folder.

    Args:
        entry: of the suite in the log.
        folders: that its path may be relative to.
        commit: of the checkout that the parts ran on.

    Raises:
        UserError: it is missing, or has changed.
    """
    files = (folder / entry.path for folder in folders)
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise UserError(
            f"{entry.path}: no such suite here; merge in the folder that pytest called rootdir"
        )
    text = toml_text(file)
    if digest(text) != entry.sha256:
        at = f" (commit {commit})" if commit else ""
        raise UserError(
            f"{file}: is not the suite that the parts ran: its sha256 differs; check out what "
            f"they ran on{at}, or run them again"
        )
    return parse(text, entry.path, lambda name: lookup(name, file.parent)), file.parent


def job(
    item: log.Item,
    read_suite: tuple[Suite, Path],
    image_sets: Mapping[str, log.ImageSet],
    classifier: log.Classifier | None,
) -> Job:
    """Return the job that an entry of a log is about.

    Raises:
        UserError: the suite has no such check, or other parameters.
    """
    suite, folder = read_suite
    check = next((check for check in suite.checks if check.name == item.check), None)
    if check is None:
        raise UserError(f'{item.id}: {suite.path} has no check "{item.check}"')
    if check.parameters.model_dump(mode="json") != item.parameters:
        raise UserError(f"{item.id}: its parameters are not those of {suite.path}")
    against = next((rows.images for rows in item.rows if rows.against), None)
    return Job(
        id=item.id,
        suite=suite,
        check=check,
        request=Request(item.classifier, classifier.network if classifier else "", None),
        named=True,
        trained=classifier is not None and bool(classifier.recipe),
        source=_source(check.table.images, item.images, read_suite, image_sets),
        against=None if against is None else _source(None, against, (suite, folder), image_sets),
    )


def _source(
    role: str | None,
    name: str | None,
    read_suite: tuple[Suite, Path],
    image_sets: Mapping[str, log.ImageSet],
) -> Source | None:
    """Return the source of images as the suite names it; nothing is read."""
    if name is None or name not in image_sets:
        return None if role is None else Source(role, role)
    text, (suite, folder) = image_sets[name].source, read_suite
    return source_of(text, folder if text in suite.images.values() else Path.cwd())


def classifier_info(classifier: log.Classifier | None, seed: int | None) -> ClassifierInfo | None:
    """Return the facts of a classifier that judging needs, from its entry in the log."""
    if classifier is None:
        return None
    name = classifier.class_map
    classes = ClassMap(name, classifier.class_names, classifier.synsets or None)
    if name == BUILT_IN:
        built_in = class_map(BUILT_IN, Path())
        classes = built_in if built_in.names == classes.names else classes
    return ClassifierInfo(classes, classifier.published, seed)


@dataclass
class JoinedRows:
    """Rows of all parts, each table joined once."""

    parts: Sequence[RunPart]
    image_sets: Mapping[str, log.ImageSet]
    classifiers: Mapping[str, log.Classifier]
    seed: int
    joined: dict[str, pa.Table] = field(default_factory=dict)
    """By the file that it will be in."""
    _joined_files: dict[tuple[tuple[int, str], ...], str] = field(default_factory=dict)

    def seed_results_by_alias(
        self, items: Sequence[log.Item], job: Job, *, against: bool
    ) -> dict[str, tuple[Measured, ...]]:
        """Return the rows of one check by alias, joined from the entries of all parts.

        Raises:
            UserError: a table is missing or damaged, or some image was not read exactly once.
        """
        entries: dict[tuple[str, int | None], list[tuple[RunPart, log.Rows]]] = {}
        for part, item in zip(self.parts, items, strict=False):
            for rows in item.rows:
                if rows.against == against:
                    entries.setdefault((rows.classifier, rows.seed), []).append((part, rows))
        seed_results: dict[str, tuple[Measured, ...]] = {}
        for (alias, seed), rows_by_part in entries.items():
            measured = self._measured(alias, seed, rows_by_part, job)
            seed_results[alias] = (*seed_results.get(alias, ()), measured)
        return seed_results

    def _measured(
        self,
        alias: str,
        seed: int | None,
        rows_by_part: Sequence[tuple[RunPart, log.Rows]],
        job: Job,
    ) -> Measured:
        role, measure = rows_by_part[0][1].images, job.measure
        image_set = None if role is None else self.image_sets.get(role)
        read = [() if role is None else tables.images_of(part, role) for part, _ in rows_by_part]
        images = sum(map(len, read))
        if image_set is not None:
            for counted in (images, sum(rows.n for _, rows in rows_by_part)):
                self._check_complete(image_set, alias, counted)
        file = self._file(rows_by_part, [self._plan(alias, ids, job, role) for ids in read], job)
        return Measured(
            classifier=classifier_info(self.classifiers.get(alias), seed),
            rows=self._rows(file, seed, measure, tabulated=role is None),
            seed=self.seed,
            images=images,
            limited=image_set is not None and image_set.n < image_set.total,
            sample_of=None if image_set is None else image_set.sample_of,
            unreadable={u.image: u.reason for u in image_set.unreadable} if image_set else {},
            validity=merged_validity(rows_by_part),
            table=file,
        )

    def _plan(self, alias: str, images: Sequence[str], job: Job, role: str | None) -> RowPlan:
        """Return what the table of a part must hold, which has read these images."""
        card, parameters = self.classifiers.get(alias), job.check.parameters
        plan = job.measure.plan(parameters, images, None if card is None else card.class_count)
        if role is not None:
            return plan
        keys = ("seed", *plan.keys) if card is not None and card.trainings else plan.keys
        return replace(plan, keys=keys, images=None)

    def _file(
        self, rows_by_part: Sequence[tuple[RunPart, log.Rows]], plans: Sequence[RowPlan], job: Job
    ) -> str | None:
        """Join a table once, and return the file that it will be in."""
        planned = [
            (part, rows.table, plan)
            for (part, rows), plan in zip(rows_by_part, plans, strict=True)
            if rows.table is not None or plan.rows
        ]
        if not planned:
            return None
        lost = next((part for part, file, _ in planned if file is None), None)
        if lost is not None:
            raise UserError(f"{lost}: its log names no rows for {job.id}; run all parts again")
        files = [(part, str(file)) for part, file, _ in planned]
        key = tuple((part.partition.k, file) for part, file in files)
        if key not in self._joined_files:
            self._joined_files[key] = f"tables/{Path(files[0][1]).name}"
            joined = tables.join_rows(files, job.measure, [plan for _, _, plan in planned])
            self.joined[self._joined_files[key]] = joined
        return self._joined_files[key]

    def _rows(
        self, file: str | None, seed: int | None, measure: Measure, *, tabulated: bool
    ) -> pd.DataFrame:
        if file is None:
            return pd.DataFrame({key: [] for key in measure.keys})
        rows: pd.DataFrame = self.joined[file].to_pandas()
        if not tabulated:
            return rows
        seed_rows = rows if seed is None else rows[rows["seed"] == seed].reset_index(drop=True)
        return seed_rows.drop(columns="seed")

    def _check_complete(self, image_set: log.ImageSet, alias: str, images: int) -> None:
        """Refuse parts that did not read every image."""
        images_read = images + len(image_set.unreadable)
        if images_read != image_set.n:
            raise UserError(
                f"{alias} on {image_set.role}: the parts read {images_read} of {image_set.n} "
                "images; run all parts again with one command"
            )


def merged_validity(rows_by_part: Sequence[tuple[RunPart, log.Rows]]) -> tuple[Validity, ...]:
    """Return the worst outcome of each validity check among the parts that read images.

    Unless all parts agree, the evidence names the part.
    """
    read = [(part, rows) for part, rows in rows_by_part if rows.n] or rows_by_part[:1]
    checks: dict[tuple[str, str], list[tuple[RunPart, Validity]]] = {}
    for part, rows in read:
        for check in rows.validity:
            checks.setdefault((check.id, check.name), []).append((part, check))
    return tuple(_worst_check(same, len(read)) for same in checks.values())


def _worst_check(checks: Sequence[tuple[RunPart, Validity]], parts: int) -> Validity:
    part, check = min(
        checks,
        key=lambda entry: (not entry[1].invalidates, OUTCOMES_WORST_FIRST.index(entry[1].outcome)),
    )
    if len(checks) == parts and all(other == check for _, other in checks):
        return check
    return check.model_copy(update={"evidence": f"{part.partition.words}: {check.evidence}"})
