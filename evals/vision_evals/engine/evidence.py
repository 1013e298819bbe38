"""Whether the numbers of a pass can be trusted: what the walk saw, and what is asked after it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping

import pandas as pd

from vision_evals import log
from vision_evals.engine import state_guard
from vision_evals.engine.plan import Manner, Pass, probe_of
from vision_evals.engine.tasks import Station, Task, Walked
from vision_evals.images.image_set import ImageSet
from vision_evals.log import Validity
from vision_evals.models.classifier import Classifier
from vision_evals.models.device import numerics
from vision_evals.validity.check import Evidence
from vision_evals.verdict.judge import finite

BENCH = 16
"""Images that validity checks look at."""


def examined(
    this: Pass,
    rows: Mapping[str, pd.DataFrame | None],
    changes: state_guard.Changes,
    manner: Manner,
    known: Collection[str] = (),
) -> dict[str, tuple[Validity, ...]]:
    """Ask every classifier and task whether its numbers can be trusted, by table.

    Args:
        this: walked.
        rows: by table.
        changes: filled with what the networks were left with.
        manner: how to compute.
        known: tables that were asked before.
    """
    started = time.perf_counter()
    found: dict[str, tuple[Validity, ...]] = {}
    if all(task.table in known for station in this.stations.values() for task in station.tasks):
        return found
    images = bench(this.image_set, this.walked.digests)
    networks = {name: station.classifier.network for name, station in this.stations.items()}
    with state_guard.watch(networks, changes), numerics(manner.device, manner.precision):
        for name, station in this.stations.items():
            left = [task for task in station.tasks if task.table not in known]
            if name in this.walked.failures or not images or not left:
                continue
            probe = probe_of(this, station, images, manner)
            for task in left:
                table = rows.get(task.table)
                if table is None or table.empty or task.table in this.walked.not_applicable:
                    continue
                evidence = Evidence(
                    station.classifier,
                    probe,
                    tuple(this.image_set.images[i] for i in images),
                    this.image_set,
                    task.measure,
                    task.parameters,
                    table,
                )
                found[task.table] = manner.examiner.examine(evidence, depth_of(task, manner))
    this.validity_seconds += time.perf_counter() - started
    return found


def depth_of(task: Task, manner: Manner) -> log.Depth:
    """Return which checks are asked of a task: the deeper of what run and check want."""
    return "thorough" if "thorough" in {manner.depth, task.depth} else "cheap"


def bench(image_set: ImageSet, readable: Collection[str]) -> tuple[int, ...]:
    """Return the positions of a few images that could be read, chosen by hash of id."""
    places = [i for i, image in enumerate(image_set.images) if image.id in readable]
    chosen = sorted(places, key=lambda i: hashlib.sha256(image_set.images[i].id.encode()).digest())
    return tuple(sorted(chosen[:BENCH]))


def seen(
    this: Pass, station: Station, task: Task, table: pd.DataFrame, changes: state_guard.Changes
) -> tuple[Validity, ...]:
    """Return what the walk itself tells of a task's rows.

    Args:
        this: walked.
        station: whose task.
        task: what was asked.
        table: its rows.
        changes: what the network was left with.
    """
    name, refused = station.classifier.name, _refused(task, this.walked)
    return (
        *_trained(station.classifier),
        _ran(name, this.walked),
        changes.validity(name),
        _drew(name, this.walked),
        *_decided(lane_record(this, name)),
        *refused,
        *(() if refused or table.empty else task.measure.vouch(station.classifier.network, table)),
        finite(table),
    )


def _refused(task: Task, walked: Walked) -> tuple[Validity, ...]:
    """Return why a measure refused to answer for this network, if it did."""
    if task.table not in walked.invalid:
        return ()
    return (
        Validity(
            name=f"{task.measure.name} can be measured",
            outcome="falls",
            evidence=walked.invalid[task.table],
            meaning="A measure that does not see what it counts would give a number all the same.",
        ),
    )


def _trained(classifier: Classifier) -> tuple[Validity, ...]:
    training = classifier.training
    if training is None:
        return ()
    return (
        Validity(
            name="the training converged",
            outcome="falls" if training.diverged else "holds",
            evidence=training.diverged or f"weights of epoch {training.returned_epoch}",
            meaning="A network whose training diverged is not what its recipe describes.",
        ),
    )


def _ran(name: str, walked: Walked) -> Validity:
    failure = walked.failures.get(name)
    return Validity(
        name="the network ran",
        outcome="holds" if failure is None else "falls",
        evidence=failure or f"on all of {walked.n} images",
        meaning="Numbers from the images before a crash are not numbers of the whole set.",
    )


def lane_record(this: Pass, name: str) -> log.Lane | None:
    """Return by which path a classifier answered, here or in the run that kept its rows."""
    lane, kept = this.stations[name].lane, this.walked.lanes.get(name)
    if lane is None or (kept is not None and not lane.used):
        return kept
    return lane.record()


def _decided(lane: log.Lane | None) -> tuple[Validity, ...]:
    """Return whether a fast path kept the plain one's decisions, as far as it was looked."""
    if lane is None or lane.plain:
        return ()
    seen = lane.rechecked and not lane.changed
    return (
        Validity(
            name="decisions of the fast path",
            outcome="holds" if seen else "falls" if lane.changed else "cannot tell",
            # in fp32 it claims to be the same network; bf16 is another precision, that is said
            severity="warn" if lane.precision == "bf16" else "error",
            evidence=(
                f"{lane.changed} of {lane.rechecked:,} sure answers that were looked at again "
                f"differ; {lane.repeated:,} of {lane.answers:,} were close and repeated"
            ),
            meaning="A faster path may change the digits of a number, and not what was decided.",
        ),
    )


def _drew(name: str, walked: Walked) -> Validity:
    drew = name in walked.drew
    return Validity(
        id="S4",
        name="deterministic",
        outcome="falls" if drew else "holds",
        evidence="drew from a global generator in eval mode"
        if drew
        else "no draw from a global generator",
        meaning="A network that throws dice in eval mode answers otherwise the next time.",
        source="Croce & Hein 2020, AutoAttack's flag for randomised defences",
    )
