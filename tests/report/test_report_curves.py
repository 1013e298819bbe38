"""Metrics with an axis: which share a chart, where their points stand, and what the table folds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import log
from vision_evals.log import Verdict
from vision_evals.report import vega
from vision_evals.report.curves import DOTTED, sweeps

Read = Callable[[log.Run], Any]
COLOURS = {"a": "c0", "b": "c1", "squeezenet1_1_caffe": "c0", "efficientnet_lite0": "c1"}


def test_shares_of_the_same_images_stand_in_one_chart_a_classifier(
    runs: ModuleType, tmp_path: Path
) -> None:
    items = [runs.fgsm_item(tmp_path, alias) for alias in ("a", "b")]
    accuracy, success, confidence, p_value = sweeps(items, COLOURS)
    drawn = {q.metric.name: q.dash for q in accuracy.quantities}
    assert drawn == {
        "robust_accuracy": 0, "robust_accuracy_8bit": DOTTED, "noise_accuracy": 1,
    }  # fmt: skip
    assert [(plot.classifier, plot.colour) for plot in accuracy.plots] == [("a", "c0"), ("b", "c1")]
    shapes = [curve.shape for curve in accuracy.plots[0].curves if curve.whiskers]
    assert len(set(shapes)) == 2, "colour and dash are not the only signs"
    for alone in (success, confidence):
        (plot,) = alone.plots
        assert plot.classifier is None
        assert [curve.colour for curve in plot.curves] == ["c0", "c1"]
    assert not p_value.drawn, "a probability is no share of anything"


def test_points_stand_by_size(runs: ModuleType, tmp_path: Path) -> None:
    metrics = runs.fgsm_metrics((17, 11, 7, 3, 1, 0, 0, 2))
    item = runs.fgsm_item(tmp_path, "a", metrics=tuple(reversed(metrics)))
    sweep = next(s for s in sweeps([item], COLOURS) if len(s.quantities) == 3)
    assert sweep.ticks == runs.SWEEP
    assert sweep.numeric
    assert sweep.axis == "epsilons"
    curve = next(c for c in sweep.plots[0].curves if c.metric == "robust_accuracy")
    values = [point.value for point in curve.points]
    assert values == [hits / 20 for hits in (17, 11, 7, 3, 1, 0, 0, 2)]


def test_an_axis_of_words_keeps_the_order_of_the_log(runs: ModuleType, tmp_path: Path) -> None:
    metrics = tuple(runs.share("kept", hits, at=at) for at, hits in (("late", 3), ("early", 9)))
    item = runs.fgsm_item(tmp_path, "a", metrics=metrics, judgements=(), parameters={})
    (sweep,) = sweeps([item], COLOURS)
    assert sweep.ticks == ("late", "early")
    assert not sweep.numeric
    assert sweep.axis is None


def test_a_point_that_is_missing_has_its_reason(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    gone = log.Metric(
        name="kept", at="2", value=None, unit="fraction", n=0, denominator="images", reason="gone",
    )  # fmt: skip
    whole = [runs.share("kept", hits, at=at) for at, hits in (("0", 1), ("1", 2), ("3", 3))]
    item = runs.fgsm_item(tmp_path, "a", metrics=(*whole, gone), judgements=(), pictures=())
    page = read(runs.make_run(item))
    (spec,) = page.specs
    values = {row["at"]: row.get("value") for row in spec["datasets"]["rows"]}
    assert values == {"0": 0.05, "1": 0.1, "2": None, "3": 0.15}
    assert "gone" in page.text


def test_checks_of_one_measure_stand_side_by_side(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    run = runs.lecture(tmp_path)
    items = [item for item in run.items if item.measure == "targeted"]
    success, confidence, ssim = sweeps(items, COLOURS)
    assert [plot.checks for plot in success.plots] == ["iterative", "one-step"]
    shown = {curve.classifier for plot in success.plots for curve in plot.curves}
    assert shown == set(runs.ALIASES[:2])
    assert [q.dash for q in success.quantities] == [0, DOTTED]
    assert (confidence.drawn, ssim.drawn) == (True, False)
    headings = [text for _, text in read(run).headings]
    assert "iterative" not in headings, "the plots bear the names of the checks"


def test_checks_that_measured_the_same_share_a_plot(runs: ModuleType, tmp_path: Path) -> None:
    items = [
        runs.targeted_item(tmp_path, "a", check, (1, 2, 3)) for check in ("one", "two", "three")
    ]
    assert [plot.checks for plot in sweeps(items, COLOURS)[0].plots] == ["one, two and three"]


def test_one_point_of_an_axis_is_no_curve(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    metrics = (runs.share("robust_accuracy", 3, at="1/255"),)
    item = runs.fgsm_item(tmp_path, "a", metrics=metrics, judgements=(), pictures=())
    assert sweeps([item], COLOURS) == ()
    page = read(runs.make_run(item))
    assert page.text.count("robust_accuracy at 1/255") == 2, "a row of each table"


def test_every_number_of_a_curve_stands_in_a_table(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    page = read(runs.make_run(runs.fgsm_item(tmp_path, "a", pictures=())))
    tables = re.findall(r'<table class="points.*?</table>', page.html, re.S)
    table = runs.Page(tables[0]).text
    for at, hits in zip(runs.SWEEP, (17, 11, 7, 3, 1, 0, 0, 2), strict=True):
        assert re.search(rf"{at} 0?\.?{hits / 20:.2f} \(", table), at
    assert "logarithmic linear" in page.text, "a reader may choose"


def test_only_judged_points_stand_in_the_open(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    page = read(runs.make_run(runs.fgsm_item(tmp_path, "a", pictures=())))
    checks = page.text[page.text.index("All checks Value") :]
    checks = checks[: checks.index("median_flip_epsilon")]
    assert "robust_accuracy at 1/1020 0.35 (0.18 to 0.57)" in checks
    assert "robust_accuracy 7 more points recorded" in checks
    assert "noise_accuracy 8 points recorded" in checks
    assert "noise_p_value 8 points: 1 not applicable and 7 recorded" in checks


def test_folded_points_of_an_invalid_check_are_invalid(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    page = read(runs.make_run(runs.fgsm_item(tmp_path, "a", verdict=Verdict.INVALID, pictures=())))
    assert "7 more points: 7 invalid" in page.text
    assert "points recorded" not in page.text


@pytest.mark.parametrize("at", ["1e400", "1e999999999", "1/0", "nan", "-inf", "1/2/3", "one"])
def test_an_axis_that_cannot_be_drawn_is_one_of_words(
    runs: ModuleType, tmp_path: Path, at: str
) -> None:
    metrics = tuple(runs.share("kept", hits, at=at) for at, hits in ((at, 3), ("0.5", 9)))
    item = runs.fgsm_item(tmp_path, "a", metrics=metrics, judgements=(), parameters={})
    (sweep,) = sweeps([item], COLOURS)
    assert (sweep.ticks, sweep.numeric) == ((at, "0.5"), False)
    assert json.dumps(vega.curves(sweep.plots[0], sweep).spec, allow_nan=False)


def test_a_difference_of_shares_has_no_chart_that_would_hide_it(
    runs: ModuleType, tmp_path: Path
) -> None:
    gaps = tuple(
        runs.share("gap", 1, at=at).model_copy(update={"value": value, "low": None, "high": None})
        for at, value in (("1", -0.2), ("2", 0.1))
    )
    item = runs.fgsm_item(tmp_path, "a", metrics=gaps, judgements=(), parameters={})
    (sweep,) = sweeps([item], COLOURS)
    assert not sweep.drawn
    assert [point.value for point in sweep.plots[0].curves[0].points] == [-0.2, 0.1]


@pytest.mark.parametrize("word", ["1e400", "1e999999999", "1E+9_999_999", "9" * 5000])
def test_numbers_that_no_axis_holds_are_words(runs: ModuleType, tmp_path: Path, word: str) -> None:
    found = tuple(runs.share("robust_accuracy", 3, at=at) for at in ("0", word))
    item = runs.fgsm_item(tmp_path, "a", metrics=found, parameters={})
    (sweep,) = sweeps([item], COLOURS)
    assert not sweep.numeric
    assert sweep.ticks == ("0", word)
