"""Plots of the log: what shares a frame, how lines are told apart, and the numbers below."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import log
from vision_evals.report.plots import Frame, frames
from vision_evals.report.scales import SHARES

Read = Callable[[log.Run], Any]
COLOURS = {"a": "c0", "b": "c1", "pretrained": "c2", "quadratic": "c3"}


def plot(
    *names: str | tuple[int, str],
    title: str = "t",
    ys: tuple[float | None, ...] = (0.0, 1.0, 4.0),
    **more: Any,
) -> log.Plot:
    xs = tuple(map(float, range(len(ys))))
    told = [(None, name) if isinstance(name, str) else name for name in names]
    lines = tuple(log.Line(name=name, seed=seed, x=xs, y=ys) for seed, name in told)
    return log.Plot(title=title, x_label="step", y_label="loss", lines=lines, **more)


def drawn(*plots: tuple[str, log.Plot]) -> tuple[Frame, ...]:
    items = [
        log.Item(
            id=f"s::c[{alias}]", suite="s", check="c", classifier=alias, measure="m",
            verdict=log.Verdict.RECORDED, sentence="recorded", plots=(one,),
        )
        for alias, one in plots
    ]  # fmt: skip
    return frames(items, COLOURS)


def test_plots_of_one_title_share_a_frame() -> None:
    first, second = plot("loss", "bound"), plot("loss", "bound", ys=(1.0, 2.0))
    (frame,) = drawn(("a", first), ("b", second))
    assert [(t.colour, t.dash, t.name) for t in frame.traces] == [
        ("c0", 0, "loss"), ("c0", 1, "bound"), ("c1", 0, "loss"), ("c1", 1, "bound"),
    ]  # fmt: skip
    assert len({t.shape for t in frame.traces}) == 2, "classifiers differ without colour"
    assert frame.classifier is None
    other = plot("loss", title="another")
    assert [one.title for one in drawn(("a", first), ("a", other), ("b", second))] == [
        "t", "another",
    ]  # fmt: skip


def test_plots_on_other_places_stand_apart_on_one_y_axis() -> None:
    first = plot("dead", ticks=("relu1", "relu2", "relu3"))
    second = plot("dead", ticks=("stem", "head"), ys=(0.0, 9.0))
    one, two = drawn(("a", first), ("b", second))
    assert (one.classifier, two.classifier) == ("a", "b")
    assert one.up == two.up
    assert two.ticks == ("stem", "head")
    assert one.heads == ("relu1", "relu2", "relu3")


def test_more_names_than_dashes_are_told_apart_by_shapes_one_classifier_a_frame() -> None:
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    frames = drawn(("a", plot(*names)), ("b", plot(*names)))
    assert [frame.classifier for frame in frames] == ["a", "b"]
    for frame in frames:
        assert len({(trace.dash, trace.shape) for trace in frame.traces}) == 10


def test_seeds_are_thin_variants_of_one_line() -> None:
    lines = [(seed, word) for word in ("train", "test") for seed in range(5)]
    names = [f"seed {seed} {word}" for seed, word in lines]
    (frame,) = drawn(("a", plot(*lines)))
    assert [t.name for t in frame.traces] == (
        ["train, seeds 0 to 4"] * 5 + ["test, seeds 0 to 4"] * 5
    )
    assert [t.full for t in frame.traces] == names
    assert [t.dash for t in frame.traces] == [0] * 5 + [1] * 5
    assert all(trace.thin for trace in frame.traces)
    assert [column.name for column in frame.columns] == names
    (bare,) = drawn(("a", plot((0, ""), (3, ""), (7, ""), "seeded")))
    assert [t.name for t in bare.traces] == ["seeds 0, 3 and 7"] * 3 + ["seeded"]
    assert [trace.thin for trace in bare.traces] == [True, True, True, False]


def test_spots_are_the_numbers_of_the_log() -> None:
    line = log.Line(
        name="share", x=(0.0, 1.0, 2.0), y=(0.5, None, 0.96),
        low=(0.4, None, 0.9), high=(0.6, None, 1.0),
    )  # fmt: skip
    one = log.Plot(title="t", x_label="x", y_label="y", lines=(line,), share=True)
    (frame,) = drawn(("a", one))
    (trace,) = frame.traces
    assert [(s.x, s.y, s.low, s.high) for s in trace.spots] == [
        (0, 0.5, 0.4, 0.6), (1, None, None, None), (2, 0.96, 0.9, 1.0),
    ]  # fmt: skip
    assert frame.columns[0].cells == ("0.5 (0.4 to 0.6)", "", "0.96 (0.9 to 1)")
    assert frame.up == SHARES
    assert not frame.clipped


def test_all_marks_are_kept_once() -> None:
    marks = (*tuple(log.Mark(x=x, label="returned") for x in (1, 2)), log.Mark(x=0, label="start"))
    (frame,) = drawn(("a", plot("loss", marks=(*marks, marks[0]))))
    assert [(flag.x, flag.label) for flag in frame.flags] == [
        (1, "returned"), (2, "returned"), (0, "start"),
    ]  # fmt: skip


def test_a_share_above_one_leaves_the_frame_and_is_said(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    item = runs.descent().model_copy(update={"plots": (plot("x", ys=(0.5, 1.2), share=True),)})
    page = read(runs.make_run(item))
    assert "A line that leaves the frame goes on beyond its axis" in page.text


def test_lines_of_other_lengths_and_no_lines_at_all(runs: ModuleType, read: Read) -> None:
    ragged = (
        log.Line(name="short", x=(0.0, 1.0), y=(1.0,)),
        log.Line(name="late", x=(5.0,), y=(2.0,)),
        log.Line(name="empty", x=(), y=()),
        log.Line(name="null", x=(0.0,), y=(None,)),
    )
    plots = (
        log.Plot(title="ragged", x_label="x", y_label="y", lines=ragged),
        log.Plot(title="bare", x_label="x", y_label="y", lines=()),
    )
    page = read(runs.make_run(runs.descent().model_copy(update={"plots": plots})))
    assert "ragged" in page.text
    assert "bare" in page.text


def test_a_check_without_images_on_no_classifier_of_the_log(runs: ModuleType, read: Read) -> None:
    page = read(runs.make_run(runs.descent(), classifiers=(), image_sets=(), passes=()))
    assert "quadratic on descent" in page.text
    (spec,) = page.specs
    assert spec["layer"][0]["encoding"]["y"]["scale"]["type"] == "log"
    table = runs.Page(re.findall(r'<table class="numbers">.*?</table>', page.html, re.S)[0]).text
    assert table.startswith("loss step loss the bound 0 0.8 1 1 0.7016 0.88")


def test_figure_four_stands_below_its_picture(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    item = runs.response_item(tmp_path, "pretrained")
    page = read(runs.make_run(item))
    pictures = page.html[page.html.index('<section id="pictures"') :]
    assert pictures.count('<article class="tile') == 4
    assert pictures.count('class="drawing"') == 4
    tile = pictures[pictures.index("<article ") : pictures.index("</article>")]
    assert tile.index("<img ") < tile.index('class="drawing"')
    for word in ("airliner", "warplane", "gibbon", "crossing", "epsilon"):
        assert word in tile


def test_two_checks_with_the_same_plots_show_them_once(runs: ModuleType, read: Read) -> None:
    first = runs.descent()
    second = first.model_copy(update={"check": "again", "id": "suites/training.toml::again[q]"})
    page = read(runs.make_run(first, second))
    assert len(page.specs) == 1
    assert "Its numbers stand above." in page.text


@pytest.mark.parametrize("points_each", [400])
def test_hundreds_of_points_stay_small(runs: ModuleType, read: Read, points_each: int) -> None:
    def page(n: int) -> int:
        names = [(seed, "") for seed in range(5)]
        ys = tuple(1 / (1 + k) for k in range(n))
        item = runs.descent().model_copy(update={"plots": (plot(*names, ys=ys),)})
        return len(read(runs.make_run(item)).html.encode())

    assert (page(points_each) - page(2)) / (5 * points_each) < 240, "bytes a point, with its number"
