"""The self-test of the gate: try every mutant of one network, and store a run log."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from vision_evals import log
from vision_evals.cli.args import jobs_of
from vision_evals.cli.selftest.expected import Expected, with_expectation
from vision_evals.cli.selftest.matrix import Evaluations, SuiteRound, attempt, sound
from vision_evals.cli.selftest.mutant import Mutant
from vision_evals.core import progress as progresses
from vision_evals.core.errors import UserError
from vision_evals.core.paths import data_folder, point_latest, whole_file
from vision_evals.core.progress import Progress, titled
from vision_evals.engine.evaluate import evaluate
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.resources import Resources
from vision_evals.engine.setup import caching, device_of, first_log, run_config
from vision_evals.engine.tasks import RunConfig
from vision_evals.images.image_set import ImageSet, limited
from vision_evals.models.classifier import Classifier
from vision_evals.models.processes import forked, processes_on, threads
from vision_evals.models.request import Request
from vision_evals.validity.examine import Examiner
from vision_evals.verdict.job import Job

SECONDS_BETWEEN_LOOKS = 0.05
"""While a process waits for what another one makes of the unbroken network."""

Unit: TypeAlias = SuiteRound | Mutant
"""A suite to judge the unbroken network on, or a mutant to try."""

Result: TypeAlias = tuple[str, Evaluations] | log.Mutant
"""The path of a suite and the outcomes of its items, or what noticed a mutant."""

SHIPPED: Mapping[str, int | None] = {"accuracy": None, "art": None, "fgsm": None, "airplane": 4}
"""Suites on images that pretrained networks know, the cheap ones first, and on how many images:
an attack of sixty steps an image breaks an undefended network on the first ones, or on none."""


@dataclass(frozen=True, slots=True)
class SelftestPlan:
    """A network, its mutants, and the suites that should notice them."""

    request: Request
    rounds: tuple[SuiteRound, ...]
    mutants: tuple[Mutant, ...]
    expected: Expected


def rounds(catalog: Catalog, request: Request, files: Sequence[Path]) -> tuple[SuiteRound, ...]:
    """Return the jobs of suites that a self-test can run; by default, of the shipped suites.

    Jobs without images, with unavailable images, or of other classifiers are left out.

    Raises:
        UserError: a suite cannot be read, or no job is left.
    """
    shipped = data_folder("suites")
    named: list[tuple[Path, str, int | None]] = [(file, str(file), None) for file in files]
    named = named or [
        (shipped / f"{name}.toml", f"suites/{name}.toml", limit) for name, limit in SHIPPED.items()
    ]
    suite_rounds = []
    for file, path, limit in named:
        jobs = tuple(job for job in jobs_of(catalog, file, path) if _usable(job, request))
        if jobs:
            suite_rounds.append(SuiteRound(path, jobs, limit))
    if not suite_rounds:
        paths = ", ".join(path for _, path, _ in named)
        raise UserError(
            f"no check of {paths} shows images to {request.alias}; name a suite that does"
        )
    return tuple(suite_rounds)


def _usable(job: Job, request: Request) -> bool:
    return job.request == request and job.source is not None and not job.missing and not job.trained


class Selftest:
    """One run of every mutant; finished mutants stay in the log whatever happens next."""

    def __init__(
        self,
        catalog: Catalog,
        plan: SelftestPlan,
        command: str,
        progress: Progress,
        warn: Callable[[str], None],
    ) -> None:
        """Load the network and make the run directory.

        Args:
            catalog: with the suites and what they name.
            plan: what to try.
            command: as typed.
            progress: shows each pass.
            warn: called with what is wrong with the cache.

        Raises:
            UserError: the device, the network or a suite's images are unavailable.
        """
        options = catalog.options
        device = device_of(options)
        alias = plan.request.alias
        self._catalog, self._plan, self._progress = catalog, plan, progress
        self._start = time.perf_counter()
        self._resources = Resources(
            *(catalog.registry, device, options.table.limit, frozenset({alias})),
            *(options.cache, progress),
        )
        self._classifier = _with_weights(self._resources, plan.request)
        jobs = [job for suite_round in plan.rounds for job in suite_round.jobs]
        # the classifiers that thresholds name: loaded once, they serve every mutant
        for name in sorted({n for job in jobs for n in job.check.references(job.alias)}):
            with contextlib.suppress(UserError):  # reported with the threshold that names it
                self._resources.classifiers(catalog.request(name))
        self._config = run_config(options, device)
        units = len(plan.rounds) + len(plan.mutants)
        self._processes = min(processes_on(device), units)
        if self._processes > 1:  # a terminal has one line for a bar
            self._progress = progresses.lines(lambda _: None)
        with_cache, _ = caching(self._config, options, warn)
        self._unbroken_config = replace(self._config, cache=with_cache.cache)
        self.directory = self._config.directory
        self.log = first_log(
            options, self._config, command, (job.suite for job in jobs)
        ).model_copy(update={"classifiers": tuple(self._resources.records.values())})
        self._write("running")
        point_latest(self.directory)

    def run(self, show: Callable[[str], None]) -> None:
        """Try every mutant.

        Args:
            show: prints a line for each.

        Raises:
            UserError: the network does not pass its suites unbroken.
        """
        status: log.Status = "interrupted"
        try:
            with contextlib.closing(self._results()) as results:
                self._collect(results, show)
            status = "finished"
        finally:
            self._write(status)

    def _collect(self, results: Iterator[Result], show: Callable[[str], None]) -> None:
        """Log every result as it arrives, once the network is known to pass; show them in order."""
        names = [mutant.name for mutant in self._plan.mutants]
        before: dict[str, Evaluations] = {}
        entries: dict[str, log.Mutant] = {}
        lines = iter(enumerate(names, 1))
        waiting = next(lines, None)
        for result in results:
            if isinstance(result, log.Mutant):
                entries[result.name] = with_expectation(result, self._plan.expected)
            else:
                before |= [result]
            if len(before) < len({suite_round.suite for suite_round in self._plan.rounds}):
                continue
            if not isinstance(result, log.Mutant):
                self._hold_unbroken(before)
            tried = tuple(entries[name] for name in names if name in entries)
            self.log = self.log.model_copy(update={"mutants": tried})
            self._write("running")
            while waiting is not None and waiting[1] in entries:
                number, name = waiting
                show(f"{number} of {len(names)}: {brief(entries[name])}")
                waiting = next(lines, None)

    def _hold_unbroken(self, before: Mapping[str, Evaluations]) -> None:
        """Log the items of the unbroken network, and refuse one that does not pass."""
        outcomes = {
            name: outcome
            for suite_round in self._plan.rounds
            for name, outcome in before[suite_round.suite].items()
        }
        items = tuple(outcome.item for outcome in outcomes.values())
        self.log = self.log.model_copy(update={"items": items})
        sound(outcomes)

    def _results(self) -> Generator[Result, None, None]:
        """Yield what every round makes of the unbroken network, and what noticed each mutant.

        On a CPU, processes of one thread work side by side, and no result depends on how many.
        """
        dearest_first = reversed(self._plan.rounds)
        units: tuple[Unit, ...] = (*dearest_first, *self._plan.mutants)
        with tempfile.TemporaryDirectory(dir=self.directory, prefix=".trial-") as folder:
            if self._processes > 1:
                work = partial(self._work, Path(folder))
                yield from forked(units, self._processes, work)
            else:
                with threads(self._config.device):
                    yield from (self._result(Path(folder), unit) for unit in units)

    def _work(self, folder: Path, units: Iterator[Unit], send: Callable[[Result], None]) -> None:
        for unit in units:
            send(self._result(folder, unit))

    def _result(self, folder: Path, unit: Unit) -> Result:
        # what checks find of a classifier serves its later suites; no result depends on a process
        config = replace(
            self._unbroken_config if isinstance(unit, SuiteRound) else self._config,
            directory=folder,
            processes=1,
            examiner=Examiner(self._config.examiner.checks),
        )
        if isinstance(unit, SuiteRound):
            outcomes = self._judge("unbroken", unit, self._classifier, config)
            with whole_file(_file(folder, unit)) as partial_file:
                partial_file.write_bytes(pickle.dumps(outcomes))
            return unit.suite, outcomes
        thorough = config.depth == "thorough"
        checks = [c for c in config.examiner.checks if thorough or c.cost == "cheap"]
        judge, unbroken = partial(self._judge_mutant, unit, config), partial(_outcomes, folder)
        return attempt(unit, self._classifier, self._plan.rounds, unbroken, judge, checks)

    def _judge_mutant(
        self,
        mutant: Mutant,
        config: RunConfig,
        suite_round: SuiteRound,
        classifier: Classifier,
        validity: bool,
    ) -> Evaluations:
        config = config if validity else replace(config, examiner=Examiner(()))
        return self._judge(mutant.name, suite_round, classifier, config, mutant.pictures)

    def _judge(
        self,
        name: str,
        suite_round: SuiteRound,
        classifier: Classifier,
        config: RunConfig,
        pictures: Callable[[ImageSet], ImageSet] | None = None,
    ) -> Evaluations:
        """Judge a suite; only the unbroken network may be read from the cache, or kept in it."""
        resources = self._resources.with_classifier(classifier)
        if pictures is not None:
            resources = resources.with_images(pictures)
        if suite_round.limit is not None:
            resources = resources.with_images(partial(limited, limit=suite_round.limit))
        return evaluate(
            suite_round.jobs, self._catalog, resources, config, titled(self._progress, name)
        )

    def _write(self, status: log.Status) -> None:
        seconds = time.perf_counter() - self._start
        self.log = self.log.model_copy(update={"status": status, "seconds": seconds})
        log.write(self.log, self.directory)


def _with_weights(resources: Resources, request: Request) -> Classifier:
    """Return the classifier of a request; UserError for a recipe."""
    classifiers = resources.classifiers(request)
    if len(classifiers) > 1 or classifiers[0].training is not None:
        raise UserError(
            f"{request.alias} is a recipe, and a mutant of a training is another training; "
            "name a network that has weights"
        )
    return classifiers[0]


def _outcomes(folder: Path, suite_round: SuiteRound) -> Evaluations:
    """Return what a round makes of the unbroken network, as soon as some process knows.

    Rounds are taken before mutants: whoever waits here waits for a process that is at work.
    """
    file = _file(folder, suite_round)
    while not file.is_file():
        time.sleep(SECONDS_BETWEEN_LOOKS)
    outcomes: Evaluations = pickle.loads(file.read_bytes())  # noqa: S301 - of our own process
    return outcomes


def _file(folder: Path, suite_round: SuiteRound) -> Path:
    return folder / f"{hashlib.sha256(suite_round.suite.encode()).hexdigest()}.unbroken"


def brief(mutant: log.Mutant) -> str:
    """Return in a line what became of a mutant."""
    if mutant.inapplicable is not None:
        return f"{mutant.name}: does not apply: {mutant.inapplicable}"
    by = [n.name for n in (mutant.behaviour, mutant.structure) if n is not None]
    return f"{mutant.name}: " + (f"killed by {' and '.join(by)}" if by else "survives")
