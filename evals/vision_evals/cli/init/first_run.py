"""The first run of a gate: measured once for its floor, then as it is written."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vision_evals.cli.init.writing import CARDS, SUITE
from vision_evals.core.errors import UserError, printable
from vision_evals.engine.run import run
from vision_evals.log import Item, Metric
from vision_evals.report.result import Run
from vision_evals.verdict.baseline.accept import accept


def measured(folder: Path) -> Metric:
    """Return the accuracy of the network; the run that found it leaves its cache only.

    Raises:
        UserError: there is none.
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        item = _only(_run(folder, run_dir=elsewhere, report="none", pictures="none"))
    if (accuracy := _accuracy(item)) is None:
        raise UserError(
            f"nothing is written, since a first run gave no number: {printable(item.sentence)}"
        )
    return accuracy


def judged(folder: Path) -> Run:
    """Run the suite as it is written."""
    return _run(folder)


def accepted(folder: Path, finished: Run) -> str:
    """Make a run the baseline, unless there is one; return what was done in words."""
    baseline = folder / "baseline"
    if baseline.exists():
        return "baseline: was there, left as it is"
    accept(finished.path, baseline)
    return "baseline: holds the first run, which pull requests are compared with"


def lines(finished: Run) -> Iterator[str]:
    """Yield the result of a run: its verdict, and what was judged."""
    item = _only(finished)
    accuracy = _accuracy(item)
    if accuracy is None or not finished.passed:
        yield f"first run: {item.verdict}: {printable(item.sentence)}"
    else:
        yield f"first run: passed; accuracy {accuracy.value:.3f}, n = {accuracy.n:,}"
    for judgement in item.judgements:
        if judgement.of is None:
            yield f"  {judgement.verdict}: {printable(judgement.sentence)}"
        else:
            yield "  not compared: no run was accepted before the first"
    yield from (f"  warning: {printable(text)}" for text in finished.warnings)
    yield f"report: {finished.report}"


def has_floor(finished: Run) -> bool:
    """Return whether the suite has a floor."""
    return any(judgement.of is None for judgement in _only(finished).judgements)


def _accuracy(item: Item) -> Metric | None:
    return next(
        (m for m in item.metrics if m.name == "top1_accuracy" and m.value is not None), None
    )


def _only(finished: Run) -> Item:
    (item,) = finished.items
    return item


def _run(folder: Path, **options: Any) -> Run:
    with contextlib.chdir(folder):
        return run(SUITE, cards=CARDS, models=(), inconclusive="skip", **options)
