"""What ``evals noise`` shows: each floor, and which variation moved the number most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vision_evals.cli.noise.measure import Run, entries, measure
from vision_evals.core.errors import UserError
from vision_evals.core.paths import data_folder
from vision_evals.engine.jobs import Catalog
from vision_evals.verdict.job import Job
from vision_evals.verdict.noise_floor import Noise, NoiseEntry

DEFAULTS = ("accuracy.toml", "fgsm.toml")
"""Shipped suites that are measured when none is named."""


def noise(catalog: Catalog, suites: Sequence[Path]) -> None:
    """Measure, and print a table; interrupted, of what was finished.

    Raises:
        UserError: a suite is wrong, or what it needs is not to be had.
    """
    jobs = [job for suite in suites or shipped() for job in _jobs(catalog, suite)]
    run, file, kept = Run(), None, Noise(machine="")
    try:
        for file, kept in measure(catalog, jobs, run):  # noqa: B007 - the last one is told
            pass
    finally:
        console = Console(highlight=False)
        mine = {(one.asked.key, one.precision) for one in entries(run)}
        found = [one for one in kept.entries if (one.asked.key, one.precision) in mine]
        if found:
            console.print(table(found))
        for said in run.missing:
            console.print(Text(f"left out: {said}", "dim"))
        if file is not None and found:
            console.print(Text(f"kept: {file}"))


def shipped() -> tuple[Path, ...]:
    """Return the suites that are measured when none is named."""
    return tuple(data_folder("suites") / name for name in DEFAULTS)


def _jobs(catalog: Catalog, file: Path) -> list[Job]:
    if not file.is_file():
        raise UserError(f"{file}: no such suite; name a TOML file with evals = 1")
    suite = catalog.suite(file, file.name)
    return list(catalog.jobs(suite, file.absolute().parent))


def table(found: Sequence[NoiseEntry]) -> Table:
    """Return a line for each metric of each entry."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("classifier", "check", "metric"):
        shown.add_column(name, overflow="fold")
    for name in ("reference", "floor"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("moved most by", overflow="fold")
    for entry in found:
        for moved in entry.floors:
            metric = moved.metric if moved.at is None else f"{moved.metric} at {moved.at}"
            cells = (entry.asked.classifier, f"{entry.asked.check}, {entry.precision}", metric)
            numbers = (f"{moved.reference:.6g}", f"{moved.floor:.2g}")
            shown.add_row(*map(Text, (*cells, *numbers, str(moved.most or "nothing"))))
    return shown
