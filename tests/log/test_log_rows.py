"""A table is held against its plan: every row exactly once, no other, and in its range."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals.core.errors import UserError
from vision_evals.log.rows import RowPlan, hold, read_bounded, require

IDS = ("a", "b", "c")
EPSILONS = ("0", "1/255")
PLAN = RowPlan(
    ("image", "epsilon"), IDS, EPSILONS, ("correct",), ("label", "top5"), classes=10
)  # fmt: skip


def table(**changes: Any) -> pa.Table:
    columns: dict[str, Any] = {
        "image": [image for image in IDS for _ in EPSILONS],
        "epsilon": [*EPSILONS] * len(IDS),
        "correct": [True, False] * 3,
        "label": [0, 0, 9, 9, 3, 3],
        "top5": [[1, 2]] * 6,
        "confidence": [0.0, 1.0, 0.5, 1 + 1e-7, float("nan"), None],
    }
    return pa.table({k: v for k, v in (columns | changes).items() if v is not None})


def test_what_was_planned_is_held() -> None:
    assert hold(table(), PLAN) is None
    order = np.random.default_rng(0).permutation(6)
    assert hold(table().take(order), PLAN) is None
    assert hold(table(), RowPlan(("image", "epsilon"), 3)) is None
    assert hold(table(), RowPlan(("image", "epsilon"))) is None
    assert PLAN.rows == 6
    assert RowPlan(("image",), IDS).rows == 3
    assert RowPlan(("layer",)).rows is None


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        (pa.concat_tables([table(), table()]), "image a, epsilon 0 is there 2 times"),
        (table().slice(0, 0), "of the images, 3 missing (a, b, c)"),
        (table().slice(0, 5), "not every image has each of the 2 values of epsilon"),
        (table().slice(0, 4), "of the images, 1 missing (c)"),
        (table(image=[*"aabbdd"]), "of the images, 1 missing (c), 1 not planned (d)"),
        (table(image=[*"aabb", None, None]), "2 rows have no image"),
        (table(epsilon=["0", "2/255"] * 3), "of epsilon, 1 missing (1/255), 1 not planned (2/255)"),
        (table(correct=None), "it has no column correct"),
        (table(label=[-1] * 6), "label holds -1, no class index"),
        (table(label=["ant"] * 6), "label holds string, no class index"),
        (table(top5=[[1, 10]] * 6), "top5 holds 10, no class index"),
        (table(confidence=[1.01] * 6), "confidence holds 1.01, no probability"),
        (table(confidence=[float("-inf")] * 6), "confidence holds -inf, no probability"),
        (pa.table([[1], [2]], names=["image", "image"]), "it has no column epsilon"),
    ],
)
def test_each_difference_is_said(spoilt: pa.Table, says: str) -> None:
    assert hold(spoilt, PLAN) == says
    with pytest.raises(UserError, match=r"^here: .*; again$"):
        require(spoilt, PLAN, "here", "again")


def test_a_column_that_is_there_twice_is_no_column() -> None:
    assert hold(pa.table([["a"], ["b"]], names=["image", "image"]), RowPlan(("image",))) == (
        "it has twice the column image"
    )


@given(st.lists(st.sampled_from("abcde"), max_size=7), st.sets(st.sampled_from("abcde")))
def test_only_each_exactly_once_is_held(found: list[str], planned: set[str]) -> None:
    rows = pa.table({"image": pa.array(found, pa.string())})
    assert (hold(rows, RowPlan(("image",), planned)) is None) == (sorted(found) == sorted(planned))
    counted = hold(rows, RowPlan(("image",), len(planned))) is None
    assert counted == (len(set(found)) == len(found) == len(planned))


def large(values: pa.Array) -> io.BytesIO:
    content = io.BytesIO()
    pq.write_table(pa.table({"image": values}), content, compression="zstd")
    assert content.tell() < 200_000
    content.seek(0)
    return content


def test_a_small_file_of_many_values_is_refused_before_it_is_read() -> None:
    many = 1_100_000
    flat = pa.DictionaryArray.from_arrays(pa.array(np.zeros(many, np.int8)), pa.array(["a"]))
    lists = pa.ListArray.from_arrays(pa.array([0, many], pa.int32()), flat)
    for values in (flat, lists):
        with pytest.raises(ValueError, match=r"it holds 1,100,000 values, more than 1,000,000"):
            read_bounded(large(values), RowPlan(("image",), IDS).most)
        assert read_bounded(large(values)).num_rows == len(values)  # nobody knows the plan


def test_long_texts_are_refused_before_they_are_copied() -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 600, pa.int32()), pa.array(["a" * 10**6]))
    lists = pa.ListArray.from_arrays(pa.array([0, 600], pa.int32()), texts)
    for values in (texts, lists):
        with pytest.raises(ValueError, match="up to 600,000,000 bytes of text, more than 500,000"):
            read_bounded(large(values))


def test_every_kind_of_column_is_read_as_it_was_written() -> None:
    written = pa.table(
        {
            "image": ["a", "b", None],
            "accepted": [["x"], [], ["y", "z"]],
            "bytes": [b"1", b"", None],
            "n": [1, 2, 3],
            "none": pa.nulls(3),
            "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
        }
    )
    content = io.BytesIO()
    pq.write_table(written, content)
    assert read_bounded(content).equals(written)


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"nothing")
    with pytest.raises((OSError, pa.ArrowException)):
        read_bounded(tmp_path / "x.parquet")
