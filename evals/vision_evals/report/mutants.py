"""What the report shows of a self-test: the kill matrix, and the line that sums it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vision_evals.log import Mutant, Notice


@dataclass(frozen=True, slots=True)
class Cell:
    """Whether one kind of evidence noticed a mutant."""

    word: str
    """``killed``, ``survives`` or ``does not apply``."""
    by: str
    """Check and metric, or validity check."""
    evidence: str
    """Its numbers."""


@dataclass(frozen=True, slots=True)
class MutantRow:
    """One mutant."""

    name: str
    about: str
    behaviour: Cell
    structure: Cell
    note: str
    """Why it survives or does not apply."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Every mutant of a run."""

    summary: str
    rows: tuple[MutantRow, ...]


def matrix(mutants: Sequence[Mutant], *, finished: bool) -> Matrix | None:
    """Return the kill matrix; None for a run that is no self-test.

    Args:
        mutants: of the run.
        finished: whether every mutant was tried.
    """
    if not mutants:
        return None
    applied = [mutant for mutant in mutants if mutant.inapplicable is None]
    killed = sum(mutant.killed for mutant in applied)
    survivors = ", ".join(mutant.name for mutant in applied if not mutant.killed)
    summary = f"Killed {killed} of {len(applied)} applicable"
    summary += "" if finished else "; interrupted before all were tried"
    summary += f"; survivors: {survivors}" if survivors else "; no survivors" if finished else ""
    return Matrix(summary, tuple(map(_row, mutants)))


def _row(mutant: Mutant) -> MutantRow:
    note = mutant.inapplicable or ("" if mutant.killed else mutant.excuse or "no check noticed")
    cells = (_cell(mutant, mutant.behaviour), _cell(mutant, mutant.structure))
    return MutantRow(mutant.name, mutant.about, *cells, note)


def _cell(mutant: Mutant, notice: Notice | None) -> Cell:
    if mutant.inapplicable is not None:
        return Cell("does not apply", "", "")
    if notice is None:
        return Cell("survives", "", "")
    return Cell("killed", notice.noticed, notice.sentence)
