"""The pages of a folder of runs: the list, the report of each run, each check over the runs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from vision_evals import log, report
from vision_evals.cli.serve.folder import Folder, RunEntry
from vision_evals.cli.serve.index import rows
from vision_evals.cli.serve.trends import Trend, trends
from vision_evals.core.errors import UserError
from vision_evals.report.page import filled


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
