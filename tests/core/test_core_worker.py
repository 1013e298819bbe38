"""Batches dealt to the parts of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals.core.errors import UserError
from vision_evals.core.worker import Partition, dealt
from vision_evals.engine.shard import spans_of
from vision_evals.suite.options import read


@given(st.integers(0, 2000), st.integers(1, 300), st.integers(1, 40))
def test_every_batch_goes_to_one_part(images: int, batch: int, n: int) -> None:
    spans = spans_of(images, batch)
    parts = [list(dealt(spans, Partition(k, n))) for k in range(1, n + 1)]
    assert [span for part in parts for span in part] == spans  # side by side, each exactly once
    assert [i for part in parts for span in part for i in span] == list(range(images))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_as_written(k: int, n: int) -> None:
    if k <= n and n < 10**6:
        assert str(Partition.parse(f"{k}/{n}")) == f"{k}/{n}"
    else:
        with pytest.raises(ValueError, match="such"):
            Partition.parse(f"{k}/{n}")


def test_a_whole_run_looks_at_everything() -> None:
    assert dealt([1, 2, 3], None) == [1, 2, 3]


@pytest.mark.parametrize(
    "text", ["0/8", "9/8", "x", "2", "2/", "/8", "-1/8", "2/8/3", "1/0", " 1/2"]
)
def test_no_such_part(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"--evals-shard: shard = .*(such as 2/8|no such part)"):
        read({"shard": text}, tmp_path)


def test_the_option(tmp_path: Path) -> None:
    assert read({"shard": "2/8"}, tmp_path).partition == Partition(2, 8)
    assert read({}, tmp_path).partition is None
