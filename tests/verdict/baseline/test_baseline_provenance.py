"""What differs between two entries, and which entry of a run is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.log import Verdict
from vision_evals.verdict.baseline.provenance import Side, differences, networks, other_images
from vision_evals.verdict.baseline.stored import StoredRun, find_entry


def item(**more: Any) -> log.Item:
    known = {"id": "s.toml::a[net]", "suite": "s.toml", "check": "a", "classifier": "net"}
    known |= {"measure": "accuracy", "verdict": Verdict.PASSED, "sentence": "fine"}
    return log.Item(**{**known, **more})


def side(parameters: dict[str, Any] | None = None, fingerprint: str = "f", **changes: Any) -> Side:
    card = {
        "alias": "net",
        "network": "n:N",
        "fingerprint": "1",
        "input": "crop 8",
        "class_map": "c",
    }
    settings = {"device": "cpu", "device_name": "a processor", "batch_size": 4}
    images = log.ImageSet(role="p", source="x", n=3, total=3, fingerprint=fingerprint)
    return Side(
        item(parameters=parameters or {"among": "all"}),
        log.Classifier(**{**card, **{k: v for k, v in changes.items() if k in card}}),
        log.Settings(**{**settings, **{k: v for k, v in changes.items() if k not in card}}),
        (images,),
    )


def test_equal_sides_differ_in_nothing_and_other_weights_are_no_difference() -> None:
    assert differences(side(), side()) == ()
    assert differences(side(), side(fingerprint="f", network="n:N")) == ()
    found = networks(side(), side())
    assert found is not None
    assert found.fingerprint


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (side({"among": "set"}), "parameter among = 'all' there, 'set' here"),
        (side(input="crop 7"), "preprocessing: crop 8 there, crop 7 here"),
        (side(class_map="d"), "classes: c there, d here"),
        (side(precision="bf16"), "precision: fp32 there, bf16 here"),
        (side(seed=1), "seed: 0 there, 1 here"),
        (side(fingerprint="g"), "p: other ids, labels or bytes of images"),
    ],
)
def test_each_difference_is_named_alone(other: Side, said: str) -> None:
    assert differences(side(), other) == (said,)


IDS = st.lists(st.text("abc", min_size=1, max_size=3), unique=True, min_size=1, max_size=8)


@given(IDS, IDS)
def test_other_ids_are_counted_as_sets_count_them(first: list[str], second: list[str]) -> None:
    said = other_images(pd.DataFrame({"image": first}), pd.DataFrame({"image": second}))
    gone, new = set(first) - set(second), set(second) - set(first)
    assert (said is None) == (gone == new == set())
    if said is not None:
        assert (f"{len(gone)} only there" in said) == bool(gone)
        assert (f"{len(new)} only here" in said) == bool(new)


def stored(*items: log.Item) -> StoredRun:
    run = log.Run(
        id="r",
        status="finished",
        started="2026-01-01T00:00:00+00:00",
        command="pytest",
        settings=side().settings,
        environment=log.Environment(versions={}, platform="p", threads=1),
        items=items,
    )
    return StoredRun(run, Path(), "baseline")


def test_the_same_check_is_found_also_from_another_folder() -> None:
    there = item(suite="suites/s.toml")
    assert find_entry(stored(there), "s.toml", "a", "net") == there
    other = item(suite="other/t.toml")
    assert find_entry(stored(other, there), "s.toml", "a", "net") == there
    with pytest.raises(UserError, match="several suites"):
        find_entry(stored(item(suite="x/u.toml"), item(suite="y/u.toml")), "s.toml", "a", "net")
    with pytest.raises(UserError, match='judged no "nett"; did you mean "net"'):
        find_entry(stored(there), "s.toml", "a", "nett")
