"""Validity of the numbers of a pass: from the pass itself, from its checks, from the cache."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd

from vision_evals import log
from vision_evals.engine import state_guard
from vision_evals.engine.batch_step import probe_of
from vision_evals.engine.observed import observed
from vision_evals.engine.shard_cache import CachedTable, ShardCache
from vision_evals.engine.tasks import PassResult, RunConfig, Task, TaskGroup, tasks_of
from vision_evals.images.image_set import ImageSet
from vision_evals.log import Validity
from vision_evals.models.device import numerics
from vision_evals.validity.check import Evidence

MAX_VALIDITY_IMAGES = 16
"""Images of the batch that validity checks see."""

ValidityByTable = dict[str, tuple[Validity, ...]]
"""By table."""


@dataclass
class Examination:
    """Runs the validity checks of every task of a pass."""

    image_set: ImageSet
    groups: Mapping[str, TaskGroup]
    result: PassResult
    changes: state_guard.Changes
    """Of the networks' state; filled with those of the checks, too."""
    config: RunConfig
    shard_cache: ShardCache | None
    images_key: str | None
    """Key of all its images in the cache."""

    def evidence(self, rows: Mapping[str, pd.DataFrame]) -> ValidityByTable:
        """Return the validity of every task that applies.

        Args:
            rows: by table.
        """
        cached = self._cached()
        new = self._examine(rows, cached)
        validity = {}
        for group, task in tasks_of(self.groups.values()):
            table = task.table
            if table not in self.result.not_applicable:
                validity[table] = cached.get(table) or (
                    *observed(group, task, rows[table], self.result, self.changes),
                    *new.get(table, ()),
                )
                if group.classifier.name not in self.result.failures:
                    self._store(group, task, validity[table])
        return validity

    def _examine(
        self, rows: Mapping[str, pd.DataFrame], cached: Collection[str]
    ) -> ValidityByTable:
        """Run the checks whose results are not cached."""
        started, validity = time.perf_counter(), ValidityByTable()
        if all(task.table in cached for _, task in tasks_of(self.groups.values())):
            return validity
        images = validity_batch(self.image_set, self.result.digests)
        networks = {name: group.classifier.network for name, group in self.groups.items()}
        numbers = numerics(self.config.device, self.config.precision)
        with state_guard.watch(networks, self.changes), numbers:
            for name, group in self.groups.items():
                tasks = [task for task in group.tasks if task.table not in cached]
                if name in self.result.failures or not images or not tasks:
                    continue
                probe = probe_of(group, self.image_set, images, self.result, self.config)
                for task in tasks:
                    table = rows[task.table]
                    if table.empty or task.table in self.result.not_applicable:
                        continue
                    evidence = Evidence(
                        group.classifier,
                        probe,
                        tuple(self.image_set.images[i] for i in images),
                        self.image_set,
                        task.measure,
                        task.parameters,
                        table,
                    )
                    depth = self._depth(task)
                    validity[task.table] = self.config.examiner.examine(evidence, depth)
        self.result.spent["validity"] = time.perf_counter() - started
        return validity

    def _cached(self) -> ValidityByTable:
        """Return the cached validity of tasks whose every row came from the cache."""
        cached = {}
        for group, task in tasks_of(self.groups.values()):
            entry, rows = self._entry(task), self.result.cached[task.table]
            if entry and rows == self.result.n:
                cached[task.table] = entry.validity(*self._basis(group, task))
        return {table: validity for table, validity in cached.items() if validity}

    def _store(self, group: TaskGroup, task: Task, validity: tuple[Validity, ...]) -> None:
        if entry := self._entry(task):
            n = len(self.image_set.images)
            entry.keep_validity(validity, n, *self._basis(group, task))

    def _entry(self, task: Task) -> CachedTable | None:
        return self.shard_cache and self.shard_cache.table_entry(task.table, self.images_key)

    def _basis(self, group: TaskGroup, task: Task) -> tuple[object, ...]:
        """Return what the validity of a task depends on, in addition to rows and images.

        Checks of a classifier run once, on the images of its first pass: these count, too.
        """
        classifier, images = group.classifier, self.image_set
        card = classifier.card.model_dump(mode="json", exclude={"checkpoint"})
        return (
            self._depth(task),
            images.sample_of,
            images.cut,
            dict(classifier.published),
            card,
            self.config.examiner.homes[classifier.name],
        )

    def _depth(self, task: Task) -> log.Depth:
        """Return the deeper one of the depths that the run and the check ask for."""
        return "thorough" if "thorough" in {self.config.depth, task.depth} else "cheap"


def validity_batch(image_set: ImageSet, readable: Collection[str]) -> tuple[int, ...]:
    """Return the positions of a few images that could be read, chosen by hash of id."""
    places = [i for i, image in enumerate(image_set.images) if image.id in readable]
    chosen = sorted(places, key=lambda i: hashlib.sha256(image_set.images[i].id.encode()).digest())
    return tuple(sorted(chosen[:MAX_VALIDITY_IMAGES]))
