"""The table of ``evals noise``: each floor, and the variation that moved the metric most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vision_evals.cli.args import jobs_of
from vision_evals.cli.noise.measure import NoiseRun, entries, measure
from vision_evals.cli.terminal import add_row, plain_table
from vision_evals.core.paths import data_folder
from vision_evals.engine.jobs import Catalog
from vision_evals.report.words import with_point
from vision_evals.verdict.noise_floor import Noise, NoiseEntry

DEFAULTS = ("accuracy.toml", "fgsm.toml")
"""Shipped suites that are measured by default."""


def noise(catalog: Catalog, suites: Sequence[Path]) -> None:
    """Measure, and print a table; after an interrupt, of what is finished.

    Raises:
        UserError: a suite is wrong, or what it needs is unavailable.
    """
    files = suites or [data_folder("suites") / name for name in DEFAULTS]
    jobs = [job for file in files for job in jobs_of(catalog, file, file.name)]
    run, file, stored = NoiseRun(), None, Noise(machine="")
    try:
        for file, stored in measure(catalog, jobs, run):  # noqa: B007 - the last one is shown
            pass
    finally:
        console = Console(highlight=False)
        measured = {(floor.asked.key, floor.precision) for floor in entries(run)}
        floors = [e for e in stored.entries if (e.asked.key, e.precision) in measured]
        if floors:
            console.print(table(floors))
        for reason in run.missing:
            console.print(Text(f"left out: {reason}", "dim"))
        if file is not None and floors:
            console.print(Text(f"kept: {file}"))


def table(entries: Sequence[NoiseEntry]) -> Table:
    """Return a line for each metric of each entry."""
    columns = ("classifier", "check", "metric"), ("reference", "floor")
    shown = plain_table(*columns, last="moved most by")
    for entry in entries:
        for moved in entry.floors:
            metric = with_point(moved.metric, moved.at)
            words = entry.asked.classifier, f"{entry.asked.check}, {entry.precision}", metric
            numbers = f"{moved.reference:.6g}", f"{moved.floor:.2g}"
            add_row(shown, *words, *numbers, str(moved.most or "nothing"))
    return shown
