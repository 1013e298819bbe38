"""Frames of a run against loops over ``run.json`` and tables that share nothing with them."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.small_run import CLASSES, CORRECT, IMAGES, LABELS, TOP2, made, metric
from vision_evals import Run, UserError, Verdict, log, read
from vision_evals.log import frames

FORMAT_1 = Path(__file__).parents[1] / "report" / "format_1.json"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made(tmp_path / "runs" / "first")
    return read(tmp_path / "runs" / "first")


def by_loop(file: Path) -> list[tuple[object, ...]]:
    """Return what `Run.metrics` should say, from the file alone."""
    found: list[tuple[object, ...]] = []
    for item in json.loads(file.read_text("utf-8"))["items"]:
        about, left = (item["suite"], item["check"], item["classifier"]), list(item["judgements"])
        for m in item["metrics"]:
            held = [j for j in left if (j["metric"], j["at"]) == (m["name"], m["at"])]
            left = [j for j in left if j not in held]
            for j in held or [{"threshold": None, "verdict": "recorded"}]:
                number = (m["value"], m["low"], m["high"], m["n"])
                found.append(
                    (*about, m["name"], m["axis"], m["at"], *number, j["threshold"], j["verdict"])
                )
        for j in left:
            lost = (j["metric"], None, j["at"], j["value"], None, None, None)
            found.append((*about, *lost, j["threshold"], j["verdict"]))
        if not item["metrics"] and not item["judgements"]:
            found.append((*about, *[None] * 8, item["verdict"]))
    return found


def cells(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    """Return rows in which everything that is absent is None."""
    return [
        tuple(None if pd.isna(value) else value for value in row)
        for row in frame.itertuples(index=False, name=None)
    ]


FIRST = [
    *("suite", "check", "model", "metric", "axis", "at", "value", "low", "high", "n"),
    "threshold",
]


def test_metrics_equal_a_loop_over_the_log(run: Run) -> None:
    frame = run.metrics
    assert list(frame)[:12] == [*FIRST, "verdict"]
    assert cells(frame[[*FIRST, "verdict"]]) == by_loop(run.path / "run.json")
    assert len(frame) == 5 + 1 + 1 + 1 + 1
    assert set(frame["run"]) == {"first"}


def test_a_real_log_of_an_older_format() -> None:
    run = read(FORMAT_1)
    data = json.loads(FORMAT_1.read_text("utf-8"))
    assert data["version"] == 1
    data["items"] = [{"judgements": [], "metrics": []} | item for item in data["items"]]
    for item in data["items"]:
        item["metrics"] = [
            {"axis": None, "at": None, "low": None, "high": None} | m for m in item["metrics"]
        ]
        item["judgements"] = [{"at": None} | j for j in item["judgements"]]
    assert cells(run.metrics[[*FIRST, "verdict"]]) == by_loop_of(data)
    assert len(run.metrics) == 3


def by_loop_of(data: object) -> list[tuple[object, ...]]:
    class Text:
        def read_text(self, _: str) -> str:
            return json.dumps(data)

    return by_loop(Text())  # type: ignore[arg-type]


def test_a_metric_on_an_axis_names_it(run: Run) -> None:
    first = run.items[0]
    at = metric("accuracy", 0.5).model_copy(update={"axis": "epsilons", "at": "1/255"})
    item = first.model_copy(update={"metrics": (at, metric("loss", 1.0)), "judgements": ()})
    frame = frames.metrics(run.log.model_copy(update={"items": (item,)}))
    assert cells(frame[["metric", "axis", "at"]]) == [
        ("accuracy", "epsilons", "1/255"),
        ("loss", None, None),
    ]


def test_a_gate_and_a_recipe_keep_their_numbers(run: Run) -> None:
    frame = run.metrics
    (gate,) = frame[frame["of"] == "baseline"].to_dict("records")
    numbers = [gate[k] for k in ("margin", "difference", "difference_low", "difference_high")]
    assert numbers == [-0.01, -0.25, -0.5, 0.1]
    assert frame["spread"].map(list).tolist().count([0.2, 0.25, 0.3]) == 1


def test_columns_and_types_do_not_depend_on_what_is_in_a_run(run: Run) -> None:
    empty = run.log.model_copy(update={"items": (), "image_sets": ()})
    assert frames.metrics(empty).dtypes.to_dict() == run.metrics.dtypes.to_dict()
    assert list(frames.images(empty, run.path)) == list(frames.IMAGES)
    assert run.metrics.dtypes["n"] == "Int64"
    assert run.metrics.dtypes["value"] == "float64"


def test_rows_are_those_of_the_table_with_names_of_classes(run: Run) -> None:
    frame, table = run.rows("colors", "one"), pq.read_table(run.path / "tables" / "colors.parquet")
    for name in table.column_names:
        for ours, stored in zip(frame[name], table.column(name).to_pylist(), strict=True):
            same = list(ours) == stored if isinstance(stored, list) else ours == stored
            assert same or (math.isnan(ours) and stored is None)
    assert frame["label_name"].tolist() == [CLASSES[label] for label in LABELS]
    assert frame["top5_names"].tolist() == [[CLASSES[i] for i in top] for top in TOP2]
    assert frame["accepted_names"].tolist() == [[CLASSES[label]] for label in LABELS]
    assert list(frame)[:5] == ["suite", "check", "model", "image", "label"]
    assert set(frame["model"]) == {"one"}
    top1 = run.metrics.query("metric == 'top1_accuracy' and model == 'one'")["value"].unique()
    assert [frame["correct1"].mean()] == top1.tolist() == [sum(CORRECT) / len(CORRECT)]


def test_rows_of_all_models_stand_one_below_the_other(run: Run) -> None:
    both = run.rows("colors")
    assert both["model"].tolist() == ["one"] * 4 + ["two"] * 4
    assert both["image"].tolist() == [*IMAGES, *IMAGES]


def test_a_log_that_does_not_say_which_columns_hold_classes(run: Run) -> None:
    old = run.log.items[0].model_copy(update={"class_columns": None})
    assert frames.rows(run.log, run.path, old)["top5_names"][0] == [CLASSES[0], CLASSES[1]]
    none = old.model_copy(update={"class_columns": ()})
    assert "top5_names" not in frames.rows(run.log, run.path, none)


def test_an_index_without_a_name_has_none(run: Run) -> None:
    cards = [c.model_copy(update={"class_names": CLASSES[:1]}) for c in run.log.classifiers]
    frame = frames.rows(
        run.log.model_copy(update={"classifiers": tuple(cards)}), run.path, run.items[0]
    )
    assert frame["label_name"].isna().tolist() == [False, True, True, False]
    assert frame["top5_names"][1] == [None, None]


def test_columns_of_a_users_own_are_not_overwritten(run: Run) -> None:
    file = run.path / "tables" / "colors.parquet"
    table = pd.read_parquet(file).assign(model="mine", label_name="own")
    table.to_parquet(file, index=False)
    frame = run.rows("colors", "one")
    assert set(frame["model"]) == {"mine"}
    assert set(frame["label_name"]) == {"own"}


def test_images_are_named_once_and_unreadable_ones_are_there(run: Run) -> None:
    frame = run.images
    assert frame["image"].tolist() == [*IMAGES, "e.png"]
    assert cells(frame[["label", "label_name"]])[:4] == [(i, CLASSES[i]) for i in LABELS]
    assert frame["unreadable"].isna().tolist() == [True] * 4 + [False]
    assert cells(frame[["title"]]) == [(None,)] * 3 + [("D",), (None,)]
    assert set(frame["images"]) == {"photographs"}


def test_images_of_networks_with_other_classes_have_a_row_for_each(run: Run) -> None:
    one, two = run.log.classifiers
    classes = {"class_map": "other", "class_count": 3, "class_names": ("x", "y", "z")}
    other = two.model_copy(update=classes)
    frame = frames.images(run.log.model_copy(update={"classifiers": (one, other)}), run.path)
    assert frame["image"].tolist() == [*IMAGES, *IMAGES, "e.png"]
    assert frame["label_name"].tolist()[4:8] == ["xyz"[label] for label in LABELS]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("colour",), 'there is no check "colour"; did you mean "colors"'),
        (("colors", "three"), 'there is no classifier "three"; known are one, two'),
        (("gone",), 'several suites have a check "gone": suites/a.toml, suites/b.toml'),
        (("gone", None, "c.toml"), 'no suite "c.toml" has a check "gone"'),
        (("gone", None, "a.toml"), r"gone\[one\] has no rows: not here"),
    ],
)
def test_what_is_not_there_is_said(run: Run, arguments: tuple[str, ...], says: str) -> None:
    check, model, suite = (*arguments, None, None)[:3]
    with pytest.raises(UserError, match=says):
        run.rows(str(check), model, suite=suite)
    assert len(run.rows("gone", suite="b.toml")) == 4


@pytest.mark.parametrize("file", ["../../outside.parquet", "/etc/hostname", "tables/../../x"])
def test_a_table_outside_of_the_run_is_refused(run: Run, file: str) -> None:
    made(run.path.parent.parent / "outside")
    item = run.items[0].model_copy(update={"table": file})
    with pytest.raises(UserError, match="is outside the run; its log was changed"):
        frames.rows(run.log, run.path, item)
    with pytest.raises(UserError, match="is outside the run"):
        frames.images(run.log.model_copy(update={"items": (item,)}), run.path)


@pytest.mark.parametrize("kind", ["missing", "damaged", "folder", "pipe", "loop"])
def test_a_table_that_cannot_be_read_is_named(run: Run, kind: str) -> None:
    file = run.path / "tables" / "colors.parquet"
    file.unlink()
    if kind == "damaged":
        file.write_bytes(b"PAR1 no")
    elif kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "loop":
        file.symlink_to(file.name)
    with pytest.raises(
        UserError, match=r"colors\[one\]: tables/colors.parquet is (missing|damaged)"
    ):
        run.rows("colors", "one")


# The run


def test_a_run_says_where_it_is_and_what_it_came_to(run: Run) -> None:
    first, *_ = repr(run).splitlines()
    assert first == f"<Run {run.path}: 1 failed, 2 recorded, 1 unavailable, exit code 1>"
    assert (run.verdict, run.exit_code, run.passed) == (Verdict.FAILED, 1, False)
    assert run.report is None
    (run.path / "report.html").touch()
    assert read(run.path).report == run.path / "report.html"
    assert run.items == run.log.items == log.read(run.path).items


def test_every_way_to_name_a_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.path.parent)
    Path("latest").symlink_to("first")
    same = [read(p) for p in ("latest", Path("first"), run.path / "run.json", "./first/run.json")]
    assert {one.path for one in same} == {run.path.resolve()}
    monkeypatch.setenv("HOME", str(run.path.parent))
    assert read("~/first").path == run.path.resolve()


def test_a_baseline_is_a_run(run: Run, tmp_path: Path) -> None:
    from vision_evals.verdict.baseline.accept import accept

    accept(run.path, tmp_path / "baseline", force=True)
    stored = read(tmp_path / "baseline")
    assert stored.rows("colors").equals(run.rows("colors"))
    assert stored.metrics["value"].equals(run.metrics["value"])


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nowhere", "no such run; name a folder that holds run.json"),
        ("null\0byte", "null"),
        ("loop", "loop"),
        ("file.txt", "not a readable run log"),
    ],
)
def test_a_path_that_holds_no_run(tmp_path: Path, path: str, says: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file.txt").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=says):
        read(f"{tmp_path}/{path}")


@pytest.mark.parametrize(
    ("verdict", "more", "code"),
    [
        (Verdict.PASSED, {}, 0),
        (Verdict.FAILED, {}, 1),
        (Verdict.INVALID, {}, 1),
        (Verdict.INCONCLUSIVE, {}, 1),
        (Verdict.RECORDED, {}, 5),
        (Verdict.UNAVAILABLE, {}, 5),
        (Verdict.NOT_APPLICABLE, {}, 5),
        (Verdict.PASSED, {"status": "interrupted"}, 2),
        (Verdict.PASSED, {"status": "running"}, 2),
        (Verdict.RECORDED, {"shard": "1/2"}, 0),
    ],
)
def test_exit_codes(run: Run, verdict: Verdict, more: dict[str, str], code: int) -> None:
    settings = run.log.settings.model_copy(update={"shard": more.get("shard")})
    only = run.items[0].model_copy(update={"verdict": verdict, "metrics": (metric("x", 1.0),)})
    status = more.get("status", "finished")
    update = {"items": (only,), "status": status, "settings": settings}
    log.write(run.log.model_copy(update=update), run.path)
    assert read(run.path).exit_code == code
    assert read(run.path).passed == (code == 0)
