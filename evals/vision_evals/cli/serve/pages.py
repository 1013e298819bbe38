"""The pages of a folder of runs: the list, the report of each run, each check over the runs."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from vision_evals import log, report
from vision_evals.cli.serve.folder import Folder, RunEntry
from vision_evals.cli.serve.trends import Trend, trends
from vision_evals.core.errors import UserError
from vision_evals.log import Baseline, Environment, Run, Verdict
from vision_evals.report import words
from vision_evals.report.page import filled
from vision_evals.report.view import tone


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in the list."""

    name: str
    run: str | None
    """Its id, where the directory has another name."""
    address: str
    headline: str
    tone: str
    status: str | None
    """Of a run that did not finish."""
    date: str
    started: str
    seconds: float
    counts: tuple[tuple[Verdict, int], ...]
    """How often each verdict was given, worst first."""
    environment: Environment
    baseline: Baseline | None
    images: str
    """Which part of its images it looked at; empty for all of them."""


def rows(entries: Sequence[RunEntry]) -> tuple[RunRow, ...]:
    """Return the runs that can be read, newest first."""
    return tuple(_row(entry.name, entry.run) for entry in reversed(entries) if entry.run)


def address(name: str) -> str:
    """Return the address of a run's report, byte for byte what its directory is called."""
    return f"/run/{quote(os.fsencode(name), safe='')}/"


def _row(name: str, run: Run) -> RunRow:
    counts = Counter(item.verdict for item in run.items)
    limits = sorted({images.limit for images in run.image_sets if images.limit is not None})
    partition = [f"part {run.settings.shard}"] if run.settings.shard else []
    return RunRow(
        name=name,
        run=None if run.id == name else run.id,
        address=address(name),
        headline=words.headline(run, counts),
        tone=tone(run, counts),
        status=None if run.status == "finished" else run.status,
        date=words.date(run.started),
        started=run.started,
        seconds=run.seconds,
        counts=tuple((verdict, counts[verdict]) for verdict in Verdict if counts[verdict]),
        environment=run.environment,
        baseline=run.baseline,
        images=words.listed([*(f"limited to {limit:,} images" for limit in limits), *partition]),
    )


class Pages:
    """Pages of a folder, each made when it is requested, one at a time."""

    def __init__(self, folder: Folder, templates: Path | None = None) -> None:
        """Take a folder of runs, and a folder of the user's templates if there is one."""
        self._folder = folder
        self._name = folder.root.resolve().name or str(folder.root)
        self._templates = templates
        self._lock = threading.Lock()

    def index(self) -> str:
        """Return the list of runs and the trends.

        Raises:
            UserError: the folder is gone, or a template of the user's cannot be filled.
        """
        with self._lock:
            entries = self._folder.entries()
            shown = {
                "folder": self._name,
                "rows": rows(entries),
                "broken": [entry for entry in entries if entry.broken],
                "trends": _trends(entries),
            }
            return filled("runs.html.jinja", shown, self._templates)

    def check(self, key: str) -> str | None:
        """Return every metric of a check over the runs; None if no check has this key.

        Raises:
            UserError: as for the list.
        """
        with self._lock:
            trend = next((t for t in _trends(self._folder.entries()) if t.key == key), None)
            if trend is None:
                return None
            shown = {"folder": self._name, "trend": trend}
            return filled("trend.html.jinja", shown, self._templates)

    def run(self, name: str) -> str | None:
        """Return the report of a run; None if the folder has no run of that name.

        Raises:
            UserError: its log cannot be read, or a template of the user's cannot be filled.
        """
        with self._lock:
            entry = self._folder.entry(name)
            if entry is None:
                return None
            if entry.broken:
                raise UserError(entry.broken)
            return report.render(log.read(entry.directory), entry.directory, self._templates)


def _trends(entries: Sequence[RunEntry]) -> tuple[Trend, ...]:
    return trends([entry.run for entry in entries if entry.run is not None])
