"""The list of the runs of a folder: a row for each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from vision_evals.cli.serve.folder import RunEntry
from vision_evals.log import Baseline, Environment, Run, Verdict
from vision_evals.report import words
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
