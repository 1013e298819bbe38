"""Whatever stands in a log, the page shows it and obeys none of it."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from vision_evals import log, report
from vision_evals.report import files

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "]]><!--<b>",
    "javascript:alert(1)",
]

SCRIPTS = ({"type": "module"}, {"class": "spec", "type": "application/json"})
"""Attributes of the scripts that a page has; the second kind is data."""

HARMLESS = "(harmless)"
"""Beside it: the page knows some names, such as those of measures, and any text behind them makes
others of them."""


def poison(value: Any, attack: str, name: str = "") -> Any:
    """Return the value with the attack appended to every free text in it."""
    if isinstance(value, BaseModel):
        fields = {n: poison(getattr(value, n), attack, n) for n in type(value).model_fields}
        return type(value).model_validate(fields)
    if isinstance(value, dict):
        return {key + attack: poison(item, attack) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(poison(item, attack, name) for item in value)
    # Closed words stay, and what decides the shape of the page: files must still be found, and
    # shares of images still be charts.
    closed = {"verdict", "status", "outcome", "sample", "severity", "cost", "precision"}
    closed |= {"decoder", "layout", "side", "step"}
    closed |= {"unit", "method"}
    if isinstance(value, str) and name not in closed | {"table", "file", "image", "class_names"}:
        return value + attack
    return value


@pytest.mark.parametrize("attack", ATTACKS)
def test_texts_of_the_log_never_become_markup(
    runs: ModuleType, tmp_path: Path, attack: str
) -> None:
    items = runs.every_verdict(tmp_path)
    clean = runs.make_run(*items)
    names = tuple(name + attack for name in runs.CLASS_NAMES)
    dirty = poison(clean, attack)
    clean = poison(clean, HARMLESS)
    cards = tuple(card.model_copy(update={"class_names": names}) for card in dirty.classifiers)
    dirty = dirty.model_copy(update={"classifiers": cards})
    before, after = (runs.Page(report.render(run, tmp_path)) for run in (clean, dirty))
    assert [tag for tag, _ in after.tags] == [tag for tag, _ in before.tags]
    assert {name for _, a in after.tags for name in a} == {
        name for _, a in before.tags for name in a
    }, "the same attributes"
    assert all(href.startswith("#") for href in after.attributes("href"))
    for text in (dirty.id, dirty.command, dirty.suites[0].title, dirty.items[0].check):
        assert " ".join(text.split()) in after.text
    assert any(attack in alt for alt in after.attributes("alt"))


@pytest.mark.parametrize("attack", ATTACKS)
def test_plots_and_recipes_never_become_markup(
    runs: ModuleType, tmp_path: Path, attack: str
) -> None:
    clean = runs.trained_run(tmp_path)
    # Of one recipe the keys stay as they are, and only their values are hostile.
    recipe = {"data": "d", "init": attack, "optimizer": {"name": attack, "lr": 0.1}, attack: None}
    spoilt = runs.taught("spoilt", recipe=recipe)
    clean = clean.model_copy(update={"classifiers": (*clean.classifiers, spoilt)})
    dirty = poison(clean, attack)
    before, after = (runs.Page(report.render(run, tmp_path)) for run in (clean, dirty))
    assert {tag for tag, _ in after.tags} == {tag for tag, _ in before.tags}
    names = {name for _, attributes in after.tags for name in attributes}
    assert names == {name for _, attributes in before.tags for name in attributes}
    assert all(href.startswith("#") for href in after.attributes("href"))
    (layers, *_), *_, steps, responses = (item.plots for item in dirty.items)
    small, *_ = dirty.classifiers
    for text in (
        layers.title, layers.about, layers.x_label, layers.y_label, layers.ticks[0],
        layers.lines[0].name, steps[0].lines[1].name,
        f"optimizer{attack}", f"sgd{attack}", small.trainings[0].data,
        dirty.classifiers[2].trainings[0].diverged, small.network,
    ):  # fmt: skip
        assert " ".join(text.split()) in after.text, text
    labels = [row["label"] for spec in after.specs for row in spec["datasets"].get("flags", ())]
    assert responses[0].marks[0].label in labels


def table(directory: Path, **columns: list[Any]) -> str:
    pq.write_table(pa.table({"image": ["a"], **columns}), directory / "t.parquet")
    return "t.parquet"


def shown(runs: ModuleType, directory: Path, file: str) -> Any:
    picture = log.Picture(image="a", file="p.webp", sample="worst", caption="c")
    item = runs.accuracy_item(directory, "net", pictures=(picture,), table=file)
    return runs.Page(report.render(runs.make_run(item), directory))


@pytest.mark.parametrize("confidence", [math.nan, math.inf, -math.inf])
def test_confidences_that_are_no_numbers_leave_the_filters_whole(
    runs: ModuleType, tmp_path: Path, confidence: float
) -> None:
    page = shown(runs, tmp_path, table(tmp_path, top5=[[1, 2]], top5_confidence=[[confidence] * 2]))
    (facets,) = page.attributes("data-facets")
    read = json.loads(facets, parse_constant=lambda word: pytest.fail(word))
    assert [facet["confidence"] for facet in read] == [0.0]


@pytest.mark.parametrize(
    "columns",
    [
        {"top5": [["x"]], "top5_confidence": [[0.5]]},
        {"top5": [[None, 1]], "top5_confidence": [[0.5, 0.4]]},
        {"top5": [[1]], "top5_confidence": [["much"]]},
        {"top5": [1], "label": ["x"]},
        {"top5": [[1]], "label": ["x"], "accepted": [{"a": 1}]},
    ],
)
def test_tables_of_other_types_are_named_or_say_nothing(
    runs: ModuleType, tmp_path: Path, columns: dict[str, list[Any]]
) -> None:
    page = shown(runs, tmp_path, table(tmp_path, **columns))
    assert "p.webp is missing" in page.text


def test_a_table_that_unpacks_to_too_many_rows_is_named(runs: ModuleType, tmp_path: Path) -> None:
    names = pa.DictionaryArray.from_arrays(np.zeros(files.MAX_TABLE_ROWS + 1, dtype="int32"), ["a"])
    pq.write_table(pa.table({"image": names}), tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 10_000
    page = shown(runs, tmp_path, "t.parquet")
    assert "t.parquet has more than 200,000 rows of the pictures shown" in page.text


def test_pipes_and_links_in_circles_are_not_waited_for(runs: ModuleType, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.webp")
    os.mkfifo(tmp_path / "t.parquet")
    page = shown(runs, tmp_path, "t.parquet")
    assert "p.webp is missing" in page.text
    assert "t.parquet is not a readable Parquet table" in page.text
    (tmp_path / "p.webp").unlink()
    (tmp_path / "p.webp").symlink_to("p.webp")
    assert "p.webp is missing" in shown(runs, tmp_path, "t.parquet").text


def test_a_picture_of_no_end_is_not_read_to_it(tmp_path: Path) -> None:
    start = b"RIFF....WEBPVP8X" + bytes(14)
    with (tmp_path / "p.webp").open("wb") as stream:
        stream.write(start)
        stream.truncate(2**40)  # takes no room on the disk
    with pytest.raises(files.Missing, match="not a WebP picture"):
        files.picture(tmp_path, "p.webp")


def test_names_do_not_turn_the_text_round(runs: ModuleType, tmp_path: Path) -> None:
    item = runs.accuracy_item(tmp_path, "net\u202e")
    html = report.render(runs.make_run(item, command="pytest \u2066rm"), tmp_path)
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(html)


@pytest.mark.parametrize("attack", ATTACKS)
def test_names_of_files_never_become_markup(runs: ModuleType, tmp_path: Path, attack: str) -> None:
    picture = log.Picture(image=attack, file=attack, sample="worst", caption=attack)
    unreadable = log.Unreadable(image=attack, reason=attack)
    images = log.ImageSet(role="r", source=attack, n=1, total=2, unreadable=(unreadable,))
    item = runs.accuracy_item(tmp_path, "a", pictures=(picture,), table=attack)
    page = runs.Page(report.render(runs.make_run(item, image_sets=(images,)), tmp_path))
    assert "img" not in {tag for tag, _ in page.tags}
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert all(one in SCRIPTS for one in scripts), "ours"
    assert " ".join(attack.split()) in page.text
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]
