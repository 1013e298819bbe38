"""How far a pass is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]
"""Told how many more images are done."""

EVERY = 10.0
"""Seconds between plain lines."""


class Progress(Protocol):
    """Shows one pass at a time."""

    def __call__(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """Show a pass of ``total`` images while the block runs."""


@contextmanager
def bar(title: str, total: int) -> Iterator[Advance]:
    """Draw a bar with images/s and time left on the terminal; gone when done."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.0f} images/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=total)
        yield lambda n: shown.advance(task, n)


def lines(write: Callable[[str], None]) -> Progress:
    """Return a progress that writes a line now and then."""

    @contextmanager
    def show(title: str, total: int) -> Iterator[Advance]:
        start = last = time.monotonic()
        done = 0

        def advance(n: int) -> None:
            nonlocal done, last
            done += n
            now = time.monotonic()
            if now - last >= EVERY and done < total:
                last = now
                write(_line(title, done, total, now - start))

        yield advance
        if done:
            write(_line(title, done, total, time.monotonic() - start))

    return show


def _line(title: str, done: int, total: int, seconds: float) -> str:
    speed = done / max(seconds, 1e-9)
    left = f", {(total - done) / speed:.0f} s left" if done < total else f", {seconds:.1f} s"
    return f"{title}: {done} of {total} images, {speed:.1f} images/s{left}"
