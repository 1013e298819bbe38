"""Validity of the numbers of a pass: from the pass itself, from its checks, from the cache."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from vision_evals import log
from vision_evals.core.time_limit import TimeUpError, time_limit
from vision_evals.engine import state_guard
from vision_evals.engine.batch_step import probe_of
from vision_evals.engine.process_state import Touched, put_back
from vision_evals.engine.shard_cache import CachedTable, ShardCache
from vision_evals.engine.tasks import PassResult, RunConfig, Task, TaskGroup, tasks_of
from vision_evals.images.image_set import ImageSet
from vision_evals.log import Validity
from vision_evals.models.classifier import Classifier
from vision_evals.models.device import numerics
from vision_evals.models.processes import EndedError, Work, forked
from vision_evals.validity.check import CheckResult, Evidence
from vision_evals.verdict.judge import check_finite

MAX_VALIDITY_IMAGES = 16
"""Images of the batch that validity checks see."""

ValidityByTable = dict[str, tuple[Validity, ...]]
"""By table."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What the checks of one network found."""

    name: str
    validity: ValidityByTable
    results: Mapping[tuple[str, ...], CheckResult]
    """Those that serve other measures and passes, too."""
    changed: list[str]
    """Parts of the network that changed."""
    touched: list[Touched]
    """Settings of the process that it changed."""


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
    announce: Callable[[str], None]
    """Called before the checks of a task with what it is."""

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
                entry = self._entry(task)
                if entry and group.classifier.name not in self.result.failures:
                    n = len(self.image_set.images)
                    entry.keep_validity(validity[table], n, *self._basis(group, task))
        return validity

    def _examine(
        self, rows: Mapping[str, pd.DataFrame], cached: Collection[str]
    ) -> ValidityByTable:
        """Run the checks whose results are not cached."""
        started, validity = time.perf_counter(), ValidityByTable()
        if all(task.table in cached for _, task in tasks_of(self.groups.values())):
            return validity
        networks = {name: group.classifier.network for name, group in self.groups.items()}
        numbers = numerics(self.config.device, self.config.precision)
        names = [name for name in self.groups if name not in self.result.failures]
        examine = partial(self._examine_networks, rows, cached)
        with state_guard.watch(networks, self.changes), numbers:
            if min(self.config.processes, len(names)) < 2:
                examine(iter(names), partial(self._take, validity))
            else:
                self._examine_elsewhere(names, examine, validity)
        self.result.spent["validity"] = time.perf_counter() - started
        return validity

    def _examine_elsewhere(
        self, names: list[str], examine: Work[str, Examined | str], validity: ValidityByTable
    ) -> None:
        """Run the checks in other processes; a network that ends its process fails alone."""
        while names:
            done, config = set[str](), self.config
            try:
                for examined in forked(names, config.processes, examine, config.timeout):
                    self._take(validity, examined)
                    done |= {examined.name} if isinstance(examined, Examined) else set()
            except EndedError as error:
                if error.unit is None:
                    raise
                self.result.failures.setdefault(names[error.unit], error.reason)
                names = [n for n in names if n not in {*done, *self.result.failures}]
            else:
                return

    def _examine_networks(
        self,
        rows: Mapping[str, pd.DataFrame],
        cached: Collection[str],
        names: Iterator[str],
        send: Callable[[Examined | str], None],
    ) -> None:
        """Run the checks of some networks, perhaps in a process of its own."""
        images = validity_batch(self.image_set, self.result.digests)
        for name in names:
            group, examiner = self.groups[name], self.config.examiner
            tasks = [task for task in group.tasks if task.table not in cached]
            if not images or not tasks:
                continue
            before = state_guard.state_of(group.classifier.network)
            with put_back() as touched:
                validity = self._validity(group, tasks, rows, images, send)
            changed = state_guard.changed_since(before, group.classifier.network)
            send(Examined(name, validity, examiner.results_of(name), changed, touched))

    def _validity(
        self,
        group: TaskGroup,
        tasks: Iterable[Task],
        rows: Mapping[str, pd.DataFrame],
        images: Sequence[int],
        send: Callable[[str], None],
    ) -> ValidityByTable:
        """Run the checks of one network, on a few images."""
        validity = {}
        probe = probe_of(group, self.image_set, images, self.result, self.config)
        for task in tasks:
            table = rows[task.table]
            if table.empty or task.table in self.result.not_applicable:
                continue
            send(f"validity of {task.title}, {group.classifier.name}")
            evidence = Evidence(
                group.classifier,
                probe,
                tuple(self.image_set.images[i] for i in images),
                self.image_set,
                task.measure,
                task.parameters,
                table,
            )
            try:
                with time_limit(self.config.timeout, self.config.timeout):
                    validity[task.table] = self.config.examiner.examine(evidence, self._depth(task))
            except TimeUpError as error:
                validity[task.table] = (_stopped("its validity checks end in time", str(error)),)
        return validity

    def _take(self, validity: ValidityByTable, examined: Examined | str) -> None:
        if isinstance(examined, str):
            self.announce(examined)
            return
        validity |= examined.validity
        self.config.examiner.results |= examined.results
        self.result.touch(examined.name, examined.touched)
        if examined.changed:
            self.changes.by_alias[examined.name] = examined.changed

    def _cached(self) -> ValidityByTable:
        """Return the cached validity of tasks whose every row came from the cache."""
        cached = {}
        for group, task in tasks_of(self.groups.values()):
            entry, rows = self._entry(task), self.result.cached[task.table]
            if entry and rows == self.result.n:
                cached[task.table] = entry.validity(*self._basis(group, task))
        return {table: validity for table, validity in cached.items() if validity}

    def _entry(self, task: Task) -> CachedTable | None:
        if self.shard_cache is None:
            return None
        return self.shard_cache.table_entry(task.table, self.images_key)

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


