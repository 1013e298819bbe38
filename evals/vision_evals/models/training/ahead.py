"""Trainings of several recipes side by side, before they are asked for one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vision_evals.core.errors import UserError
from vision_evals.core.progress import Progress
from vision_evals.models.processes import forked, one_thread
from vision_evals.models.training import store
from vision_evals.models.training.build import RecipePlan, Trained

SECONDS_BETWEEN_MESSAGES = 0.2
"""Of a process: a step of a small network takes milliseconds."""


@dataclass(frozen=True, slots=True)
class _Unit:
    number: int
    plan: RecipePlan
    seed: int
    file: Path
    """Where it is kept."""


@dataclass(frozen=True, slots=True)
class _Steps:
    """What a process did since its last message."""

    steps: int
    title: str


def train_ahead(
    plans: Sequence[RecipePlan], *, cache: Path, processes: int, show: Progress
) -> dict[tuple[str, int], Trained]:
    """Train what is not in the cache, in several processes, and return the trainings.

    A training that fails is left out: it fails again, and says why, where it is asked for.

    Args:
        plans: of the recipes.
        cache: the folder for finished trainings; each is written as soon as it is done.
        processes: how many there are at most, one thread each.
        show: reports the progress.

    Raises:
        UserError: a process was killed.
    """
    units = list(_missing(plans, cache))
    finished: dict[tuple[str, int], Trained] = {}
    if min(processes, len(units)) < 2:
        return finished
    steps = sum(unit.plan.steps for unit in units)
    with show(f"{len(units)} trainings", steps, unit="steps") as advance:
        for message in forked(units, processes, _train):
            if isinstance(message, _Steps):
                advance(
                    message.steps, f"{len(finished)} of {len(units)} trained, now {message.title}"
                )
                continue
            number, trained = message
            unit = units[number]
            finished[unit.plan.alias, unit.seed] = trained
            store.write(unit.file, trained.state, trained.training)
    return finished


def _missing(plans: Sequence[RecipePlan], cache: Path) -> Iterator[_Unit]:
    number = 0
    for plan in plans:
        for seed in plan.recipe.seeds:
            try:
                with one_thread(plan.device):
                    file = plan.file(cache, seed)
            except UserError:
                break  # said where it is asked for
            if not file.is_file():
                yield _Unit(number, plan, seed, file)
                number += 1


@dataclass
class _Reporter:
    """Counts the steps of a training, and sends them from time to time."""

    title: str
    send: Callable[[_Steps], None]
    done: int = 0
    last: float = field(default_factory=time.monotonic)

    def __call__(self, n: int, message: str = "") -> None:
        self.done += n
        if message or time.monotonic() - self.last >= SECONDS_BETWEEN_MESSAGES:
            self.send(_Steps(self.done, f"{self.title} {message}".rstrip()))
            self.done, self.last = 0, time.monotonic()


def _train(units: Iterator[_Unit], send: Callable[[_Steps | tuple[int, Trained]], None]) -> None:
    """Train in a process of its own."""
    for unit in units:
        plan, seed = unit.plan, unit.seed
        try:
            network = plan.untrained(seed)
            training = plan.train(network, seed, _Reporter(plan.title(seed), send))
        except UserError:
            continue
        send((unit.number, Trained(training, network.state_dict())))
