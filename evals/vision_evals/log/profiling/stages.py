"""Stages of work, each with its own time."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from vision_evals import log

THREADED = ("read", "decode", "preprocess")
"""Stages of other threads."""


@dataclass
class Stages:
    """The time of nested stages: an inner stage does not count in the outer one."""

    wait: Callable[[], None] = lambda: None
    """Waits for the device: else the time of a kernel would count in the next stage."""
    synchronised: bool = False
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    traces: list[Path] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _since: float = 0.0

    def add(self, name: str, seconds: float) -> None:
        """Count work that was timed elsewhere."""
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
        """Add the time since the last change of stage to the innermost one."""
        self.wait()
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def record(self, seconds: float) -> log.Profile:
        """Return the record of a run that took so many seconds."""
        stages = [
            log.Stage(name=name, seconds=spent, calls=self.calls[name], beside=name in THREADED)
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
    """Make `timed` count into ``stages`` in this thread; None: nothing is counted."""
    token = _ACTIVE.set(stages)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def timed(name: str) -> contextlib.AbstractContextManager[None]:
    """Return a context that is counted as a stage, if there is a profile."""
    active = _ACTIVE.get()
    return contextlib.nullcontext() if active is None else active.within(name)


def add(name: str, seconds: float) -> None:
    """Count work of threads, if there is a profile."""
    active = _ACTIVE.get()
    if active is not None:
        active.add(name, seconds)


def traces(file: Path) -> None:
    """Record a trace that was written, if there is a profile."""
    active = _ACTIVE.get()
    if active is not None:
        active.traces.append(file)
