"""The self-test of the gate: every mutant of one network, suite by suite, kept in a run log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from vision_evals import log
from vision_evals.cli.selftest.expected import Expected, noted
from vision_evals.cli.selftest.matrix import Evaluations, Round, attempt, sound
from vision_evals.cli.selftest.mutant import Mutant
from vision_evals.core.errors import UserError
from vision_evals.core.paths import data_folder
from vision_evals.core.progress import Advance, Progress
from vision_evals.core.run_dirs import point_latest
from vision_evals.engine.evaluate import evaluate
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.resources import Resources
from vision_evals.engine.setup import device_of, first_log, run_config
from vision_evals.models.classifier import Classifier
from vision_evals.models.registry import Request
from vision_evals.validity.check import ValidityCheck
from vision_evals.validity.examine import Examiner
from vision_evals.verdict.job import Job

SHIPPED = ("accuracy", "art", "fgsm", "airplane")
"""Suites about images that networks come trained for, the cheap ones first."""

Tell = Callable[[str], None]
"""Shows a line while it runs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried."""

    request: Request
    rounds: tuple[Round, ...]
    mutants: tuple[Mutant, ...]
    expected: Expected


def rounds(catalog: Catalog, request: Request, files: Sequence[Path]) -> tuple[Round, ...]:
    """Return the jobs of suites that a self-test can run, those of the shipped ones by default.

    Left out are jobs about no images, about images that are not here, and about other classifiers.

    Raises:
        UserError: a suite cannot be read, or no job is left.
    """
    shipped = data_folder("suites")
    named = [(file, str(file)) for file in files] or [
        (shipped / f"{name}.toml", f"suites/{name}.toml") for name in SHIPPED
    ]
    found = []
    for file, path in named:
        if not file.is_file():
            raise UserError(f"{file}: no such suite; name a TOML file with evals = 1")
        suite = catalog.suite(file, path)
        jobs = tuple(j for j in catalog.jobs(suite, file.parent) if _usable(j, request))
        if jobs:
            found.append(Round(path, jobs))
    if not found:
        asked = ", ".join(path for _, path in named)
        raise UserError(
            f"no check of {asked} asks {request.alias} about images; name a suite that does"
        )
    return tuple(found)


def _usable(job: Job, request: Request) -> bool:
    return job.request == request and job.source is not None and not job.missing and not job.trained


class Selftest:
    """One run of every mutant; what is finished stays in the log whatever happens next."""

    def __init__(self, catalog: Catalog, plan: Plan, command: str, progress: Progress) -> None:
        """Load the network and make the run directory.

        Raises:
            UserError: the device, the network or a suite's images are not to be had.
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
        found = self._resources.classifiers(plan.request)
        if len(found) > 1 or found[0].training is not None:
            raise UserError(
                f"{alias} is a recipe, and a mutant of a training is another training; "
                "name a network that has weights"
            )
        for name in sorted({n for r in plan.rounds for j in r.jobs for n in _others(j)}):
            with contextlib.suppress(UserError):  # said where a threshold names it
                self._resources.classifiers(catalog.request(name))
        self._classifier = found[0]
        self._config = run_config(options, device)
        self.directory = self._config.directory
        suites = (job.suite for one in plan.rounds for job in one.jobs)
        self.log = first_log(options, self._config, command, suites).model_copy(
            update={"classifiers": tuple(self._resources.records.values())}
        )
        self._write("running")
        point_latest(self.directory)

    def run(self, tell: Tell) -> None:
        """Try every mutant.

        Raises:
            UserError: the network does not pass its suites as it is.
        """
        status: log.Status = "interrupted"
        try:
            before = self._unbroken()
            for mutant in self._attempts(before):
                entry = noted(mutant, self._plan.expected)
                self.log = self.log.model_copy(update={"mutants": (*self.log.mutants, entry)})
                self._write("running")
                tell(f"{len(self.log.mutants)} of {len(self._plan.mutants)}: {brief(entry)}")
            status = "finished"
        finally:
            self._write(status)

    def _unbroken(self) -> Evaluations:
        before = {
            name: outcome
            for one in self._plan.rounds
            for name, outcome in self._judge(one, self._classifier, "unbroken", asking=True).items()
        }
        items = tuple(outcome.item for outcome in before.values())
        self.log = self.log.model_copy(update={"items": items})
        sound(before)
        return before

    def _attempts(self, before: Evaluations) -> Iterator[log.Mutant]:
        for mutant in self._plan.mutants:

            def judge(
                one: Round, broken: Classifier, asking: bool, name: str = mutant.name
            ) -> Evaluations:
                return self._judge(one, broken, name, asking=asking)

            yield attempt(mutant, self._classifier, self._plan.rounds, before, judge, self._asked())

    def _asked(self) -> tuple[ValidityCheck, ...]:
        thorough = self._config.depth == "thorough"
        return tuple(c for c in self._config.examiner.checks if thorough or c.cost == "cheap")

    def _judge(self, one: Round, classifier: Classifier, name: str, *, asking: bool) -> Evaluations:
        config = self._config if asking else replace(self._config, examiner=Examiner(()))
        resources = self._resources.with_classifier(classifier)
        return evaluate(one.jobs, self._catalog, resources, config, _named(self._progress, name))

    def _write(self, status: log.Status) -> None:
        seconds = time.perf_counter() - self._start
        self.log = self.log.model_copy(update={"status": status, "seconds": seconds})
        log.write(self.log, self.directory)


def _others(job: Job) -> Iterable[str]:
    """Return the classifiers that thresholds name: loaded once, they serve every mutant."""
    return job.check.references(job.alias)


def brief(mutant: log.Mutant) -> str:
    """Return a mutant's fate in a line."""
    if mutant.inapplicable is not None:
        return f"{mutant.name}: does not apply: {mutant.inapplicable}"
    by = [one.name for one in (mutant.behaviour, mutant.structure) if one is not None]
    return f"{mutant.name}: " + (f"killed by {' and '.join(by)}" if by else "survives")


def _named(progress: Progress, name: str) -> Progress:
    """Return a progress that says which mutant a pass is about."""

    def show(title: str, total: int, unit: str = "images") -> AbstractContextManager[Advance]:
        return progress(f"{name}: {title}", total, unit)

    return show
