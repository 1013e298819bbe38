"""A run made by hand: two checks, two networks, hostile names, and rows whose answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from vision_evals import log
from vision_evals.log import Verdict

CLASSES = ("red", '<b>"green"</b>, =1+1', "blue\nsky")
IMAGES = ("a/0.png", '=SUM(A1), "b"', "ç/\u202e2.png", "d.png")
LABELS = (0, 1, 2, 0)
TOP2 = ([0, 1], [1, 2], [0, 2], [2, 0])
CORRECT = (True, True, False, False)


def rows() -> pd.DataFrame:
    """Return the rows of a check: four images, two of them answered rightly."""
    return pd.DataFrame(
        {
            "image": IMAGES,
            "label": LABELS,
            "accepted": [[label] for label in LABELS],
            "top5": TOP2,
            "confidence": [0.1 + 0.2, 1 / 3, float("nan"), 1e-17],
            "correct1": CORRECT,
        }
    )


def metric(name: str, value: float | None, **more: Any) -> log.Metric:
    """Return a metric of four images."""
    known: dict[str, Any] = {"unit": "fraction", "n": 4, "denominator": "images"} | more
    return log.Metric(name=name, value=value, **known)


def judgement(
    metric: str, threshold: float, value: float, verdict: Verdict, **more: Any
) -> log.Judgement:
    """Return a threshold held against a metric."""
    said = f"{value} against {threshold}"
    return log.Judgement(
        metric=metric, side="at_least", threshold=threshold, value=value,
        verdict=verdict, sentence=said, **more,
    )  # fmt: skip


PAIRED = log.Paired(
    n=4, difference=-0.25, low=-0.5, high=0.1, confidence=0.95, method="score", worse=1, better=0
)


def item(suite: str, check: str, model: str, **more: Any) -> log.Item:
    """Return an entry of the log."""
    known: dict[str, Any] = {
        "verdict": Verdict.RECORDED,
        "sentence": "recorded",
        "images": "photographs",
    } | more
    return log.Item(
        id=f"{suite}::{check}[{model}]", suite=suite, check=check, classifier=model,
        measure="accuracy", class_columns=("top5",), **known,
    )  # fmt: skip


def made(folder: Path) -> log.Run:
    """Write the run into a folder, and return its log."""
    (folder / "tables").mkdir(parents=True)
    rows().to_parquet(folder / "tables" / "colors.parquet", index=False)
    numbers = (
        metric("top1_accuracy", 0.5, low=0.15003898915214947, high=0.8499610108478506),
        metric("ece", None, reason="no number", higher_is_better=False),
        metric("robust", 1 / 3, at="1/255", n=3),
        metric("robust", 0.25, at="4/255", spread=(0.2, 0.25, 0.3)),
    )
    held = (
        judgement("top1_accuracy", 0.4, 0.5, Verdict.PASSED),
        judgement(
            "top1_accuracy", 0.7, 0.5, Verdict.FAILED, of="baseline",
            gate=log.Gate(of="baseline", margin=-0.01, paired=PAIRED),
        ),
        judgement("robust", 0.2, 0.25, Verdict.PASSED, at="4/255", severity="warn"),
        judgement("unreadable", 0, 1, Verdict.FAILED),
    )  # fmt: skip
    table = "tables/colors.parquet"
    first: dict[str, Any] = {
        "metrics": numbers,
        "judgements": held,
        "verdict": Verdict.FAILED,
        "table": table,
    }
    run = log.Run(
        id=folder.name,
        status="finished",
        started="2026-01-01T00:00:00+00:00",
        command="pytest suites",
        settings=log.Settings(device="cpu", device_name="cpu", batch_size=4),
        environment=log.Environment(versions={}, platform="any", threads=1),
        classifiers=tuple(
            log.Classifier(
                alias=a, network="x", class_map="colors", class_count=3, class_names=CLASSES
            )
            for a in ("one", "two")
        ),
        image_sets=(
            log.ImageSet(
                role="photographs", source="pictures", n=5, total=5,
                unreadable=(log.Unreadable(image="e.png", reason="cut off"),),
                about={"d.png": {"title": "D", "label": "not this one"}},
            ),
        ),
        items=(
            item("suites/a.toml", "colors", "one", **first),
            item("suites/a.toml", "colors", "two", table=table, metrics=(numbers[0],)),
            item("suites/a.toml", "gone", "one", verdict=Verdict.UNAVAILABLE, sentence="not here"),
            item("suites/b.toml", "gone", "two", table=table),
        ),
    )  # fmt: skip
    log.write(run, folder)
    return run
