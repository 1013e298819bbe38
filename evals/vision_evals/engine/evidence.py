"""Whether the numbers of a pass can be trusted: what the walk saw, what is asked and was kept."""

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
from vision_evals.engine.shard_cache import ShardCache
from vision_evals.engine.tasks import PassResult, RunConfig, Task, TaskGroup, tasks_of
from vision_evals.images.image_set import ImageSet
from vision_evals.log import Validity
from vision_evals.models.device import numerics
from vision_evals.validity.check import Evidence

BENCH = 16
"""Images that validity checks look at."""

Found = dict[str, tuple[Validity, ...]]
"""By table."""


@dataclass
class Examination:
    """Asks of every classifier and task of a pass whether its numbers can be trusted."""

    image_set: ImageSet
    groups: Mapping[str, TaskGroup]
    result: PassResult
    changes: state_guard.Changes
    """What the networks were left with; filled with what they are left with here."""
    config: RunConfig
    shard_cache: ShardCache | None
    whole: str | None
    """Key of all its images in the cache."""
    seconds: float = 0.0
    """That asking took."""

    def evidence(self, rows: Mapping[str, pd.DataFrame]) -> Found:
        """Return what there is to say of every task that applies.

        Args:
            rows: by table.
        """
        known = self._known()
        asked = self._asked(rows, known)
        found = {}
        for group, task in tasks_of(self.groups.values()):
            table = task.table
            if table not in self.result.not_applicable:
                found[table] = known.get(table) or (
                    *observed(group, task, rows[table], self.result, self.changes),
                    *asked.get(table, ()),
                )
                if group.classifier.name not in self.result.failures:
                    self._keep(group, task, found[table])
        return found

    def _asked(self, rows: Mapping[str, pd.DataFrame], known: Collection[str]) -> Found:
        """Ask what is not known yet."""
        started, found = time.perf_counter(), Found()
        if all(task.table in known for _, task in tasks_of(self.groups.values())):
            return found
        images = validity_batch(self.image_set, self.result.digests)
        networks = {name: group.classifier.network for name, group in self.groups.items()}
        numbers = numerics(self.config.device, self.config.precision)
        with state_guard.watch(networks, self.changes), numbers:
            for name, group in self.groups.items():
                left = [task for task in group.tasks if task.table not in known]
                if name in self.result.failures or not images or not left:
                    continue
                probe = probe_of(group, self.image_set, images, self.result, self.config)
                for task in left:
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
                    found[task.table] = self.config.examiner.examine(evidence, depth)
        self.seconds = time.perf_counter() - started
        return found

    def _known(self) -> Found:
        """Return what was found before of numbers whose every row came from the cache."""
        found = {}
        for group, task in tasks_of(self.groups.values()):
            every = self.result.cached[task.table] == self.result.n
            kept = self.shard_cache and self.shard_cache.kept(task.table, self.whole)
            if every and kept and (validity := kept.validity(*self._about(group, task))):
                found[task.table] = validity
        return found

    def _keep(self, group: TaskGroup, task: Task, validity: tuple[Validity, ...]) -> None:
        if self.shard_cache and (kept := self.shard_cache.kept(task.table, self.whole)):
            n = len(self.image_set.images)
            kept.keep_validity(validity, n, *self._about(group, task))

    def _about(self, group: TaskGroup, task: Task) -> tuple[object, ...]:
        """Return what evidence rests on beside rows and images.

        A classifier is asked once a run, on the images that come first: those count, too.
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
        """Return which checks are asked of a task: the deeper of what run and check want."""
        return "thorough" if "thorough" in {self.config.depth, task.depth} else "cheap"


def validity_batch(image_set: ImageSet, readable: Collection[str]) -> tuple[int, ...]:
    """Return the positions of a few images that could be read, chosen by hash of id."""
    places = [i for i, image in enumerate(image_set.images) if image.id in readable]
    chosen = sorted(places, key=lambda i: hashlib.sha256(image_set.images[i].id.encode()).digest())
    return tuple(sorted(chosen[:BENCH]))
