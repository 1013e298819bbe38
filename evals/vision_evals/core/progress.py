"""The progress of a pass or a training: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

from vision_evals.core.errors import printable

SECONDS_BETWEEN_LINES = 30.0
"""Seconds between plain lines."""


class Advance(Protocol):
    """Counts finished work."""

    def __call__(self, n: int, message: str = "") -> None:
        """Count ``n`` more; ``message`` stands in place of title and counts until the next one."""


class Progress(Protocol):
    """Shows one pass or training at a time."""

    def __call__(
        self, title: str, total: int, unit: str = "images"
    ) -> AbstractContextManager[Advance]:
        """Show how many of ``total`` images or other units are done while the block runs.

        A total of 0 is one that nobody knows: the title alone is shown.
        """


def takes_bar(*streams: TextIO) -> bool:
    """Return whether a bar can be drawn: on a terminal that moves its cursor."""
    return os.environ.get("TERM") != "dumb" and all(stream.isatty() for stream in streams)


@contextmanager
def bar(title: str, total: int, unit: str = "images") -> Iterator[Advance]:
    """Draw a bar with the time left on the terminal; gone when done."""
    from rich import progress
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column

    console = Console(stderr=True)

    def shown_text(text: str) -> str:
        return escape(encodable(printable(text), console.encoding))

    counts = progress.MofNCompleteColumn(), progress.TextColumn(escape(unit))
    columns = (
        progress.TextColumn("{task.description}", table_column=Column(overflow="fold")),
        progress.BarColumn(bar_width=12),
        *(counts if total else ()),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(shown_text(title), total=total or None)

        def advance(n: int, message: str = "") -> None:
            shown.advance(task, n)
            if message:
                shown.update(task, description=shown_text(message))

        yield advance


def lines(write: Callable[[str], None], seconds: float = SECONDS_BETWEEN_LINES) -> Progress:
    """Return a progress that writes a line every few seconds, also while nothing is counted.

    Args:
        write: called in a thread of its own, and only while something is shown.
        seconds: between two lines, also where many short trainings follow each other.
    """
    last = time.monotonic()

    @contextmanager
    def show(title: str, total: int, unit: str = "images") -> Iterator[Advance]:
        nonlocal last
        start = counted = time.monotonic()
        done, latest, over = 0, "", threading.Event()

        def advance(n: int, message: str = "") -> None:
            nonlocal counted, done, latest
            counted = time.monotonic() if n else counted
            done, latest = done + n, message or latest

        def speak() -> None:
            nonlocal last
            while not over.wait(max(last + seconds - time.monotonic(), 0)):
                last = time.monotonic()
                counts = f"{title}: {done} of {total} {unit}" if total else title
                left = (total - done) * (counted - start) / done - (last - counted) if done else 0
                left_text = f", {left:.0f} s left" if left >= 1 else ""
                write(printable(latest or counts) + left_text)

        speaker = threading.Thread(target=speak, daemon=True)
        speaker.start()
        try:
            yield advance
        finally:
            over.set()
            speaker.join()

    return show


def titled(progress: Progress, prefix: str) -> Progress:
    """Return a progress whose titles and messages begin with a prefix."""

    @contextmanager
    def show(title: str, total: int, unit: str = "images") -> Iterator[Advance]:
        with progress(f"{prefix}: {title}", total, unit) as advance:
            yield lambda n, message="": advance(n, message and f"{prefix}: {message}")

    return show


def encodable(text: str, encoding: str | None) -> str:
    """Return text with a question mark for each character that a stream cannot write."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
