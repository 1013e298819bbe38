"""One check on one network: rows are made up, everything after them is a session's own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from PIL import Image

from tests.large import pictures
from tests.large.rows import MAKERS, Asked, Network
from vision_evals import log
from vision_evals.images.labels import ClassMap
from vision_evals.measures.measure import Measure
from vision_evals.models.request import Request
from vision_evals.suite.options import Source
from vision_evals.suite.suite import Check, Suite
from vision_evals.validity.checks import CHECKS
from vision_evals.verdict.baseline.comparison import comparison
from vision_evals.verdict.baseline.provenance import Side
from vision_evals.verdict.baseline.thumbnails import thumbnails
from vision_evals.verdict.check_input import BaselineEntry, CheckInput, ClassifierInfo, Measured
from vision_evals.verdict.job import Job
from vision_evals.verdict.judge import judge


@dataclass(frozen=True, slots=True)
class Shown:
    """What every network of the run is shown, and where its answers go."""

    directory: Path
    baseline: str
    """Id of a run that never was."""
    settings: log.Settings
    classes: ClassMap
    ids: Mapping[str, tuple[str, ...]]
    """Role to the images of a set."""


def item(
    shown: Shown, suite: Suite, check: Check, network: Network, card: log.Classifier
) -> log.Item:
    """Return the entry of a check, its table and pictures written."""
    directory, question = shown.directory, _question(shown, suite, check, network)
    measure, rows, role = question.measure, question.measured[0].rows, str(check.table.images)
    told = None
    if measure.name == "accuracy":
        question, told = _compared(shown, question, card)
    found = judge(question, role, check.table.against)
    prefix = f"{measure.name}-{check.name}-{network.alias}"
    rows.to_parquet(directory / f"tables/{prefix}.parquet")
    return found.model_copy(
        update={
            "table": f"tables/{prefix}.parquet",
            "pictures": pictures.drawn(measure, rows, shown.classes.names, directory, prefix),
            "comparison": told,
            "seconds": len(shown.ids[role]) / 200,
        }
    )


def _question(shown: Shown, suite: Suite, check: Check, network: Network) -> CheckInput:
    measure = check.spec
    assert isinstance(measure, Measure)
    job = Job(
        id=f"{suite.path}::{check.name}[{network.alias}]",
        suite=suite,
        check=check,
        request=Request(network.alias, network.alias, None),
        named=True,
        trained=False,
        source=Source("data", "data"),
        against=None if check.table.against is None else Source("more", "more"),
    )

    def measured(role: str, of: Network) -> tuple[Measured, ...]:
        rows = MAKERS[measure.name](Asked(of, shown.ids[role], check.parameters.model_dump()))
        found = Measured(
            ClassifierInfo(shown.classes),
            rows,
            0,
            len(shown.ids[role]),
            validity=_validity(measure),
        )
        return (found,)

    roles = str(check.table.images), check.table.against
    unsure = replace(network, skill=network.skill - 0.3) if roles[0] == "art" else network
    against = {} if roles[1] is None else {network.alias: measured(roles[1], network)}
    return CheckInput(job, measure, measured(roles[0], unsure), {}, against)


def _validity(measure: Measure) -> tuple[log.Validity, ...]:
    return tuple(
        log.Validity(
            id=one.id, name=one.name, outcome="passed", severity=one.severity, cost=one.cost,
            evidence="of 32 images all agree, the largest difference is 3.1e-06",
            meaning=one.meaning, source=one.source,
        )
        for one in CHECKS
        if one.guards(measure)
    )  # fmt: skip


def _compared(
    shown: Shown, question: CheckInput, card: log.Classifier
) -> tuple[CheckInput, log.Comparison]:
    """Hold a check against the same one of the run that never was, and show who flipped."""
    role, now = str(question.job.check.table.images), question.measured[0]
    before = _before(now.rows)
    asked = (replace(question, measured=(replace(now, rows=before),)), question)
    then, this = (Side(judge(one, role), card, shown.settings, ()) for one in asked)
    told = comparison(shown.baseline, question.measure, (then, this), (before, now.rows))
    assert told.flips is not None, "of accuracy there are always some"
    told = told.model_copy(update={"flips": _thumbnails(told.flips, shown.directory)})
    return replace(question, baseline=BaselineEntry(then, before)), told


def _before(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows that are right on a few other images: every 29th of the wrong, but 67th."""
    right = rows["correct1"].to_numpy()
    rank = pd.Series(range(len(rows)))
    won, lost = (rank % 29 == 0) & ~right, (rank % 67 == 0) & right
    return rows.assign(
        correct1=(right | won) & ~lost,
        correct5=rows["correct5"] | won,
        top5=[
            top[::-1] if changed else top
            for top, changed in zip(rows["top5"], won | lost, strict=True)
        ],
    )


def _thumbnails(flips: log.Flips, directory: Path) -> log.Flips:
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for rank, flip in enumerate((*flips.lost, *flips.won)):
            paths[flip.image] = Path(folder) / f"{rank}.jpg"
            Image.fromarray(pictures.photograph(flip.image)).save(paths[flip.image])
        return thumbnails(flips, paths, directory)
