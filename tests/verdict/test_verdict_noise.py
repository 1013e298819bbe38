"""What a floor does to a verdict, and what it must never do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vision_evals.log import Judgement, Metric, Verdict
from vision_evals.measures.intervals import wilson
from vision_evals.suite.expectation import Expectation
from vision_evals.verdict import thresholds, verdict
from vision_evals.verdict.thresholds import NoiseFloor

REMARK = "within the noise floor of this machine (0.05, measured 2026-11-24)"


def judge(value: float, floor: float | None, n: int = 20, **bounds: Any) -> Judgement:
    confidence = bounds.get("confidence", 0.95)
    low, high = wilson(round(value * n), n, confidence)
    metric = Metric(
        name="m",
        value=value,
        unit="fraction",
        n=n,
        denominator="images",
        low=low,
        high=high,
        confidence=confidence,
        method="wilson",
    )
    known = None if floor is None else NoiseFloor(floor, "2026-11-24")
    (judgement,) = verdict.judge(
        Expectation(metric="m", **bounds),
        [metric],
        lambda _: thresholds.NoThreshold("none"),
        lambda _: known,
    )
    return judgement


@pytest.mark.parametrize(
    ("value", "bounds", "expected", "said"),
    [
        (0.90, {"at_least": 0.85}, Verdict.INCONCLUSIVE, True),  # one image of 20, off by an ulp
        (0.91, {"at_least": 0.85}, Verdict.PASSED, False),
        (0.85, {"at_least": 0.85}, Verdict.INCONCLUSIVE, True),
        (0.81, {"at_least": 0.85}, Verdict.INCONCLUSIVE, True),
        (0.79, {"at_least": 0.85}, Verdict.FAILED, False),
        (0.81, {"at_most": 0.85}, Verdict.INCONCLUSIVE, True),
        (0.79, {"at_most": 0.85}, Verdict.PASSED, False),
        (0.89, {"at_most": 0.85}, Verdict.INCONCLUSIVE, True),
        (0.91, {"at_most": 0.85}, Verdict.FAILED, False),
    ],
)
def test_a_point_near_its_threshold(
    value: float, bounds: dict[str, Any], expected: Verdict, *, said: bool
) -> None:
    found = judge(value, 0.05, **bounds)
    assert found.verdict is expected
    assert (REMARK in found.sentence) == said
    assert found.floor == 0.05


@pytest.mark.parametrize(
    ("value", "bounds", "without"),
    [
        (0.9, {"at_least": 0.88}, Verdict.PASSED),
        (0.9, {"at_least": 0.92}, Verdict.FAILED),
        (0.9, {"at_most": 0.92}, Verdict.PASSED),
        (0.9, {"at_most": 0.88}, Verdict.FAILED),
    ],
)
def test_an_interval_near_its_threshold(
    value: float, bounds: dict[str, float], without: Verdict
) -> None:
    """Of 100,000 images: the interval is far narrower than the floor."""
    args: dict[str, Any] = {"n": 100_000, "confidence": 0.95, **bounds}
    assert judge(value, None, **args).verdict is without
    found = judge(value, 0.05, **args)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert REMARK in found.sentence
    assert judge(value, 0.01, **args).verdict is without


def test_nothing_measured_and_nothing_moved_change_nothing() -> None:
    bare = judge(0.9, None, at_least=0.9)
    still = judge(0.9, 0.0, at_least=0.9)
    assert bare.floor is None
    assert still.floor == 0.0
    assert still.model_copy(update={"floor": None}) == bare
    assert bare.verdict is Verdict.PASSED


@given(
    value=st.integers(0, 50).map(lambda k: k / 50),
    threshold=st.one_of(st.integers(0, 50).map(lambda k: k / 50), st.floats(0, 1)),
    floor=st.one_of(st.floats(0, 2), st.just(1e300)),
    side=st.sampled_from(["at_least", "at_most"]),
    confidence=st.sampled_from([None, 0.8, 0.95]),
)
@example(value=0.0, threshold=2.2e-311, floor=0.0, side="at_least", confidence=0.8)
def test_a_floor_takes_passes_away_and_gives_none(
    value: float, threshold: float, floor: float, side: str, confidence: float | None
) -> None:
    bounds: dict[str, Any] = {side: threshold}
    if confidence is not None:
        bounds["confidence"] = confidence
    before = judge(value, None, n=50, **bounds)
    after = judge(value, floor, n=50, **bounds)
    assert (after.threshold, after.wanted) == (before.threshold, before.wanted)
    near = floor > 0 and abs(value - threshold) <= floor * (1 + 1e-9)
    assert after.verdict is (Verdict.INCONCLUSIVE if near else before.verdict)
    assert ("noise floor" in after.sentence) == near


def test_a_metric_that_is_not_there_stays_so() -> None:
    nothing = Metric(name="m", value=None, unit="x", n=0, denominator="images", reason="why")
    (found,) = verdict.judge(
        Expectation(metric="m", at_least=0.5),
        [nothing],
        lambda _: thresholds.NoThreshold("none"),
        lambda _: NoiseFloor(1.0, "2026-11-24"),
    )
    assert found.verdict is Verdict.NOT_APPLICABLE
