"""What there is to see of a folder of runs: all of them, and the report of each."""

from __future__ import annotations

import threading
from pathlib import Path

from evals import log, report
from evals.errors import UserError
from evals.report.page import filled
from evals.serve.folder import Folder
from evals.serve.index import rows
from evals.serve.trends import trends


class Pages:
    """Pages of a folder, made when somebody asks and one at a time."""

    def __init__(self, folder: Folder, templates: Path | None = None) -> None:
        """Take a folder, and perhaps a folder of a user's own templates."""
        self._folder = folder
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
                "folder": self._folder.root.resolve().name or str(self._folder.root),
                "rows": rows(entries),
                "broken": [entry for entry in entries if entry.broken],
                "trends": trends([entry.run for entry in entries if entry.run is not None]),
            }
            return filled("runs.html.jinja", shown, self._templates)

    def run(self, name: str) -> str | None:
        """Return the report of a run; None where the folder lists none of that name.

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
