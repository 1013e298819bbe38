"""Charts: what is drawn is what the log says, held against Vega's own geometry."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import altair as alt
import pytest
import vl_convert

from vision_evals import log
from vision_evals.report import curves as view
from vision_evals.report import vega
from vision_evals.report.charts import charts
from vision_evals.report.plots import frames
from vision_evals.report.trainings import lessons

Read = Callable[[log.Run], Any]
COLOURS = {"a": "c0", "b": "c1", "c": "c2"}
HEIGHT = 240


def marks(spec: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return what Vega itself places, in pixels: every item of marks of a kind."""
    sized = {**spec, "width": 400}
    scene = vl_convert.vegalite_to_scenegraph(sized)["scenegraph"]

    def pass_record(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, dict):
            if node.get("marktype") == kind and str(node.get("name", "")).endswith("marks"):
                yield from (item for item in node["items"])
            for value in node.values():
                yield from pass_record(value)
        elif isinstance(node, list):
            for value in node:
                yield from pass_record(value)

    return list(pass_record(scene))


def item(plot: log.Plot, alias: str = "a") -> log.Item:
    return log.Item(
        id=f"s::c[{alias}]", suite="s", check="c", classifier=alias, measure="m",
        verdict=log.Verdict.RECORDED, sentence="recorded", plots=(plot,),
    )  # fmt: skip


def plot(*lines: log.Line, **more: Any) -> log.Plot:
    return log.Plot(title="t", x_label="x", y_label="y", lines=lines, **more)


def line(name: str = "one", *ys: float | None, **more: Any) -> log.Line:
    return log.Line(name=name, x=tuple(map(float, range(len(ys)))), y=ys, **more)


def drawn(*items: log.Item) -> dict[str, Any]:
    (frame,) = frames(items, COLOURS)
    return dict(vega.lines(frame).spec)


