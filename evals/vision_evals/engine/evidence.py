"""Whether the numbers of a pass can be trusted: what the walk saw, and what is asked after it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping

import pandas as pd

from vision_evals import log
from vision_evals.engine import state_guard
from vision_evals.engine.plan import Pass, RunConfig, probe_of
from vision_evals.engine.tasks import PassResult, Task, TaskGroup
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
    config: RunConfig,
    known: Collection[str] = (),
) -> dict[str, tuple[Validity, ...]]:
    """Ask every classifier and task whether its numbers can be trusted, by table.

    Args:
        this: walked.
        rows: by table.
        changes: filled with what the networks were left with.
        config: how to compute.
        known: tables that were asked before.
    """
    started = time.perf_counter()
    found: dict[str, tuple[Validity, ...]] = {}
    if all(task.table in known for group in this.groups.values() for task in group.tasks):
        return found
    images = validity_batch(this.image_set, this.result.digests)
    networks = {name: group.classifier.network for name, group in this.groups.items()}
    with state_guard.watch(networks, changes), numerics(config.device, config.precision):
        for name, group in this.groups.items():
            left = [task for task in group.tasks if task.table not in known]
            if name in this.result.failures or not images or not left:
                continue
            probe = probe_of(this, group, images, config)
            for task in left:
                table = rows.get(task.table)
                if table is None or table.empty or task.table in this.result.not_applicable:
                    continue
                evidence = Evidence(
                    group.classifier,
                    probe,
                    tuple(this.image_set.images[i] for i in images),
                    this.image_set,
                    task.measure,
                    task.parameters,
                    table,
                )
                found[task.table] = config.examiner.examine(evidence, depth_of(task, config))
    this.validity_seconds += time.perf_counter() - started
    return found


def depth_of(task: Task, config: RunConfig) -> log.Depth:
    """Return which checks are asked of a task: the deeper of what run and check want."""
    return "thorough" if "thorough" in {config.depth, task.depth} else "cheap"


def validity_batch(image_set: ImageSet, readable: Collection[str]) -> tuple[int, ...]:
    """Return the positions of a few images that could be read, chosen by hash of id."""
    places = [i for i, image in enumerate(image_set.images) if image.id in readable]
    chosen = sorted(places, key=lambda i: hashlib.sha256(image_set.images[i].id.encode()).digest())
    return tuple(sorted(chosen[:BENCH]))


def seen(
    this: Pass, group: TaskGroup, task: Task, table: pd.DataFrame, changes: state_guard.Changes
) -> tuple[Validity, ...]:
    """Return what the walk itself tells of a task's rows.

    Args:
        this: walked.
        group: whose task.
        task: what was asked.
        table: its rows.
        changes: what the network was left with.
    """
    name, refused = group.classifier.name, _refused(task, this.result)
    return (
        *_trained(group.classifier),
        _ran(name, this.result),
        changes.validity(name),
        _drew(name, this.result),
        *_decided(fast_path_record(this, name)),
        *refused,
        *(() if refused or table.empty else task.measure.vouch(group.classifier.network, table)),
        finite(table),
    )


def _refused(task: Task, result: PassResult) -> tuple[Validity, ...]:
    """Return why a measure refused to answer for this network, if it did."""
    if task.table not in result.invalid:
        return ()
    return (
        Validity(
            name=f"{task.measure.name} can be measured",
            outcome="failed",
            evidence=result.invalid[task.table],
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
            outcome="failed" if training.diverged else "passed",
            evidence=training.diverged or f"weights of epoch {training.returned_epoch}",
            meaning="A network whose training diverged is not what its recipe describes.",
        ),
    )


def _ran(name: str, result: PassResult) -> Validity:
    failure = result.failures.get(name)
    return Validity(
        name="the network ran",
        outcome="passed" if failure is None else "failed",
        evidence=failure or f"on all of {result.n} images",
        meaning="Numbers from the images before a crash are not numbers of the whole set.",
    )


def fast_path_record(this: Pass, name: str) -> log.FastPath | None:
    """Return by which path a classifier answered, here or in the run that kept its rows."""
    fast_path, kept = this.groups[name].fast_path, this.result.fast_paths.get(name)
    if fast_path is None or (kept is not None and not fast_path.used):
        return kept
    return fast_path.record()


def _decided(fast_path: log.FastPath | None) -> tuple[Validity, ...]:
    """Return whether a fast path kept the plain one's decisions, as far as it was looked."""
    if fast_path is None or fast_path.plain:
        return ()
    seen = fast_path.rechecked and not fast_path.changed
    return (
        Validity(
            name="decisions of the fast path",
            outcome="passed" if seen else "failed" if fast_path.changed else "undecided",
            # in fp32 it claims to be the same network; bf16 is another precision, that is said
            severity="warn" if fast_path.precision == "bf16" else "error",
            evidence=(
                f"{fast_path.changed} of {fast_path.rechecked:,} sure answers that were looked at again "
                f"differ; {fast_path.repeated:,} of {fast_path.answers:,} were close and repeated"
            ),
            meaning="A faster path may change the digits of a number, and not what was decided.",
        ),
    )


def _drew(name: str, result: PassResult) -> Validity:
    drew = name in result.drew
    return Validity(
        id="S4",
        name="deterministic",
        outcome="failed" if drew else "passed",
        evidence="drew from a global generator in eval mode"
        if drew
        else "no draw from a global generator",
        meaning="A network that throws dice in eval mode answers otherwise the next time.",
        source="Croce & Hein 2020, AutoAttack's flag for randomised defences",
    )
