"""A pass over one image set: its classifiers and tasks, and the rows they produce."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from vision_evals.core.errors import NotApplicableError, UserError, words
from vision_evals.core.progress import Progress
from vision_evals.core.worker import dealt
from vision_evals.engine import state_guard, tables
from vision_evals.engine.batch_size import images_per_batch, max_images_per_forward
from vision_evals.engine.evidence import Examination
from vision_evals.engine.loop import run_loop
from vision_evals.engine.shard import spans_of
from vision_evals.engine.shard_cache import ShardCache, shard_cache_of
from vision_evals.engine.tasks import PassResult, RunConfig, Task, TaskGroup, task_of, tasks_of
from vision_evals.images.image_set import ImageSet
from vision_evals.log import Picture, Validity
from vision_evals.log.profiling.stages import timed
from vision_evals.log.profiling.trace import traced
from vision_evals.models.device import numerics
from vision_evals.models.fast_path.build import kernels_cached
from vision_evals.models.fast_path.fast_path import FastPath
from vision_evals.models.fast_path.policy import plan_of
from vision_evals.suite.options import Source
from vision_evals.verdict.check_input import ClassifierInfo, Measured, SeedResults
from vision_evals.verdict.job import Job


@dataclass
class Pass:
    """One image set, its classifiers and tasks, and the rows they produce."""

    source: Source
    role: str
    """Name of the image set in the log, unique in the run."""
    image_set: ImageSet
    groups: dict[str, TaskGroup]
    """By name of the classifier."""
    config: RunConfig
    """How it computes."""
    result: PassResult = field(default_factory=PassResult)
    measured: dict[str, Measured] = field(default_factory=dict)
    """By table; filled at the end of the pass."""
    broken: str | None = None
    """Why the pass did not finish, for every check that needs it."""
    area: int | None = None
    """Pixels of the largest input that sets the batch size; None: of its own classifiers."""
    gradients: bool = True
    """Whether a selected check needs gradients on its images."""
    shard_cache: ShardCache | None = None
    """The cache as this pass sees it."""
    images_key: str | None = None
    """Key of all its images in the cache; None before the end of the pass, or without a cache."""
    drawn: dict[str, tuple[Picture, ...]] | None = None
    """By table the pictures that were drawn side by side; None before the first is asked for."""

    @property
    def largest(self) -> int:
        """Pixels of the largest input."""
        areas = [group.classifier.geometry.area for group in self.groups.values()]
        return self.area or max(areas, default=224 * 224)

    @property
    def batch_size(self) -> int:
        """Images in one forward."""
        return images_per_batch(self.config, self.largest, gradients=self.gradients)

    @property
    def spans(self) -> Sequence[range]:
        """Its batches: those of its part of the images."""
        spans = spans_of(len(self.image_set.images), self.batch_size)
        return dealt(spans, self.config.partition)

    @property
    def aliases(self) -> tuple[str, ...]:
        """Of its classifiers."""
        groups = self.groups.values()
        return tuple(dict.fromkeys(group.classifier.alias for group in groups))

    def tasks_of(self, job: Job) -> dict[str, Task]:
        """Return the tasks of a job by name of the classifier: a recipe has one per seed."""
        return {
            name: task_of(job, name, self.source)
            for name, group in self.groups.items()
            if group.classifier.alias == job.alias
        }

    def seed_results_by_alias(self, job: Job) -> dict[str, SeedResults]:
        """Return the results of a job by alias; its own classifier's are always there.

        Raises:
            NotApplicableError: the measure does not apply to the classifier.
            UserError: the pass did not finish.
        """
        if self.broken is not None:
            raise UserError(self.broken)
        for task in self.tasks_of(job).values():
            if task.table in self.result.not_applicable:
                raise NotApplicableError(self.result.not_applicable[task.table])
        seed_results: dict[str, SeedResults] = {}
        for name, group in self.groups.items():
            measured = self.measured.get(task_of(job, name, self.source).table)
            if measured is not None:
                alias = group.classifier.alias
                seed_results[alias] = (*seed_results.get(alias, ()), measured)
        if job.alias not in seed_results:
            raise NotApplicableError(f"{job.alias} is not measured on {self.source}")
        return seed_results

    def run(self, progress: Progress) -> None:
        """Run the loop, and join the rows of every finished shard, also after an interruption."""
        networks = {name: group.classifier.network for name, group in self.groups.items()}
        loaded = {name: list(group.classifier.changed) for name, group in self.groups.items()}
        changes = state_guard.Changes({name: parts for name, parts in loaded.items() if parts})
        rows: dict[str, pd.DataFrame] = {}
        total = len(self.image_set.images)
        try:
            with (
                state_guard.watch(networks, changes),
                numerics(self.config.device, self.config.precision),
                progress(self.role, sum(map(len, self.spans))) as bar,
                traced(self._trace_file(), bar) as advance,
            ):
                self.groups = {
                    name: self._with_fast_path(group) for name, group in self.groups.items()
                }
                self.shard_cache = shard_cache_of(
                    *(self.image_set.images, self.groups.values(), self.batch_size, self.config)
                )
                run_loop(
                    self.image_set,
                    tuple(self.groups.values()),
                    device=self.config.device,
                    batch_size=self.batch_size,
                    seed=self.config.seed,
                    directory=self.config.directory,
                    advance=advance,
                    announce=lambda what: bar(0, f"{what} of {total}"),
                    result=self.result,
                    partition=self.config.partition,
                    shard_cache=self.shard_cache,
                    processes=self.config.processes,
                    changes=changes,
                    timeout=self.config.timeout,
                )
        except BaseException as error:
            self.broken = f"the pass over {self.role} broke: {words(error)}"
            raise
        finally:
            for group in self.groups.values():
                if group.fast_path is not None:
                    group.fast_path.release()
            for group, task in tasks_of(self.groups.values()):
                rows[task.table] = self._joined(group, task)
        try:
            with progress(f"validity of {self.role}", 0) as bar:
                self._hold(rows, self._evidence(rows, changes, lambda what: bar(0, what)))
        except UserError as error:  # no later check on these images is judged without it
            self.broken = str(error)
            raise

    def _with_fast_path(self, group: TaskGroup) -> TaskGroup:
        """Choose how a classifier's forwards are computed, by how many there will be."""
        classifier, config = group.classifier, self.config
        forwards = sum(task.measure.forwards(task.parameters) for task in group.tasks)
        plan = plan_of(
            classifier.network,
            len(self.image_set.images) * forwards,
            config.device,
            config.precision,
            warm=kernels_cached(config.kernels, classifier, config.precision),
        )
        fast_path = FastPath(classifier, plan, config.seed, config.kernels)
        return replace(
            group,
            fast_path=fast_path,
            room=max_images_per_forward(config, self.largest, classifier.network),
        )

    def _trace_file(self) -> Path | None:
        """Return the file of the trace; each worker writes its own."""
        folder, name = self.config.trace, tables.slug("-".join([self.role, *self.aliases]))
        return None if folder is None else folder / f"{name}-{os.getpid()}.json"

    def _joined(self, group: TaskGroup, task: Task) -> pd.DataFrame:
        """Return a task's rows; where they cannot be joined, that task alone is invalid.

        So is one whose rows are not those of every image, after a pass that finished.
        """
        result = self.result
        stopped = {*result.not_applicable, *result.invalid}
        whole = result.finished and task.table not in stopped
        lost = not whole or group.classifier.name in result.failures
        plan = None if lost else task.plan(group, result.digests)
        try:
            rows = tables.merge(self.config.directory, task.table, task.join, plan)
        except Exception as error:  # noqa: BLE001 - a measure may be a user's own
            reason = f"its rows cannot be joined: {words(error)}"
            self.result.invalid.setdefault(task.table, reason)
            rows = None
        return pd.DataFrame({key: [] for key in task.measure.keys}) if rows is None else rows

    def _evidence(
        self,
        rows: Mapping[str, pd.DataFrame],
        changes: state_guard.Changes,
        announce: Callable[[str], None],
    ) -> Mapping[str, tuple[Validity, ...]]:
        self.images_key = (
            None if self.shard_cache is None else self.shard_cache.images_key(self.result)
        )
        for name in self.groups:
            self.config.examiner.homes.setdefault(name, str(self.images_key))
        seen = self.image_set, self.groups, self.result
        cache = self.shard_cache, self.images_key
        examination = Examination(*seen, changes, self.config, *cache, announce)
        with timed("validity"):
            return examination.evidence(rows)

    def _hold(
        self, rows: Mapping[str, pd.DataFrame], evidence: Mapping[str, tuple[Validity, ...]]
    ) -> None:
        for group, task in tasks_of(self.groups.values()):
            if task.table in evidence:
                table = rows[task.table]
                self.measured[task.table] = Measured(
                    classifier=ClassifierInfo.of(group.classifier),
                    rows=table,
                    images=self.result.n,
                    limited=self.image_set.cut,
                    sample_of=self.image_set.sample_of,
                    unreadable=self.result.unreadable,
                    validity=evidence[task.table],
                    seed=self.config.seed,
                    table=None if table.empty else tables.file(task.table),
                )
