"""Verdicts: every outcome, and no pass without a number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals.log import Judgement, Metric, Validity, Verdict
from vision_evals.measures.intervals import generator, wilson
from vision_evals.suite.expectation import Expectation, Reference
from vision_evals.verdict import thresholds, verdict
from vision_evals.verdict.paired.difference import paired


def fraction(successes: int, n: int, **more: Any) -> Metric:
    low, high = wilson(successes, n, more.get("confidence", 0.95))
    return Metric(
        name="top1",
        value=successes / n,
        unit="fraction",
        n=n,
        denominator="images",
        low=low,
        high=high,
        method="wilson",
        **{"confidence": 0.95, **more},
    )


NONE = thresholds.NoThreshold("none")


def judge(metric: Metric, reference: thresholds.Threshold = NONE, **bounds: Any) -> Judgement:
    expectation = Expectation(metric=metric.name, **bounds)
    (judgement,) = verdict.judge(expectation, [metric], lambda _: reference)
    return judgement


def test_a_threshold_that_is_met_exactly_passes() -> None:
    assert judge(fraction(17, 20), at_least=0.85).verdict is Verdict.PASSED
    assert judge(fraction(17, 20), at_most=0.85).verdict is Verdict.PASSED


@given(
    st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.floats(0, 1),
)
def test_a_point_verdict_is_a_comparison(counts: tuple[int, int], threshold: float) -> None:
    metric = fraction(*counts)
    assert (judge(metric, at_least=threshold).verdict is Verdict.PASSED) == (
        counts[0] / counts[1] >= threshold
    )


def test_the_sentence_begins_with_numbers_and_never_rounds_them_together() -> None:
    said = judge(fraction(3, 20), at_least=0.5).sentence
    assert said.startswith("0.15, at least 0.5 wanted: top1, 95 % interval 0.05")
    assert said.endswith("n = 20")
    close = judge(fraction(849_999, 1_000_000), at_least=0.85)
    assert close.verdict is Verdict.FAILED
    assert close.sentence.startswith("0.849999, at least 0.85")


@pytest.mark.parametrize(
    ("successes", "bounds", "expected"),
    [
        (19, {"at_least": 0.5}, Verdict.PASSED),
        (2, {"at_least": 0.5}, Verdict.FAILED),
        (12, {"at_least": 0.5}, Verdict.INCONCLUSIVE),
        (19, {"at_most": 0.5}, Verdict.FAILED),
        (2, {"at_most": 0.5}, Verdict.PASSED),
        (12, {"at_most": 0.5}, Verdict.INCONCLUSIVE),
    ],
)
def test_with_confidence_the_interval_decides(
    successes: int, bounds: dict[str, float], expected: Verdict
) -> None:
    judgement = judge(fraction(successes, 20), confidence=0.95, **bounds)
    assert judgement.verdict is expected


def test_an_inconclusive_verdict_says_how_many_more_images_decide() -> None:
    judgement = judge(fraction(12, 20), at_least=0.5, confidence=0.95)
    assert "about 77 more images would decide" in judgement.sentence
    low, _ = wilson(round(0.6 * 97), 97)  # 20 + 77 images at the same rate
    assert low == pytest.approx(0.5, abs=0.005)


def test_a_tie_cannot_be_decided() -> None:
    judgement = judge(fraction(10, 20), at_least=0.5, confidence=0.95)
    assert "too close to the threshold" in judgement.sentence


def test_a_bootstrap_interval_says_it_too() -> None:
    metric = Metric(
        name="nll",
        value=1.0,
        unit="nats",
        n=20,
        denominator="images",
        low=0.6,
        high=1.4,
        confidence=0.95,
        method="bootstrap",
        higher_is_better=False,
    )
    judgement = judge(metric, at_most=1.1, confidence=0.95)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "about 300 more images" in judgement.sentence  # (0.4 / 0.1)^2 = 16 times as many


def test_no_value_is_never_a_pass() -> None:
    empty = Metric(
        name="top1",
        value=None,
        unit="fraction",
        n=0,
        denominator="images",
        reason="no image was correct",
    )
    judgement = judge(empty, at_least=0.0)
    assert judgement.verdict is Verdict.NOT_APPLICABLE
    assert judgement.sentence == "no top1: no image was correct"


def test_references_move_by_plus_and_minus() -> None:
    bound = Reference(of="published", minus=0.02)
    judgement = judge(fraction(55, 100), 0.58, at_least=bound)
    assert judgement.threshold == pytest.approx(0.56)
    assert judgement.wanted == "at least the published - 0.02 = 0.56"
    assert judgement.verdict is Verdict.FAILED
    assert judge(fraction(55, 100), 0.5, at_most=Reference(of="vgg", plus=0.1)).wanted == (
        "at most that of vgg + 0.1 = 0.6"
    )


def test_a_gate_that_cannot_be_held_is_no_pass() -> None:
    judgement = judge(
        fraction(1, 2),
        thresholds.NoThreshold("nothing published for x"),
        at_least=Reference(of="published"),
    )
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "nothing published for x" in judgement.sentence


def made(outcome: Verdict, **more: Any) -> Judgement:
    return Judgement(
        metric="m", rule="w", threshold=1, value=0, verdict=outcome, sentence=str(outcome),
        excused=bool(more) and outcome is not Verdict.PASSED, **more,
    )  # fmt: skip


V_PASSED = Validity(name="v", outcome="passed", evidence="e", meaning="m")
V_FAILED = Validity(name="v", outcome="failed", evidence="e", meaning="m")
V_UNDECIDED = Validity(name="v", outcome="undecided", evidence="e", meaning="m")
V_WITHHOLDS = V_UNDECIDED.model_copy(update={"required": True})


@pytest.mark.parametrize(
    ("judgements", "validity", "expected"),
    [
        ([], [], Verdict.RECORDED),
        ([], [V_FAILED], Verdict.INVALID),
        ([made(Verdict.PASSED)], [V_FAILED], Verdict.INVALID),
        ([made(Verdict.PASSED)], [V_PASSED, V_UNDECIDED], Verdict.PASSED),
        ([made(Verdict.PASSED)], [V_WITHHOLDS], Verdict.INCONCLUSIVE),
        ([made(Verdict.FAILED, known="issue 3")], [V_WITHHOLDS], Verdict.INCONCLUSIVE),
        ([made(Verdict.FAILED)], [V_WITHHOLDS], Verdict.FAILED),
        ([made(Verdict.PASSED)], [V_WITHHOLDS, V_FAILED], Verdict.INVALID),
        ([made(Verdict.NOT_APPLICABLE)], [V_WITHHOLDS], Verdict.NOT_APPLICABLE),
        ([], [V_WITHHOLDS], Verdict.RECORDED),
        ([made(Verdict.PASSED), made(Verdict.FAILED)], [], Verdict.FAILED),
        ([made(Verdict.INCONCLUSIVE), made(Verdict.FAILED)], [], Verdict.FAILED),
        ([made(Verdict.INCONCLUSIVE), made(Verdict.PASSED)], [], Verdict.INCONCLUSIVE),
        ([made(Verdict.NOT_APPLICABLE)], [], Verdict.NOT_APPLICABLE),
        ([made(Verdict.NOT_APPLICABLE), made(Verdict.PASSED)], [], Verdict.PASSED),
        ([made(Verdict.FAILED, severity="warn")], [], Verdict.PASSED),
        ([made(Verdict.FAILED, known="issue 3")], [], Verdict.PASSED),
        ([made(Verdict.FAILED, known="issue 3"), made(Verdict.FAILED)], [], Verdict.FAILED),
    ],
)
def test_the_worst_verdict_wins(
    judgements: list[Judgement], validity: list[Validity], expected: Verdict
) -> None:
    assert verdict.worst(judgements, validity) is expected


def test_the_summary_names_what_fell_and_what_was_excused() -> None:
    judgements = [made(Verdict.FAILED), made(Verdict.FAILED, known="issue 3")]
    assert verdict.summary(Verdict.FAILED, judgements, []) == "failed; known (issue 3): failed"
    assert verdict.summary(Verdict.INVALID, judgements, [V_FAILED]) == "INVALID: v: e"
    withheld = verdict.summary(Verdict.INCONCLUSIVE, [made(Verdict.PASSED)], [V_WITHHOLDS])
    assert withheld == "v is undecided: e"
    both = [made(Verdict.PASSED), made(Verdict.NOT_APPLICABLE)]
    assert verdict.summary(Verdict.PASSED, both, []) == "passed; not applicable: not applicable"
    healed = [made(Verdict.PASSED, known="issue 3")]
    assert "passed although it is known to fail (issue 3): remove `known`" in verdict.summary(
        Verdict.PASSED, healed, []
    )


def test_noise_of_the_machine_takes_passes_of_a_gate_away_and_hides_no_loss() -> None:
    def gate(worse: int, margin: float, floor: float) -> Verdict:
        before = np.array([True] * 9000 + [False] * 1000)
        now = before.copy()
        now[:worse] = False
        found = paired(before, now, generator(0), 0.9)
        metric = fraction(int(now.sum()), 10_000)
        expectation = Expectation(
            metric=metric.name, at_least=Reference(of="baseline", minus=margin)
        )
        (judgement,) = verdict.judge(
            expectation,
            [metric],
            lambda _: thresholds.PairedThreshold(0.9, found),
            lambda _: thresholds.NoiseFloor(floor, "2026-11-25"),
        )
        return judgement.verdict

    assert gate(140, 0.01, 0.0) is Verdict.FAILED
    assert gate(140, 0.01, 0.005) is Verdict.FAILED
    assert gate(60, 0.01, 0.0) is Verdict.PASSED
    assert gate(60, 0.01, 0.005) is Verdict.INCONCLUSIVE
    assert gate(0, 0.0, 0.005) is Verdict.PASSED
