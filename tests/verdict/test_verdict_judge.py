"""Medians over the seeds of a recipe, and evidence that is said once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals.images.labels import ClassMap
from vision_evals.log import Metric, Training, Validity
from vision_evals.measures import lookup
from vision_evals.models.classifier import Classifier
from vision_evals.models.request import Request
from vision_evals.suite.parse import parse
from vision_evals.verdict.check_input import CheckInput, ClassifierInfo, Measured, medians
from vision_evals.verdict.job import Job
from vision_evals.verdict.judge import gather_validity

Small = Callable[..., Classifier]


def metric(value: float | None, **more: object) -> Metric:
    given_ = {"reason": None if value is not None else "there is none", **more}
    return Metric(name="m", value=value, unit="fraction", n=20, denominator="images", **given_)  # type: ignore[arg-type]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_the_median_and_its_spread(values: list[float]) -> None:
    found = medians([[metric(v, low=0.0, high=1.0, confidence=0.95)] for v in values], [*range(9)])
    assert found[0].value == np.median(values)
    assert found[0].spread == tuple(values)
    assert (found[0].low, found[0].high, found[0].confidence) == (None, None, None)


def test_a_seed_without_a_number_leaves_no_median() -> None:
    (found,) = medians([[metric(0.5)], [metric(None)], [metric(0.7)]], [3, 4, 5])
    assert (found.value, found.spread) == (None, ())
    assert found.reason == "of 3 trainings seed 4 has none: there is none"


def test_one_classifier_keeps_its_interval() -> None:
    one = metric(0.5, low=0.4, high=0.6, confidence=0.95, method="wilson")
    assert medians([[one]], [None]) == (one,)


@pytest.mark.parametrize("fallen", [(), (1,), (0, 2), (0, 1, 2)])
def test_evidence_is_said_once_where_it_is_equal(small: Small, fallen: tuple[int, ...]) -> None:
    def validity(seed: int) -> Validity:
        fell = seed in fallen
        outcome = "failed" if fell else "passed"
        return Validity(name="v", outcome=outcome, evidence=f"{fell}", meaning="m")  # type: ignore[arg-type]

    def member(seed: int) -> Measured:
        training = Training(seed=seed, data="digits", train_images=1, validation_images=1)
        trained = replace(small(), training=training)
        return Measured(ClassifierInfo.of(trained), pd.DataFrame(), 0, validity=(validity(seed),))

    found = gather_validity([member(seed) for seed in range(3)])
    assert any(check.outcome == "failed" for check in found) == bool(fallen)
    assert len(found) == (2 if fallen and len(fallen) < 3 else 1)
    if fallen == (0, 2):
        assert [check.evidence for check in found] == ["seeds 0, 2: True", "seed 1: False"]


SUITE = """
evals = 1
title = "One check"
[[check]]
name = "right"
measure = "accuracy"
images = "photographs"
expect = []
"""


def test_seeds_share_a_frame_and_what_nobody_measured() -> None:
    suite = parse(SUITE, "s.toml", lambda name: lookup(name, Path()))
    check = suite.checks[0]
    job = Job("s.toml::right[a]", suite, check, Request("a", "a", None), True, True, None, None)
    classes, measure = ClassMap("two", ("red", "green"), None), lookup("accuracy", Path())

    def member(seed: int) -> Measured:
        rows = pd.DataFrame({"confidence": [0.5, 0.9], "correct1": [seed == 3, True]})
        return Measured(ClassifierInfo(classes, seed=seed), rows, 0, 2)

    alone = CheckInput(job, measure, (member(3),)).plots()
    both = CheckInput(job, measure, (member(3), member(4))).plots()
    assert [[line.name for line in plot.lines] for plot in alone] == [
        ["measured", "perfect calibration"], ["right", "wrong"],
    ]  # fmt: skip
    assert [[line.full for line in plot.lines] for plot in both] == [
        ["seed 3 measured", "perfect calibration", "seed 4 measured"],
        ["seed 3 right", "seed 3 wrong", "seed 4 right", "seed 4 wrong"],
    ]
    measured = [line.y for line in both[0].lines if not line.reference]
    assert measured == [(1.0, 1.0), (0.0, 1.0)]
