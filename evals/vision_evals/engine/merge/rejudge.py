"""Questions asked again of a log: jobs from suites that did not change, families from all parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.engine.merge import tables
from vision_evals.engine.merge.read import Part
from vision_evals.engine.roles import source_of
from vision_evals.images.labels import BUILT_IN, ClassMap, class_map
from vision_evals.log import Validity
from vision_evals.measures import lookup
from vision_evals.measures.measure import Measure
from vision_evals.models.request import Request
from vision_evals.suite.options import Source
from vision_evals.suite.parse import digest, parse
from vision_evals.suite.suite import Suite
from vision_evals.verdict.check_input import ClassifierInfo, Measured
from vision_evals.verdict.job import Job

WORST = ("failed", "undecided", "passed")
"""Outcomes of validity checks."""


def suite(said: log.Suite, folders: Sequence[Path], commit: str | None) -> tuple[Suite, Path]:
    """Read a suite again, and return it with its folder.

    Args:
        said: what the log says of it.
        folders: its path may be relative to.
        commit: of the checkout that the parts ran on.

    Raises:
        UserError: it is not there, or not what it was.
    """
    files = (folder / said.path for folder in folders)
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise UserError(
            f"{said.path}: no such suite here; merge in the folder that pytest called rootdir"
        )
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as UTF-8: {error}") from None
    if digest(text) != said.sha256:
        at = f" (commit {commit})" if commit else ""
        raise UserError(
            f"{file}: is not the suite that the parts ran: its sha256 differs; check out what "
            f"they ran on{at}, or run them again"
        )
    return parse(text, said.path, lambda name: lookup(name, file.parent)), file.parent


def job(
    item: log.Item,
    found: tuple[Suite, Path],
    image_sets: Mapping[str, log.ImageSet],
    classifier: log.Classifier | None,
) -> Job:
    """Return the job that an entry of a log is about.

    Raises:
        UserError: the suite has no such check, or other parameters.
    """
    asked, folder = found
    check = next((check for check in asked.checks if check.name == item.check), None)
    if check is None:
        raise UserError(f'{item.id}: {asked.path} has no check "{item.check}"')
    if check.parameters.model_dump(mode="json") != item.parameters:
        raise UserError(f"{item.id}: its parameters are not those of {asked.path}")
    against = next((rows.images for rows in item.rows if rows.against), None)
    return Job(
        id=item.id,
        suite=asked,
        check=check,
        request=Request(item.classifier, classifier.network if classifier else "", None),
        named=True,
        trained=classifier is not None and bool(classifier.recipe),
        source=_source(check.table.images, item.images, found, image_sets),
        against=None if against is None else _source(None, against, (asked, folder), image_sets),
    )


def _source(
    role: str | None,
    name: str | None,
    found: tuple[Suite, Path],
    image_sets: Mapping[str, log.ImageSet],
) -> Source | None:
    """Return where images came from, as it was written; nothing is read there."""
    if name is None or name not in image_sets:
        return None if role is None else Source(role, role)
    text, (asked, folder) = image_sets[name].source, found
    return source_of(text, folder if text in asked.images.values() else Path.cwd())


def facts(classifier: log.Classifier | None, seed: int | None) -> ClassifierInfo | None:
    """Return what judging needs to know of a classifier, from its entry in the log."""
    if classifier is None:
        return None
    name = classifier.class_map
    classes = ClassMap(name, classifier.class_names, classifier.synsets or None)
    if name == BUILT_IN:
        known = class_map(BUILT_IN, Path())
        classes = known if known.names == classes.names else classes
    return ClassifierInfo(classes, classifier.published, seed)


@dataclass
class JoinedRows:
    """Rows of all parts, each table joined once."""

    parts: Sequence[Part]
    image_sets: Mapping[str, log.ImageSet]
    classifiers: Mapping[str, log.Classifier]
    seed: int
    joined: dict[str, pa.Table] = field(default_factory=dict)
    """By the file that it will be in."""
    _known: dict[tuple[tuple[int, str], ...], str] = field(default_factory=dict)

    def seed_results_by_alias(
        self, items: Sequence[log.Item], asked: Measure, *, against: bool
    ) -> dict[str, tuple[Measured, ...]]:
        """Return what one question gave, by alias, from its entry in each part.

        Raises:
            UserError: a table is missing or damaged, or the parts did not see every image once.
        """
        entries: dict[tuple[str, int | None], list[tuple[Part, log.Rows]]] = {}
        for part, item in zip(self.parts, items, strict=False):
            for rows in item.rows:
                if rows.against == against:
                    entries.setdefault((rows.classifier, rows.seed), []).append((part, rows))
        found: dict[str, tuple[Measured, ...]] = {}
        for (alias, seed), told in entries.items():
            one = self._measured(alias, seed, told, asked)
            found[alias] = (*found.get(alias, ()), one)
        return found

    def _measured(
        self,
        alias: str,
        seed: int | None,
        told: Sequence[tuple[Part, log.Rows]],
        asked: Measure,
    ) -> Measured:
        file = self._file([(part, rows.table) for part, rows in told if rows.table], asked)
        role, images = told[0][1].images, sum(rows.n for _, rows in told)
        image_set = None if role is None else self.image_sets.get(role)
        if image_set is not None:
            self._complete(image_set, alias, images)
        return Measured(
            classifier=facts(self.classifiers.get(alias), seed),
            rows=self._rows(file, seed, asked, tabulated=role is None),
            seed=self.seed,
            images=images,
            limited=image_set is not None and image_set.n < image_set.total,
            sample_of=None if image_set is None else image_set.sample_of,
            unreadable={u.image: u.reason for u in image_set.unreadable} if image_set else {},
            validity=worst(told),
            table=file,
        )

    def _file(self, found: Sequence[tuple[Part, str]], asked: Measure) -> str | None:
        """Join a table once, and return the file that it will be in."""
        key = tuple((part.partition.k, file) for part, file in found)
        if not key:
            return None
        if key not in self._known:
            table = tables.joined(found, asked)
            assert table is not None
            self._known[key] = f"tables/{Path(found[0][1]).name}"
            self.joined[self._known[key]] = table
        return self._known[key]

    def _rows(
        self, file: str | None, seed: int | None, asked: Measure, *, tabulated: bool
    ) -> pd.DataFrame:
        if file is None:
            return pd.DataFrame({key: [] for key in asked.keys})
        rows: pd.DataFrame = self.joined[file].to_pandas()
        if not tabulated:
            return rows
        own = rows if seed is None else rows[rows["seed"] == seed].reset_index(drop=True)
        return own.drop(columns="seed")

    def _complete(self, image_set: log.ImageSet, alias: str, images: int) -> None:
        """Refuse parts that left images out: a number of some is none of all."""
        seen = images + len(image_set.unreadable)
        if seen != image_set.n:
            raise UserError(
                f"{alias} on {image_set.role}: the parts looked at {seen} of {image_set.n} images; "
                "run all parts again with one command"
            )


def worst(told: Sequence[tuple[Part, log.Rows]]) -> tuple[Validity, ...]:
    """Return each validity check as it is worst among the parts that saw images.

    What all parts say alike is said once; otherwise the evidence says whose it is.
    """
    saw = [(part, rows) for part, rows in told if rows.n] or told[:1]
    found: dict[tuple[str, str], list[tuple[Part, Validity]]] = {}
    for part, rows in saw:
        for check in rows.validity:
            found.setdefault((check.id, check.name), []).append((part, check))
    return tuple(_worst(same, len(saw)) for same in found.values())


def _worst(same: Sequence[tuple[Part, Validity]], parts: int) -> Validity:
    part, check = min(same, key=lambda one: (not one[1].invalidates, WORST.index(one[1].outcome)))
    if len(same) == parts and all(other == check for _, other in same):
        return check
    return check.model_copy(update={"evidence": f"{part.partition.words}: {check.evidence}"})
