"""Gates and report data of a large run: 50,000 rows a check, ten checks.

    python benchmarks/gates.py [ROWS] [CHECKS]

Writes tables of that size for two runs, holds the second against the first as `evals compare`
does, and prints seconds and the highest memory of the process.
"""

# ruff: noqa: T201 - a script, and two numbers are what it is for

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from vision_evals import log, report
from vision_evals.log import Verdict
from vision_evals.measures.accuracy import MEASURE, Parameters
from vision_evals.measures.measure import Subject
from vision_evals.verdict.baseline import stored
from vision_evals.verdict.baseline.comparison import comparison
from vision_evals.verdict.baseline.provenance import differences, side_of
from vision_evals.verdict.baseline.stored import StoredRun
from vision_evals.verdict.paired.decide import decide

CLASSES = 1000


def table(rows: int, right: float, seed: int) -> pd.DataFrame:
    """Return what `accuracy` leaves: the same labels for every seed."""
    rng = np.random.default_rng(seed)
    label = np.arange(rows) % CLASSES
    correct = rng.random(rows) < right
    top1 = np.where(correct, label, (label + 1) % CLASSES)
    confidence = rng.uniform(0.2, 1, rows).astype(np.float32)
    return pd.DataFrame(
        {
            "image": [f"{i % CLASSES:04d}/{i}.jpg" for i in range(rows)],
            "label": label,
            "top5": list(np.stack([(top1 + k) % CLASSES for k in range(5)], axis=1)),
            "confidence": confidence,
            "correct1": correct,
            "correct5": correct | (rng.random(rows) < 0.5),
            "nll": rng.exponential(1, rows).astype(np.float32),
            "competing": CLASSES,
        }
    )


def run(folder: Path, rows: int, checks: int, right: float) -> log.Run:
    """Write a run whose checks are all of ``rows`` images."""
    (folder / "tables").mkdir(parents=True)
    items = []
    for check in range(checks):
        rows_of = table(rows, right, check if right > 0.8 else 1000 + check)
        file = f"tables/{check}.parquet"
        rows_of.to_parquet(folder / file)
        metrics = [
            log.Metric(
                name=name,
                value=float(rows_of[column].mean()),
                unit="fraction",
                n=rows,
                denominator="images",
                method=method,
            )
            for name, column, method in (
                ("top1_accuracy", "correct1", "wilson"),
                ("top5_accuracy", "correct5", "wilson"),
                ("nll", "nll", "bootstrap"),
            )
        ]
        items.append(
            log.Item(
                id=f"s.toml::c{check}[net]",
                suite="s.toml",
                check=f"c{check}",
                classifier="net",
                measure="accuracy",
                parameters=Parameters().model_dump(mode="json"),
                verdict=Verdict.PASSED,
                sentence="",
                metrics=tuple(metrics),
                table=file,
            )
        )
    whole = log.Run(
        id=folder.name,
        status="finished",
        started="2026-01-01T00:00:00+00:00",
        command="pytest",
        settings=log.Settings(device="cpu", device_name="c", batch_size=1),
        environment=log.Environment(versions={}, platform="p", threads=1),
        classifiers=(
            log.Classifier(
                alias="net",
                network="n:N",
                class_names=tuple(map(str, range(CLASSES))),
            ),
        ),
        items=tuple(items),
    )
    log.write(whole, folder)
    return whole


def main() -> None:
    """Print seconds and memory."""
    rows, checks = (int(text) for text in (*sys.argv[1:], "50000", "10")[:2])
    if len(sys.argv) == 2:
        rows, checks = int(sys.argv[1]), 10
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        before = StoredRun(run(folder / "a", rows, checks, 0.85), folder / "a", "a")
        now = StoredRun(run(folder / "b", rows, checks, 0.78), folder / "b", "b")
        began = time.perf_counter()
        items = []
        for item in now.run.items:
            other = stored.find_entry(before, item.suite, item.check, item.classifier)
            tables = stored.read_rows(before, other), stored.read_rows(now, item)
            sides = side_of(before.run, other), side_of(now.run, item)
            told = comparison("a", MEASURE, sides, tables, differences(*sides))
            assert told.changes[0].paired is not None
            verdict = decide(told.changes[0].paired, -0.01, "at_least", 0.05)
            assert verdict is Verdict.FAILED
            items.append(item.model_copy(update={"comparison": told}))
        gates = time.perf_counter() - began
        compared = now.run.model_copy(update={"items": tuple(items), "baseline": before.record})
        report.write(compared, folder / "b", folder / "report.html")
        whole = time.perf_counter() - began
        size = (folder / "report.html").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{rows:,} rows x {checks} checks: gates {gates:.2f} s, with the report {whole:.2f} s")
    print(f"highest memory {peak:.0f} MB, report {size / 1e6:.2f} MB")
    # the metrics themselves, as a session computes them once a check
    rows_of = table(rows, 0.85, 0)
    began = time.perf_counter()
    from vision_evals.images.labels import ClassMap

    classes = ClassMap("n", tuple(map(str, range(CLASSES))), None)
    MEASURE.summarise(rows_of, Parameters(), Subject("net", classes, 0, rows))
    print(f"metrics of one check with their bootstraps {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
