"""One of several processes that share a run on one machine, and the folder of its part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PARTS = "parts"
"""Folder of the run in which each process has one of its own until all are done."""

LOST = "lost.txt"
"""File in it: ids of items at which a process died, one a line."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process of pytest-xdist's."""

    id: str
    """``gw0``, ``gw1``, ..."""
    run: str
    """Name of the run directory that all of them write for."""

    def directory(self, run_dir: Path) -> Path:
        """Return where it writes."""
        return run_dir / self.run / PARTS / self.id

    def lost(self, run_dir: Path) -> frozenset[str]:
        """Return the ids of items at which a process died: another one would die there, too."""
        file = run_dir / self.run / PARTS / LOST
        return frozenset(file.read_text("utf-8").splitlines()) if file.is_file() else frozenset()


def number(name: str) -> int:
    """Return the number in a worker's name; 0 where there is none."""
    digits = re.search("[0-9]+", name)
    return int(digits.group()) if digits else 0


def lose(directory: Path, item: str) -> None:
    """Note that a process died at an item, so that the others leave it out of their passes."""
    folder = directory / PARTS
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOST).open("a", encoding="utf-8") as file:
        file.write(f"{item}\n")
