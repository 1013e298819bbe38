"""A run on pytest's terminal: its progress, its summary, and pytest's own lists kept short.

As light as the plugin: it imports what a run needs when there is one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vision_evals.plugin.finish import DESELECTED, REPORT, RUN, WARNINGS, catalog_of

if TYPE_CHECKING:
    from vision_evals.core.progress import Advance, Progress

_PRINTED = pytest.StashKey[int]()
"""Lines of progress so far."""
_HIDDEN = pytest.StashKey[dict[str, list[Any]]]()
"""Whole lists of reports, by category, while pytest is shown shorter ones."""

SCREEN_LINES = 40
"""Lines of a whole run without failures."""

PYTEST_LINES = 10
"""Those of pytest itself: its head, its end, and what separates its parts."""

MIN_LINES = 4
"""Lines of the table at least, however many others there are."""

MAX_FAILURES = 10
"""Failures that are shown in full."""

SECONDS_BETWEEN_NOTES = 5.0
"""Seconds between two notes of a worker for the process that controls it."""


def progress_on(screen: pytest.TerminalReporter) -> Progress:
    """Return a bar on a terminal, else lines, shown past pytest's capturing of output.

    Both leave the line that pytest is writing as it was.
    """
    import sys

    from vision_evals.core import progress

    capture: Any = screen.config.pluginmanager.get_plugin("capturemanager")
    draws = screen.isatty and progress.takes_bar(sys.__stderr__ or sys.stderr)
    show = progress.bar if draws else progress.lines(lambda line: _write(screen, line))

    @contextlib.contextmanager
    def shown(title: str, total: int, unit: str = "images") -> Iterator[Advance]:
        paused = capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()
        with paused:
            line, printed = _current_line(screen), screen.config.stash.get(_PRINTED, 0)
            try:
                with show(title, total, unit) as advance:
                    yield advance
            finally:
                if draws:  # the bar was drawn over it
                    screen.write_raw(line, flush=True)
                elif screen.config.stash.get(_PRINTED, 0) > printed:
                    screen.write("\n" + "".join(line.partition(" ")[:2]), flush=True)

    return shown


def write_between_dots(screen: pytest.TerminalReporter, line: str) -> None:
    """Write a line from a thread while pytest-xdist writes dots."""
    _write(screen, f"{line}\n")


def _write(screen: pytest.TerminalReporter, line: str) -> None:
    """Write a line of progress in one piece, below what stands there, and count it."""
    screen.config.stash[_PRINTED] = screen.config.stash.get(_PRINTED, 0) + 1
    above = "\n" if _current_line(screen) else ""
    screen.write(_fitting(f"{above}{line}"), flush=True)


def _current_line(screen: pytest.TerminalReporter) -> str:
    """Return what stands on pytest's last line, such as a file and dots."""
    line: str = getattr(screen.config.get_terminal_writer(), "_current_line", "")
    return line


def progress_of_worker(directory: Path | None) -> Progress:
    """Return a progress that notes what is done in a file for `latest`; None: nowhere."""
    from vision_evals.core import progress

    note = None if directory is None else directory.with_suffix(".progress")

    def write(line: str) -> None:
        with contextlib.suppress(OSError):  # a full disk is reported where it matters
            if note is not None:
                note.write_text(line, encoding="utf-8")

    show = progress.lines(write, SECONDS_BETWEEN_NOTES)

    @contextlib.contextmanager
    def shown(title: str, total: int, unit: str = "images") -> Iterator[Advance]:
        try:
            with show(title, total, unit) as advance:
                yield advance
        finally:
            if note is not None:
                note.unlink(missing_ok=True)

    return shown


def latest(parts: Path) -> str:
    """Return in one line what the workers are doing; empty if none of them has a note."""
    from vision_evals.core.errors import printable

    notes = []
    for file in sorted(parts.glob("*.progress")):
        with contextlib.suppress(OSError, UnicodeDecodeError):  # it may be gone by now
            notes.append(printable(f"{file.stem} {file.read_text(encoding='utf-8')}"))
    return "; ".join(notes)


@contextlib.contextmanager
def shortened(screen: pytest.TerminalReporter) -> Iterator[None]:
    """Show pytest ten of the failed checks; `summarise` gives it back all of them.

    From then on it does not see the skips that are one line of the summary.
    """
    screen.config.stash[_HIDDEN] = {}
    ids = {item.id for item in screen.config.stash[RUN].log.items}
    if screen.verbosity <= 0:
        _hide(screen, "failed", ids, after=MAX_FAILURES)
    try:
        yield
    finally:
        _show(screen, "failed")
        _show(screen, "skipped")


