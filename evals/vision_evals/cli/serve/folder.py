"""A folder of runs: listed anew each time, each log read once for each change of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vision_evals import log
from vision_evals.core.errors import UserError

LOG = "run.json"


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run of the folder, or why what looks like one cannot be read."""

    name: str
    """Of its directory, which may be a copy; part of its address."""
    directory: Path
    run: log.Run | None = None
    """What the list and the trends show; its own report reads more."""
    broken: str = ""
    """Why there is no log."""


class Folder:
    """The runs in a folder. Links are left out: they lead elsewhere, or to a second name."""

    def __init__(self, root: Path) -> None:
        """Look for runs.

        Raises:
            UserError: no such folder, or no run in it.
        """
        self.root = root
        self._read: dict[str, tuple[tuple[int, int], RunEntry]] = {}
        if (root / LOG).is_file():
            raise UserError(f"{root}: is a run; name the folder it is in, or try evals report")
        if not any(self._listed()):
            raise UserError(
                f"{root}: holds no runs; name the folder that pytest --evals-run-dir names (runs)"
            )

    def entries(self) -> tuple[RunEntry, ...]:
        """Return the runs as they are now, oldest first; those without a date before them.

        Raises:
            UserError: the folder is gone.
        """
        entries = tuple(self._entry(name, file) for name, file in self._listed())
        self._read = {entry.name: self._read[entry.name] for entry in entries}
        return tuple(sorted(entries, key=_age))

    def entry(self, name: str) -> RunEntry | None:
        """Return the run of a name; None where the folder lists none of that name.

        Raises:
            UserError: the folder is gone.
        """
        files = dict(self._listed())
        return self._entry(name, files[name]) if name in files else None

    def _listed(self) -> Iterator[tuple[str, Path]]:
        """Yield the name of each directory that has a log, and the log."""
        try:
            with os.scandir(self.root) as items:
                names = sorted(item.name for item in items if item.is_dir(follow_symlinks=False))
        except OSError as error:
            raise UserError(
                f"{self.root}: {error.strerror}; name a folder that holds runs"
            ) from None
        for name in names:
            file = self.root / name / LOG
            if os.path.lexists(file):
                yield name, file

    def _entry(self, name: str, file: Path) -> RunEntry:
        try:
            status = file.lstat()
            stamp = status.st_mtime_ns, status.st_size
            if name not in self._read or self._read[name][0] != stamp:
                self._read[name] = stamp, _read(name, file, status)
        except OSError as error:  # gone since it was listed
            gone = RunEntry(name, file.parent, broken=f"{LOG}: {error.strerror}")
            self._read[name] = (0, 0), gone
        return self._read[name][1]


def _read(name: str, file: Path, status: os.stat_result) -> RunEntry:
    if not stat.S_ISREG(status.st_mode):
        return RunEntry(name, file.parent, broken=f"{LOG} is not a plain file")
    try:
        return RunEntry(name, file.parent, _brief(log.read(file)))
    except UserError as error:
        return RunEntry(name, file.parent, broken=str(error).removeprefix(f"{file}: "))


def _brief(run: log.Run) -> log.Run:
    """Return a run without the parts that only its report shows: hundreds must fit into memory."""
    shown = {"plots": (), "pictures": (), "rows": (), "validity": (), "references": ()}
    items = tuple(item.model_copy(update={**shown, "comparison": None}) for item in run.items)
    whole = {"classifiers": (), "passes": (), "mutants": (), "selected": (), "profile": None}
    return run.model_copy(update={**whole, "items": items})


def _age(entry: RunEntry) -> tuple[str, str]:
    return ("" if entry.run is None else entry.run.started), entry.name
