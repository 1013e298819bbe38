"""How far a pass or a training is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

BRIEF = 5.0
"""Seconds below which the end of a training is no news."""

EVERY = 10.0
"""Seconds between plain lines."""


class Advance(Protocol):
    """Is told what was done."""

    def __call__(self, n: int, said: str = "") -> None:
        """Count ``n`` more; ``said`` is shown instead of counts until something else is said."""


class Progress(Protocol):
    """Shows one pass or training at a time."""

    def __call__(
        self, title: str, total: int, unit: str = "images"
    ) -> AbstractContextManager[Advance]:
        """Show how far of ``total`` images or other units it is while the block runs."""


@contextmanager
def bar(title: str, total: int, unit: str = "images") -> Iterator[Advance]:
    """Draw a bar with units/s and time left on the terminal; gone when done."""
    from rich.console import Console
    from rich.markup import escape
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
            return Text("" if speed is None else f"{speed:.0f} {unit}/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(escape(title), total=total)

        def advance(n: int, said: str = "") -> None:
            shown.advance(task, n)
            if said:
                shown.update(task, description=escape(f"{title}: {said}"))

        yield advance


def lines(write: Callable[[str], None]) -> Progress:
    """Return a progress that writes a line now and then."""

    @contextmanager
    def show(title: str, total: int, unit: str = "images") -> Iterator[Advance]:
        start = last = time.monotonic()
        done = 0
        news = ""

        def advance(n: int, said: str = "") -> None:
            nonlocal done, last, news
            done += n
            news = said or news
            now = time.monotonic()
            if now - last >= EVERY and done < total:
                last = now
                write(f"{title}: {_far(done, total, now - start, unit, news)}")

        yield advance
        took = time.monotonic() - start
        if done and (took >= BRIEF or unit == "images"):  # a hundred brief trainings say nothing
            write(f"{title}: {_far(done, total, took, unit, news, end=True)}")

    return show


def _far(done: int, total: int, seconds: float, unit: str, said: str, *, end: bool = False) -> str:
    speed = done / max(seconds, 1e-9)
    over = end or done >= total
    left = f", {seconds:.1f} s" if over else f", {(total - done) / speed:.0f} s left"
    return f"{said or f'{done} of {total} {unit}, {speed:.1f} {unit}/s'}{left}"
