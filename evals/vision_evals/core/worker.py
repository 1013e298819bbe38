"""Who does which part of a run: machines that share its batches, processes that share its items."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Partition:
    """Part ``k`` of ``n``."""

    k: int
    """From 1."""
    n: int

    @classmethod
    def parse(cls, text: str) -> Partition:
        """Read ``2/8``.

        Raises:
            ValueError: it is written otherwise, or there is no such part.
        """
        written = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if written is None:
            raise ValueError("write which part of how many, such as 2/8")
        k, n = map(int, written.groups())
        if not 1 <= k <= n:
            raise ValueError(
                f"there is no such part: write 1/{max(n, 1)} to {max(n, 1)}/{max(n, 1)}"
            )
        return cls(k, n)

    def __str__(self) -> str:
        return f"{self.k}/{self.n}"

    @property
    def words(self) -> str:
        """As in a sentence: ``part 2 of 8``."""
        return f"part {self.k} of {self.n}"

    def of(self, batches: Sequence[T]) -> Sequence[T]:
        """Return this part's batches of all: side by side, as many as the others have, or one more.

        Whole batches are dealt, so that each is made of the same images as in the whole run: the
        other images of its batch change the last bits of its row. Rows that name no images
        are joined as their measure declares: exact for counts and extremes. `dead_relu` no longer
        counts a unit that later images cannot change, and a part decides so on its own images.
        """
        return batches[len(batches) * (self.k - 1) // self.n : len(batches) * self.k // self.n]


def dealt(batches: Sequence[T], partition: Partition | None) -> Sequence[T]:
    """Return the batches of a run: all, unless it is a part."""
    return batches if partition is None else partition.of(batches)


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
    count: int = 1
    """How many share the run."""

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