def summarise(screen: pytest.TerminalReporter) -> None:
    """Print the table of judged expectations, and what it leaves out."""
    from vision_evals.core.errors import printable
    from vision_evals.report.export.annotations import commands
    from vision_evals.report.remarks import not_fetched, profile, remarks
    from vision_evals.report.terminal import counts, height, table

    config, run, verbose = screen.config, screen.config.stash[RUN], screen.verbosity > 0
    if hidden := _show(screen, "failed"):
        screen.write_line(f"{hidden} more failed; -v shows them in full")
    screen.write_sep("=", "vision networks")
    if not verbose:
        unfetched = {item.id for items in not_fetched(run.log).values() for item in items}
        _hide(screen, "skipped", unfetched)
    left_out = remarks(run.log, verbose=verbose, skips=not screen.hasopt("s"))
    place = printable(f"log: {run.directory / 'run.json'}")
    below = [*left_out, counts(run.log), *profile(run.log), place]
    width = _width(screen)
    skips = {str(report.longrepr) for report in screen.stats.get("skipped", [])}
    listed = ["short test summary", *skips] if skips and screen.hasopt("s") else []
    others = height(
        [*listed, *below, below[-1]], width
    )  # the report's path is as long as the log's
    room = SCREEN_LINES - _lines_above(screen) - others
    rows = table(
        run.log.items, color=screen.hasmarkup, width=width,
        lines=max(room, MIN_LINES), verbose=verbose,
    )  # fmt: skip
    for line in (*rows.splitlines(), *below):
        screen.write_line(_fitting(line))
    if aside := config.stash.get(DESELECTED, 0):
        screen.write_line(f"{aside} checks on recipes deselected; --evals-recipes runs them, too")
    for trouble in config.stash[WARNINGS]:
        screen.write_line(_fitting(f"warning: {printable(trouble)}"), yellow=True)
    lenient = catalog_of(config).options.table.inconclusive == "skip"
    for command in commands(run.log, config.rootpath, os.environ, lenient=lenient):
        screen.write_line(_fitting(command))


def write_report(screen: pytest.TerminalReporter) -> None:
    """Print where the report is, as a link where the terminal takes links."""
    from vision_evals.core.errors import printable

    report = screen.config.stash.get(REPORT, None)
    for place in filter(None, () if report is None else (report.page, report.folder)):
        shown = _fitting(printable(str(place)))
        if screen.isatty and screen.hasmarkup and not os.environ.get("CI"):
            shown = f"\x1b]8;;{place.absolute().as_uri()}\x1b\\{shown}\x1b]8;;\x1b\\"
        screen.write_line(f"report: {shown}")


def _hide(
    screen: pytest.TerminalReporter, category: str, ids: Container[str], after: int = 0
) -> None:
    """Take reports of some checks, all but the first, out of a list that pytest prints."""
    reports = screen.stats.get(category, [])
    gone = [id(report) for report in reports if report.nodeid in ids][after:]
    if gone:
        screen.config.stash[_HIDDEN][category] = reports
        screen.stats[category] = [report for report in reports if id(report) not in gone]


def _show(screen: pytest.TerminalReporter, category: str) -> int:
    """Give a list back to pytest, and return how many reports were hidden."""
    if category not in screen.config.stash[_HIDDEN]:
        return 0
    whole = screen.config.stash[_HIDDEN].pop(category)
    hidden = len(whole) - len(screen.stats[category])
    screen.stats[category] = whole
    return hidden


def _lines_above(screen: pytest.TerminalReporter) -> int:
    """Return how many lines pytest has written: one for each suite, two for each of progress."""
    suites = {item.suite for item in screen.config.stash[RUN].log.items}
    return PYTEST_LINES + len(suites) + 2 * screen.config.stash.get(_PRINTED, 0)


def _width(screen: pytest.TerminalReporter) -> int:
    from vision_evals.report.terminal import FILE_WIDTH

    width = screen.config.get_terminal_writer().fullwidth
    free = not screen.isatty and "COLUMNS" not in os.environ
    return max(width, FILE_WIDTH) if free else width


def _fitting(text: str) -> str:
    """Return text that can be written: what the terminal's encoding lacks becomes a question mark.

    pytest would write such a line with every escape sequence in it as text.
    """
    import sys

    from vision_evals.core.progress import encodable

    return encodable(text, getattr(sys.__stdout__, "encoding", None))
