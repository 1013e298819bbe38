"""Tables and pictures: what a run leaves on the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vision_evals.engine import pictures, tables
from vision_evals.engine.tables import Axis, BatchRows
from vision_evals.measures.measure import Drawing


def part(first: int, n: int) -> BatchRows:
    ids = tuple(f"{i}.png" for i in range(first, first + n))
    values = torch.arange(first, first + n)
    padded = torch.stack([values, torch.where(values % 2 == 0, values, -1)], dim=1)
    return BatchRows(
        ids,
        {"accepted": padded},
        {
            "value": values.float(),
            "right": values % 2 == 0,
            "top": torch.stack([values.float()] * 3, dim=1),
        },
    )


def test_shards_join_in_order(tmp_path: Path) -> None:
    for index in range(12):
        tables.add_shard(tmp_path, "t", index, [part(10 * index, 4), part(10 * index + 4, 6)])
    rows = tables.merge(tmp_path, "t")
    assert rows is not None
    assert list(rows["image"]) == [f"{i}.png" for i in range(120)]
    assert rows["value"].tolist() == list(range(120))
    assert rows["right"].dtype == bool
    assert [list(a) for a in rows["accepted"][:3]] == [[0, 0], [1], [2, 2]]
    assert [list(a) for a in rows["top"][:2]] == [[0, 0, 0], [1, 1, 1]]
    assert list((tmp_path / "tables").iterdir()) == [tmp_path / tables.file("t")]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / tables.file("t")), rows)


def test_an_axis_makes_a_row_an_image_and_value(tmp_path: Path) -> None:
    values = torch.arange(6.0).reshape(3, 2)
    lists = torch.arange(12).reshape(3, 2, 2)
    known = {"label": torch.tensor([7, 8, 9])}
    axis = Axis("epsilon", ("0", "1/255"))
    part = BatchRows(("a", "b", "c"), known, {"value": values, "top": lists - 1}, axis)
    tables.add_shard(tmp_path, "t", 0, [part])
    rows = tables.merge(tmp_path, "t")
    assert rows is not None
    assert list(rows["image"]) == ["a", "a", "b", "b", "c", "c"]
    assert list(rows["epsilon"]) == ["0", "1/255"] * 3
    assert list(rows["label"]) == [7, 7, 8, 8, 9, 9]
    assert list(rows["value"]) == [0, 1, 2, 3, 4, 5]
    assert [list(top) for top in rows["top"][:2]] == [[-1, 0], [1, 2]]  # -1 is a value here


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_of_other_precisions(tmp_path: Path, kind: torch.dtype) -> None:
    """Of networks that compute in them; Parquet's reductions know no half precision."""
    values = torch.tensor([1 / 3, 2 / 3]).to(kind)
    join = tables.Join(("key",), {"value": "max"})
    parts = [BatchRows((), {}, {"key": np.array([1, 1]), "value": values}, None)]
    tables.add_shard(tmp_path, "t", 0, parts, join)
    rows = tables.merge(tmp_path, "t", join)
    assert rows is not None
    assert rows["value"].tolist() == [values.double().max().item()]


def test_nothing_to_join(tmp_path: Path) -> None:
    assert tables.merge(tmp_path, "t") is None


def test_a_half_written_shard_is_not_read(tmp_path: Path) -> None:
    tables.add_shard(tmp_path, "t", 0, [part(0, 3)])
    (tmp_path / "tables" / "t.shards" / "000001.part").write_bytes(b"PAR1 and then the power went")
    rows = tables.merge(tmp_path, "t")
    assert rows is not None
    assert len(rows) == 3


@given(st.text(max_size=100))
def test_slugs_are_harmless_file_names(text: str) -> None:
    slug = tables.slug(text)
    assert len(slug) <= 60
    assert not set(slug) & set('/\\:*?"<>| \0')
    assert not slug.startswith(".")


@given(st.integers(0, 8), st.lists(st.integers(0, 9), max_size=30))
def test_half_are_the_worst_and_half_a_fair_sample(count: int, values: list[int]) -> None:
    badness = pd.Series(values, index=[f"{i}.png" for i in range(len(values))], dtype=float)
    picked = pictures.pick(badness, count)
    assert len(picked) == min(count, len(values))
    worst = [image for image, sample in picked.items() if sample == "worst"]
    assert len(worst) == min(count // 2, len(values))
    if worst and len(worst) < len(values):
        assert badness[worst].min() >= badness.drop(worst).max()


def test_the_fair_sample_does_not_depend_on_the_values() -> None:
    ids = [f"{i}.png" for i in range(100)]
    one = pictures.pick(pd.Series(range(100), index=ids, dtype=float), 8)
    other = pictures.pick(pd.Series([0.0] * 100, index=ids), 8)
    fair = {image for image, sample in one.items() if sample == "fair"}
    assert fair & {image for image, sample in other.items() if sample == "fair"}


def test_a_picture_is_saved_as_it_was_seen(tmp_path: Path) -> None:
    pixels = torch.full((3, 8, 8), 100.4 / 255)
    (saved,) = pictures.save(
        [Drawing("a/<b>.png", pixels, "c")], {"a/<b>.png": "fair"}, tmp_path, "p"
    )
    with Image.open(tmp_path / saved.file) as picture:
        assert (picture.format, picture.size) == ("WEBP", (8, 8))
        assert np.asarray(picture.convert("RGB")) == pytest.approx(100, abs=2)
    assert saved.image == "a/<b>.png"
    assert "<" not in saved.file


JOIN = tables.Join(("layer", "unit"), {"positive": "sum", "highest": "max", "lowest": "min"})


def units(layers: list[str], unit: list[int], values: list[float]) -> BatchRows:
    found = torch.tensor(values)
    return BatchRows(
        (),
        {},
        {
            "layer": np.array(layers, dtype=object),
            "unit": torch.tensor(unit),
            "positive": (found > 0).long(),
            "highest": found,
            "lowest": found,
        },
    )


def test_rows_of_equal_keys_are_joined_over_batches_and_shards(tmp_path: Path) -> None:
    first = [
        units(["b", "b", "a"], [0, 1, 0], [1, -1, 5]),
        units(["b", "a"], [1, 0], [-3, -2]),  # a unit may be missing from a batch
    ]
    tables.add_shard(tmp_path, "t", 0, first, JOIN)
    tables.add_shard(tmp_path, "t", 1, [units(["a", "b"], [0, 0], [7, 2])], JOIN)
    rows = tables.merge(tmp_path, "t", JOIN)
    assert rows is not None
    assert rows.to_dict("list") == {
        "layer": ["b", "b", "a"],
        "unit": [0, 1, 0],
        "positive": [2, 0, 2],
        "highest": [2.0, -1.0, 7.0],
        "lowest": [1.0, -3.0, -2.0],
    }


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-9, 9, width=32)), min_size=1), st.data())
def test_no_cut_into_batches_changes_joined_rows(
    rows: list[tuple[int, float]], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(rows) - 1)), max_size=3)))
    pieces = [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    parts = [units(["l"] * len(p), [u for u, _ in p], [v for _, v in p]) for p in pieces if p]
    joined = JOIN(tables._unnamed(parts)).to_pandas().set_index("unit")
    expected = pd.DataFrame(rows, columns=["unit", "value"]).groupby("unit")["value"]
    for unit, values in expected:
        assert joined.loc[unit, "highest"] == np.float32(values.max())
        assert joined.loc[unit, "positive"] == (values > 0).sum()
