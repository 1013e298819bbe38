"""Stages of work, each with the time of its own."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from vision_evals import log

BESIDE = ("read", "decode", "preprocess")
"""What threads do beside the run."""


@dataclass
class Stages:
    """Counts the time of nested stages: what happens within another is not the outer one's."""

    wait: Callable[[], None] = lambda: None
    """Waits for the device: without it, the time of a kernel would be that of the next stage."""
    synchronised: bool = False
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    traces: list[Path] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _since: float = 0.0

    def add(self, name: str, seconds: float) -> None:
        """Count work that somebody else timed."""
        self.seconds[name] += seconds
        self.calls[name] += 1

    @contextlib.contextmanager
    def within(self, name: str) -> Iterator[None]:
        """Count the block as a stage."""
        self._turn()
        self._open.append(name)
        self.calls[name] += 1
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        """Give the time since the last border to the innermost stage."""
        self.wait()
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def record(self, seconds: float) -> log.Profile:
        """Return the entry in the log of a run that took so long."""
        stages = [
            log.Stage(name=name, seconds=spent, calls=self.calls[name], beside=name in BESIDE)
            for name, spent in self.seconds.items()
        ]
        return log.Profile(
            seconds=seconds,
            stages=tuple(sorted(stages, key=lambda stage: (stage.beside, -stage.seconds))),
            synchronised=self.synchronised,
            trace=tuple(map(str, self.traces)),
        )


_ACTIVE: ContextVar[Stages | None] = ContextVar("stages", default=None)


@contextlib.contextmanager
def counting(stages: Stages | None) -> Iterator[None]:
    """Let `timed` count into ``stages`` in this thread; None: nothing is counted."""
    token = _ACTIVE.set(stages)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def timed(name: str) -> contextlib.AbstractContextManager[None]:
    """Return a block that is counted as a stage, where somebody asked for a profile."""
    active = _ACTIVE.get()
    return contextlib.nullcontext() if active is None else active.within(name)


def add(name: str, seconds: float) -> None:
    """Count work of threads, where somebody asked for a profile."""
    active = _ACTIVE.get()
    if active is not None:
        active.add(name, seconds)


def traces(file: Path) -> None:
    """Note a trace that was written, where somebody asked for a profile."""
    active = _ACTIVE.get()
    if active is not None:
        active.traces.append(file)
