"""Checkpoints over their epoch: which charts there are, and that every number is the log's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from vision_evals import log
from vision_evals.log import Verdict
from vision_evals.report.colours import coloured
from vision_evals.report.series import SeriesTrend
from vision_evals.report.series import trends as trends_of

Read = Callable[[log.Run], Any]


def trends(run: log.Run) -> tuple[SeriesTrend, ...]:
    return trends_of(run, coloured(card.alias for card in run.classifiers))


def member(
    runs: ModuleType, alias: str, hits: int | None, *, judged: bool = True, at: Sequence[str] = ()
) -> log.Item:
    """Return an item with a top-1 accuracy of so many hits of 20, at points of an axis if any."""
    metrics: tuple[log.Metric, ...] = ()
    held: tuple[log.Judgement, ...] = ()
    if hits is not None:
        metrics = tuple(runs.share("top1_accuracy", hits, at=point) for point in at or (None,))
        metrics += (
            log.Metric(
                name="nll", value=3 - hits / 10, unit="nats", n=20, denominator="images",
                higher_is_better=False, about="Mean negative log-likelihood.",
            ),
        )  # fmt: skip
        held = (runs.judgement(metrics[0], 0.5, Verdict.PASSED),) if judged else ()
    return log.Item(
        id=f"a.toml::c[{alias}]", suite="a.toml", check="c", classifier=alias, measure="accuracy",
        verdict=Verdict.PASSED if hits is not None else Verdict.INVALID,
        sentence=f"{alias}: weights of another network", metrics=metrics, judgements=held,
    )  # fmt: skip


def run_of(
    runs: ModuleType, series: Mapping[str, Mapping[float, int | None]], **more: Any
) -> log.Run:
    """Return a run of series: name to place to hits; the aliases say the epoch."""
    told = [(n, place, hits) for n, every in series.items() for place, hits in every.items()]
    cards = [
        runs.classifier(f"{name}-epoch_{place:g}", series=name, place=place, epoch=place)
        for name, place, _ in told
    ]
    items = [member(runs, f"{name}-epoch_{place:g}", hits, **more) for name, place, hits in told]
    run: log.Run = runs.make_run(*items)
    return run.model_copy(update={"classifiers": tuple(cards)})


def test_each_metric_over_the_epoch(runs: ModuleType) -> None:
    hits: dict[float, int | None] = {10: 17, 1: 5, 2: 19}
    (trend,) = trends(run_of(runs, {"net": hits}))
    (judged,), (further,) = trend.judged, trend.further
    assert (judged.title, further.title) == ("top1_accuracy", "nll")
    assert (judged.x_label, judged.heads) == ("epoch", ("1", "2", "10"))
    (trace,) = judged.traces
    assert [(spot.x, spot.y) for spot in trace.spots] == [(1, 0.25), (2, 0.95), (10, 0.85)]
    for spot, hit in zip(trace.spots, (5, 19, 17), strict=True):
        metric = runs.share("top1_accuracy", hit)
        assert (spot.low, spot.high) == (metric.low, metric.high)
    assert [flag.label for flag in judged.flags] == ["best"]
    assert [flag.x for flag in judged.flags] == [2]
    assert [flag.x for flag in further.flags] == [2], "the lowest is best"
    assert "confirm it on other images" in judged.about
    assert "Lower is better." in further.about
    assert "n = 20, counts images" in judged.about
    assert "No interval" not in judged.about
    cells = judged.columns[0].cells
    assert re.fullmatch(r"0.25 \(0\.\d+ to 0\.\d+\)", cells[0])


def test_several_series_and_points_of_an_axis(runs: ModuleType) -> None:
    two: dict[str, dict[float, int | None]] = {"a": {1: 5, 2: 6}, "b": {1: 7, 2: 9, 3: 9}}
    (trend,) = trends(run_of(runs, two))
    assert [trace.classifier for trace in trend.judged[0].traces] == ["a", "b"]
    assert len({trace.colour for trace in trend.judged[0].traces}) == 2
    assert trend.judged[0].flags == ()
    points = ["0", "1/255", "2/255", "4/255", "8/255", "16/255"]
    (trend,) = trends(run_of(runs, {"a": {1: 5, 2: 6}}, at=points))
    (frame,) = trend.judged
    assert [trace.name for trace in frame.traces] == ["at 0", "at 2/255", "at 4/255", "at 16/255"]
    assert "Drawn at 4 of 6 points of its axis." in frame.about
    (trend,) = trends(run_of(runs, two, at=points[:2]))
    assert [one.title for one in trend.judged] == ["top1_accuracy at 0", "top1_accuracy at 1/255"]


def test_without_expectations_every_metric_is_open(runs: ModuleType) -> None:
    (trend,) = trends(run_of(runs, {"a": {1: 5, 2: 6}}, judged=False))
    assert [frame.title for frame in trend.judged] == ["top1_accuracy", "nll"]
    assert trend.further == ()


def test_positions_are_no_epochs(runs: ModuleType) -> None:
    run = run_of(runs, {"a": {12: 5, 13: 6}})
    cards = [
        card.model_copy(update={"place": place, "epoch": None})
        for card, place in zip(run.classifiers, (1.0, 2.0), strict=True)
    ]
    (trend,) = trends(run.model_copy(update={"classifiers": tuple(cards)}))
    assert trend.judged[0].x_label == "place in the series"


def test_a_checkpoint_without_numbers_is_named(runs: ModuleType, read: Read) -> None:
    run = run_of(runs, {"net": {1: 5, 2: None, 3: 8}})
    (trend,) = trends(run)
    assert trend.absent == ("net-epoch_2: weights of another network",)
    assert trend.judged[0].columns[0].cells[1] == ""
    page = read(run)
    assert ("h2", "Over the series") in page.headings
    assert "#series" in page.attributes("href")
    assert "weights of another network" in page.text


def test_what_is_no_trend(runs: ModuleType, read: Read, tmp_path: Path) -> None:
    assert trends(run_of(runs, {"net": {1: 5}})) == ()
    assert trends(run_of(runs, {"net": {1: None, 2: None}}))[0].judged == ()
    assert trends(run_of(runs, {"net": {1: 5, 2: 5}}))[0].judged[0].flags == (), "none is best"
    plain = runs.make_run(runs.accuracy_item(tmp_path, "alexnet", 12, 17))
    assert trends(plain) == ()
    assert "Over the series" not in read(plain).text


def test_hostile_names(runs: ModuleType, read: Read) -> None:
    page = read(run_of(runs, {"<script>alert(1)</script>\x1b": {1: 5, 2: 6, 1e300: None}}))
    assert page.tags.count(("script", {"type": "module"})) == 2, "ours"
    assert "\x1b" not in page.html


def test_a_gap_below_zero_is_seen(runs: ModuleType) -> None:
    def gap(value: float) -> log.Metric:
        return log.Metric(
            name="gap", value=value, unit="fraction", n=20, denominator="images",
            reason=f"the median of 2 trainings: {value}", spread=(value, value),
        )  # fmt: skip

    run = run_of(runs, {"net": {1: 5, 2: 6}})
    values = (-0.2, 0.1)
    items = (
        one.model_copy(update={"metrics": (gap(value),), "judgements": ()})
        for one, value in zip(run.items, values, strict=True)
    )
    ((frame,),) = (trend.judged for trend in trends(run.model_copy(update={"items": (*items,)})))
    assert not frame.share
    assert all(frame.up.holds(value) for value in values)
    assert not frame.clipped
    assert "No interval: a point is the median over seeds." in frame.about
