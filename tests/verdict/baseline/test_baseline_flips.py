"""Flips and changes of two tables, against a loop over their rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals import log
from vision_evals.log import Verdict
from vision_evals.measures.accuracy import MEASURE, Parameters
from vision_evals.verdict.baseline.comparison import MAX_FLIPS_SHOWN, comparison, flips
from vision_evals.verdict.baseline.provenance import Side

NAMES = ("red", "green", "blue")


def table(rights: list[bool], sure: list[float]) -> pd.DataFrame:
    n = len(rights)
    return pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(n)],
            "label": [0] * n,
            "top5": [[0, 1, 2] if right else [2, 1, 0] for right in rights],
            "confidence": sure,
            "correct1": rights,
            "correct5": [True] * n,
            "nll": [-np.log(s) if right else 2.0 for right, s in zip(rights, sure, strict=True)],
            "competing": [3] * n,
        }
    )


PAIRS = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.floats(0.34, 0.99), st.floats(0.34, 0.99)),
    min_size=1,
    max_size=60,
)


@given(PAIRS, st.randoms(use_true_random=False))
def test_flips_are_those_that_a_loop_finds(
    pairs: list[tuple[bool, bool, float, float]], random: object
) -> None:
    before = table([p[0] for p in pairs], [p[2] for p in pairs])
    now = table([p[1] for p in pairs], [p[3] for p in pairs])
    shuffled = now.sample(frac=1, random_state=random.randint(0, 9))  # type: ignore[attr-defined]
    found = flips(MEASURE, (before, shuffled), Parameters(), NAMES, ("top1_accuracy", None))
    lost = {f"{i}.png": p for i, p in enumerate(pairs) if p[0] and not p[1]}
    won = {f"{i}.png": p for i, p in enumerate(pairs) if p[1] and not p[0]}
    assert (found.n, found.worse, found.better) == (len(pairs), len(lost), len(won))
    assert len(found.lost) == min(len(lost), MAX_FLIPS_SHOWN)
    for flip in found.lost:
        assert (flip.label, flip.before.name, flip.now.name) == ("red", "red", "blue")
        assert (flip.before.confidence, flip.now.confidence) == lost[flip.image][2:]
    shown = [flip.now.confidence for flip in found.lost]
    assert shown == sorted((p[3] for p in lost.values()), reverse=True)[:MAX_FLIPS_SHOWN]
    assert {flip.image for flip in found.won} <= set(won)


def side() -> Side:
    item = log.Item(
        id="s::a[net]",
        suite="s",
        check="a",
        classifier="net",
        measure="accuracy",
        parameters=Parameters().model_dump(mode="json"),
        verdict=Verdict.RECORDED,
        sentence="",
    )
    settings = log.Settings(device="cpu", device_name="c", batch_size=1)
    return Side(item, None, settings, ())


def test_other_images_are_refused_and_never_joined() -> None:
    before, now = table([True] * 3, [0.9] * 3), table([True] * 4, [0.9] * 4)
    told = comparison("r", MEASURE, (side(), side()), (before, now))
    assert told.refused == "other images: 1 only here (3.png)"
    assert told.changes == ()
    assert told.flips is None


@pytest.mark.parametrize("worse", [0, 3])
def test_changes_hold_the_means_of_both_tables(worse: int) -> None:
    before, now = (
        table([True] * 20, [0.9] * 20),
        table([False] * worse + [True] * (20 - worse), [0.8] * 20),
    )
    metrics = [
        tuple(
            log.Metric(
                name=name,
                value=float(rows[column].mean()),
                unit="fraction",
                n=20,
                denominator="images",
                method=method,
            )
            for name, column, method in (
                ("top1_accuracy", "correct1", "wilson"),
                ("nll", "nll", "bootstrap"),
            )
        )
        for rows in (before, now)
    ]
    sides = tuple(
        Side(one.item.model_copy(update={"metrics": found}), None, one.settings, ())
        for one, found in zip((side(), side()), metrics, strict=True)
    )
    told = comparison("r", MEASURE, (sides[0], sides[1]), (before, now))
    top1, nll = told.changes
    assert (top1.before, top1.now) == (1.0, (20 - worse) / 20)
    assert top1.paired is not None
    assert (top1.paired.worse, top1.paired.better) == (worse, 0)
    assert nll.paired is not None
    assert nll.paired.difference == pytest.approx(now["nll"].mean() - before["nll"].mean())
    assert told.flips is not None
    assert told.flips.worse == worse
