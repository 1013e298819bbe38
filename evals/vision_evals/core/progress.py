"""The progress of a pass or a training: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

MIN_SECONDS_FOR_END_LINE = 5.0
"""Seconds below which the end of a training gets no line."""

SECONDS_BETWEEN_LINES = 10.0
"""Seconds between plain lines."""


class Advance(Protocol):
    """Counts finished work."""

    def __call__(self, n: int, message: str = "") -> None:
        """Count ``n`` more; ``message`` is shown instead of counts until the next message."""


class Progress(Protocol):
    """Shows one pass or training at a time."""

    def __call__(
        self, title: str, total: int, unit: str = "images"
    ) -> AbstractContextManager[Advance]:
        """Show how many of ``total`` images or other units are done while the block runs."""


@contextmanager
def bar(title: str, total: int, unit: str = "images") -> Iterator[Advance]:
    """Draw a bar with units/s and time left on the terminal; gone when done."""
    from rich import progress
    from rich.console import Console
    from rich.markup import escape
    from rich.text import Text

    class Speed(progress.ProgressColumn):
        def render(self, task: progress.Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.0f} {unit}/s")

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        Speed(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(escape(title), total=total)

        def advance(n: int, message: str = "") -> None:
            shown.advance(task, n)
            if message:
                shown.update(task, description=escape(f"{title}: {message}"))

        yield advance


def lines(write: Callable[[str], None]) -> Progress:
    """Return a progress that writes a line from time to time."""

    @contextmanager
    def show(title: str, total: int, unit: str = "images") -> Iterator[Advance]:
        start = last = time.monotonic()
        done = 0
        latest = ""

        def advance(n: int, message: str = "") -> None:
            nonlocal done, last, latest
            done += n
            latest = message or latest
            now = time.monotonic()
            if now - last >= SECONDS_BETWEEN_LINES and done < total:
                last = now
                write(f"{title}: {_state(done, total, now - start, unit, latest)}")

        yield advance
        took = time.monotonic() - start
        # no line for the end of a brief training: there may be a hundred of them
        if done and (took >= MIN_SECONDS_FOR_END_LINE or unit == "images"):
            write(f"{title}: {_state(done, total, took, unit, latest, end=True)}")

    return show


def titled(progress: Progress, prefix: str) -> Progress:
    """Return a progress whose titles begin with a prefix."""
    return lambda title, total, unit="images": progress(f"{prefix}: {title}", total, unit)


def _state(
    done: int, total: int, seconds: float, unit: str, message: str, *, end: bool = False
) -> str:
    speed = done / max(seconds, 1e-9)
    over = end or done >= total
    counts = f"{done} of {total} {unit}"
    if over or not done:
        return f"{message or counts}, {seconds:.1f} s"
    return f"{message or f'{counts}, {speed:.1f} {unit}/s'}, {(total - done) / speed:.0f} s left"