@pytest.mark.slow
def test_every_chart_of_a_page_is_valid_vega_lite_and_nothing_is_styled_in_it(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    pages = [read(runs.lecture(tmp_path)), read(runs.trained_run(tmp_path))]
    specs = [spec for page in pages for spec in page.specs]
    assert len(specs) > 20
    for spec in specs:
        alt.Chart.from_dict(spec, validate=True)
        vl_convert.vegalite_to_vega(spec)
        assert "config" not in spec, "the script's, one for all"
        assert spec["description"]
        assert "#" not in json.dumps(spec), "colours are the style's, by name"


def test_bars_reach_as_far_as_the_numbers(runs: ModuleType, tmp_path: Path) -> None:
    items = [runs.accuracy_item(tmp_path, alias, hits) for alias, hits in (("a", 14), ("b", 5))]
    chart = next(c for c in charts(items, {}, COLOURS) if c.metric == "top1_accuracy")
    spec = vega.bars(chart).spec
    bars = marks(spec, "rect")
    assert [bar["width"] for bar in bars] == pytest.approx([400 * 0.7, 400 * 0.25])
    assert [bar["fill"] for bar in bars] == ["var(--c0)", "var(--c1)"]
    ends = [(rule["x"], rule["x2"]) for rule in marks(spec, "rule") if rule["strokeWidth"] == 2]
    wanted = [(400 * bar.low, 400 * bar.high) for bar in chart.bars if bar.low and bar.high]
    assert [end for pair in ends for end in sorted(pair)] == pytest.approx(
        [end for pair in wanted for end in pair]
    )
    texts = [text["text"] for text in marks(spec, "text")]
    assert texts[0].startswith("a: 70 % (48 to 85 %), n = 20")


def test_human_bands_stand_behind_the_bars(runs: ModuleType, tmp_path: Path) -> None:
    chart = next(c for c in charts([runs.accuracy_item(tmp_path, "a", 14)], {}, COLOURS) if c.bands)
    first, second = marks(vega.bars(chart).spec, "rect")[:2]
    assert (first["x"], first["x"] + first["width"]) == pytest.approx((400 * 0.937, 400 * 0.959))
    assert (second["x"], second["x"] + second["width"]) == pytest.approx((400 * 0.835, 400 * 0.914))


def test_a_sweep_is_drawn_in_powers_and_on_demand_to_scale(
    runs: ModuleType, tmp_path: Path
) -> None:
    hits = (17, 11, 7, 3, 1, 0, 0, 2)
    one = runs.fgsm_item(tmp_path, "a", metrics=runs.fgsm_metrics(hits), pictures=())
    sweep = next(s for s in view.sweeps([one], COLOURS) if len(s.quantities) == 3)
    drawing = vega.curves(sweep.plots[0], sweep)
    assert drawing.channel == "x"
    assert [kind for kind, _ in drawing.types] == ["symlog", "linear"]
    points = marks(drawing.spec, "symbol")
    robust = [p for p in points if p["shape"] == "circle"]
    assert [p["y"] for p in robust] == pytest.approx([HEIGHT * (1 - h / 20) for h in hits])
    assert [p["x"] for p in robust] == sorted(p["x"] for p in robust)
    assert {p["fill"] for p in points} == {"var(--c0)"}
    labels = [text["text"] for text in _axis_texts(drawing.spec)]
    assert {"0", "1/255", "16/255"} <= set(labels)


def _axis_texts(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def pass_record(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("marktype") == "text":
                found.extend(node["items"])
            for value in node.values():
                pass_record(value)
        elif isinstance(node, list):
            for value in node:
                pass_record(value)

    pass_record(vl_convert.vegalite_to_scenegraph({**spec, "width": 600}))
    return found


def test_lines_break_where_a_number_is_missing_and_a_lone_one_is_seen() -> None:
    spec = drawn(item(plot(line("one", 0.5, 0.5, None, 1.0, None, 0.0, 0.0), share=True)))
    (row,) = spec["datasets"]["rows"]
    assert row["seen"] == [0, 0, 0, 1, 0, 0, 0]
    path = marks(spec, "line")
    assert [p.get("defined", True) for p in path] == [x not in {2, 4} for x in range(7)]


def test_several_networks_share_a_frame_with_colours_and_shapes() -> None:
    spec = drawn(item(plot(line("one", 1, 2)), "a"), item(plot(line("one", 2, 3)), "b"))
    points = marks(spec, "symbol")
    assert {p["fill"] for p in points} == {"var(--c0)", "var(--c1)"}
    assert {p["shape"] for p in points} == {"circle", "square"}


def test_a_reference_has_nobodys_colour() -> None:
    diagonal = log.Line(name="perfect", x=(0.0, 1.0), y=(0.0, 1.0), reference=True)
    spec = drawn(item(plot(line("one", 0.5, 0.6), diagonal, share=True)))
    strokes = {p["stroke"] for p in marks(spec, "line")}
    assert strokes == {"var(--c0)", "var(--soft)"}


def test_steps_hold_to_the_next_x_and_only_the_first_is_filled() -> None:
    art = line("art", 0.2, 0.8, None, steps=True)
    photographs = line("photographs", 0.6, 0.4, None, steps=True)
    spec = drawn(item(plot(art, photographs, share=True)))
    assert {p["interpolate"] for p in marks(spec, "line")} == {"step-after"}
    areas = marks(spec, "area")
    assert [p["y"] for p in areas] == pytest.approx([HEIGHT * (1 - y) for y in (0.2, 0.8, 0.8)])


def test_a_mark_says_its_word_once() -> None:
    where = (*tuple(log.Mark(x=x, label="returned") for x in (1, 2)), log.Mark(x=0, label="start"))
    spec = drawn(item(plot(line("loss", 3, 2, 1), marks=where)))
    assert sorted(rule["x"] for rule in marks(spec, "rule")) == pytest.approx([0, 200, 400])
    words = [text["text"] for text in marks(spec, "text") if text.get("text")]
    assert sorted(words) == ["returned", "start"]


def test_named_places_bear_their_names() -> None:
    spec = drawn(
        item(plot(line("dead", 0.0, 0.5, 1.0), ticks=("relu1", "relu2", 'x"];//'), share=True))
    )
    texts = [text["text"] for text in _axis_texts(spec)]
    assert {"relu1", "relu2", 'x"];//'} <= set(texts)


def test_dead_units_stand_by_layer_and_epoch(runs: ModuleType, tmp_path: Path) -> None:
    (lesson, *_) = lessons(
        runs.trained_run(tmp_path), dict.fromkeys(runs.ALIASES, "c0") | _all(runs, tmp_path)
    )
    grids = [course.grid for course in lesson.courses if course.grid is not None]
    for grid in grids:
        spec = vega.grid(grid).spec
        wanted = [v for _, values in grid.rows for v in values if v is not None]
        opacities = [rect["opacity"] for rect in marks(spec, "rect")]
        assert opacities == pytest.approx([0.04 + 0.96 * value for value in wanted])


def _all(runs: ModuleType, directory: Path) -> dict[str, str]:
    return {card.alias: "c1" for card in runs.trained_run(directory).classifiers}


@pytest.mark.parametrize(
    "attack", ["</script><script>alert(1)</script>", '"];alert(1);//', "{{7*7}}", "\u2028", "'"]
)
def test_hostile_words_stay_words(
    runs: ModuleType, tmp_path: Path, read: Read, attack: str
) -> None:
    hostile = plot(line(attack, 0.1, 0.2, 0.3), ticks=(attack, "b", "c"), share=True)
    hostile = hostile.model_copy(update={"title": attack, "marks": (log.Mark(x=1, label=attack),)})
    page = read(runs.make_run(runs.descent().model_copy(update={"plots": (hostile,)})))
    (spec,) = page.specs
    assert spec["datasets"]["rows"][0]["name"] == attack
    assert attack in [text.get("text") for text in _axis_texts(spec)]
    vl_convert.vegalite_to_vega(spec)


def test_a_bin_says_its_own_number_over_its_whole_width() -> None:
    lines = (
        log.Line(name=name, x=(0.0, 0.5, 1.0), y=(*ys, None), n=(20,) * 3, steps=True)
        for name, ys in (("art", (0.2, 0.8)), ("photographs", (0.6, 0.4)))
    )
    spec = drawn(item(plot(*lines)))
    bins = [(rule["x"], rule["x2"], rule["y"]) for rule in marks(spec, "rule")]
    wanted = [(0, 200, 0.2), (200, 400, 0.8), (0, 200, 0.6), (200, 400, 0.4)]
    assert [one for rule in bins for one in rule] == pytest.approx(
        [one for x, x2, y in wanted for one in (x, x2, HEIGHT * (1 - y / 0.8))]
    )
    telling = [one["mark"]["type"] for one in spec["layer"] if "tooltip" in one["encoding"]]
    assert telling == ["rule"], "lines and areas would tell of the nearest edge"


@pytest.mark.parametrize("ys", [(0.19, 0.21), (0.0002, 0.9)])
def test_an_area_stands_on_zero(ys: tuple[float, float]) -> None:
    spec = drawn(item(plot(line("art", *ys, None, steps=True))))
    areas = marks(spec, "area")
    assert [p["y"] + p["height"] for p in areas] == pytest.approx([HEIGHT] * 3)
    heights = [p["height"] for p in areas]
    assert heights[0] / heights[1] == pytest.approx(ys[0] / ys[1])


def test_a_plot_without_lines_is_an_empty_frame_with_one_voice() -> None:
    spec = drawn(item(plot()))
    legends = [
        channel.get("legend", "none said")
        for layer in spec["layer"]
        for name, channel in layer["encoding"].items()
        if name == "shape"
    ]
    assert legends == ["none said"], "two that differ make Vega complain"
    vl_convert.vegalite_to_vega(spec)


def test_a_line_that_leaves_its_frame_is_told_as_it_is_and_drawn_near() -> None:
    (frame,) = frames([item(plot(line("loss", 0.5, 1e30, None, -7.0), share=True))], COLOURS)
    assert frame.clipped
    spec = vega.lines(frame).spec
    (row,) = spec["datasets"]["rows"]
    assert row["y"] == [0.5, 2, None, -1]
    assert row["value"] == [0.5, 1e30, None, -7]
    told = spec["layer"][1]["encoding"]["tooltip"]
    assert "value" in [one["field"] for one in told]
    assert "y" not in [one["field"] for one in told]
    assert all(one["mark"].get("clip") for one in spec["layer"][:2])