def observed(
    group: TaskGroup,
    task: Task,
    table: pd.DataFrame,
    result: PassResult,
    changes: state_guard.Changes,
) -> tuple[Validity, ...]:
    """Return the validity of a task's rows, as far as the pass itself shows it.

    Args:
        group: of the task.
        task: the task.
        table: its rows.
        result: of the pass.
        changes: of the networks' state.
    """
    name, refused = group.classifier.name, tuple(_refused(task, result))
    return (
        *_trained(group.classifier),
        _ran(name, result),
        changes.validity(name),
        _drew(name, result),
        *_touched(name, result),
        *_fast_path_decisions(fast_path_record(group, result)),
        *refused,
        *(() if refused or table.empty else task.measure.vouch(group.classifier.network, table)),
        check_finite(table),
    )


def _refused(task: Task, result: PassResult) -> Iterator[Validity]:
    """Yield why a measure refused this network, if it did."""
    if task.table in result.invalid:
        yield _stopped(f"{task.measure.name} can be measured", result.invalid[task.table])


def _stopped(name: str, evidence: str) -> Validity:
    return Validity(
        name=name,
        outcome="failed",
        evidence=evidence,
        meaning="A measure that stops, or cannot see what it counts, would still give a number.",
    )


def _trained(classifier: Classifier) -> Iterator[Validity]:
    if (training := classifier.training) is not None:
        yield Validity(
            name="the training converged",
            outcome="failed" if training.diverged else "passed",
            evidence=training.diverged or f"weights of epoch {training.returned_epoch}",
            meaning="A network whose training diverged is not what its recipe describes.",
        )


def _ran(name: str, result: PassResult) -> Validity:
    failure = result.failures.get(name)
    return Validity(
        name="the network ran",
        outcome="passed" if failure is None else "failed",
        evidence=failure or f"on all of {result.n} images",
        meaning="Numbers from the images before a crash are not numbers of the whole set.",
    )


def fast_path_record(group: TaskGroup, result: PassResult) -> log.FastPath | None:
    """Return the fast path of a classifier, of this run or of the run that cached its rows."""
    fast_path, cached = group.fast_path, result.fast_paths.get(group.classifier.name)
    if fast_path is None or (cached is not None and not fast_path.used):
        return cached
    return fast_path.record()


def _fast_path_decisions(fast_path: log.FastPath | None) -> Iterator[Validity]:
    """Yield whether a fast path kept the plain path's decisions on images that ran both."""
    if fast_path is not None and not fast_path.plain:
        unchanged = fast_path.rechecked and not fast_path.changed
        yield Validity(
            name="decisions of the fast path",
            outcome="passed" if unchanged else "failed" if fast_path.changed else "undecided",
            # in fp32 the fast path claims to be the same network; bf16 is another precision
            severity="warn" if fast_path.precision == "bf16" else "error",
            evidence=(
                f"{fast_path.changed} of {fast_path.rechecked:,} sure answers that were computed "
                f"again differ; {fast_path.repeated:,} of {fast_path.answers:,} were close and "
                "repeated"
            ),
            meaning="A fast path may change the last digits of a number, but not a decision.",
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
        meaning="A network that draws random numbers in eval mode answers differently next time.",
        source="Croce & Hein 2020, AutoAttack's flag for randomised defences",
    )


def _touched(name: str, result: PassResult) -> Iterator[Validity]:
    """Yield which settings of the whole process a network changed, if it did."""
    if touched := sorted(result.touched.get(name, ())):
        yield Validity(
            name="settings of the process",
            outcome="failed",
            # what changes no number of its own is put back, and said
            severity="error" if any(setting.numeric for setting in touched) else "warn",
            evidence=f"changed {', '.join(setting.text for setting in touched)}; put back after it",
            meaning="What one network sets for the whole process changes the numbers of others, "
            "and its own are not of the precision that the log states.",
        )
