"""Numbers of different paths are compared where the measured difference is under the margin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from vision_evals import log
from vision_evals.cli.compare import lines
from vision_evals.core.errors import UserError
from vision_evals.images.labels import ClassMap
from vision_evals.log import Verdict
from vision_evals.measures import MEASURES, lookup
from vision_evals.measures.accuracy import MEASURE, Parameters
from vision_evals.models.request import Request
from vision_evals.suite.parse import parse
from vision_evals.suite.spec import BY_LOSS, BY_PROBABILITY
from vision_evals.verdict.baseline.baseline import CurrentRun, baseline_entry, require_comparable
from vision_evals.verdict.baseline.comparison import comparison
from vision_evals.verdict.baseline.numeric_gap import distance, gaps, refusal, remark
from vision_evals.verdict.baseline.paths import NumericPath
from vision_evals.verdict.baseline.provenance import Side, differences, side_of
from vision_evals.verdict.baseline.stored import StoredRun
from vision_evals.verdict.check_input import BaselineEntry, CheckInput, ClassifierInfo, Measured
from vision_evals.verdict.job import Job
from vision_evals.verdict.judge import judge

N = 400
"""Images."""

IMAGES = log.ImageSet(role="p", source="x", n=N, total=N)

PLAIN: dict[str, Any] = {"precision": "fp32"}
FOLDED: dict[str, Any] = {
    "folded": 3,
    "calibrated": 16,
    "logit_error": 1e-6,
    "answers": 10_000,
    "rechecked": 100,
}


def half(changed: int = 0, **more: Any) -> dict[str, Any]:
    """Return a lane in bf16 on which so many of 1,000 decisions changed."""
    known = {"precision": "bf16", "calibrated": 256, "answers": 100_000, "rechecked": 1000}
    return {**known, "logit_error": 0.02, "changed": changed, **more}


def fast_path(name: str = "net", **more: Any) -> log.FastPath:
    known = {"classifier": name, "precision": "fp32", "layout": "contiguous", "because": "a rule"}
    return log.FastPath(**{**known, **more})


def pass_record(*fast_paths: log.FastPath, images: str = "p", **more: Any) -> log.PassRecord:
    times = ("seconds", "decode_seconds", "wait_seconds", "forward_seconds", "rows_seconds")
    spent: dict[str, Any] = dict.fromkeys(times, 0.0)
    return log.PassRecord(images=images, n=N, fast_paths=fast_paths, **spent, **more)


def run(
    *fast_paths: dict[str, Any],
    passes: tuple[log.PassRecord, ...] | None = None,
    seeds: tuple[int, ...] = (),
    **settings: Any,
) -> log.Run:
    """Return the log of a run of these lanes, one for each seed where there are any."""
    known = {"device": "cpu", "device_name": "a processor", "batch_size": 4}
    called = [f"net, seed {seed}" for seed in seeds] or ["net"] * len(fast_paths)
    found = [fast_path(name, **more) for name, more in zip(called, fast_paths, strict=True)]
    card = log.Classifier(
        alias="net",
        network="n:N",
        trainings=tuple(
            log.Training(seed=seed, data="d", train_images=1, validation_images=1) for seed in seeds
        ),
    )
    return log.Run(
        id="r",
        status="finished",
        started="2026-01-01T00:00:00+00:00",
        command="pytest",
        settings=log.Settings(**{**known, **settings}),
        environment=log.Environment(versions={}, platform="p", threads=1),
        classifiers=(card,),
        image_sets=(IMAGES,),
        passes=(pass_record(*found),) if passes is None else passes,
    )


def rows(wrong: int = 0) -> pd.DataFrame:
    right = np.arange(N) >= wrong
    return pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(N)],
            "label": 0,
            "top5": [[0, 1, 2]] * N,
            "confidence": 0.9,
            "correct1": right,
            "correct5": True,
            "nll": np.where(right, 0.1, 2.3),
            "competing": 9,
        }
    )


def item(metrics: tuple[log.Metric, ...] = ()) -> log.Item:
    return log.Item(
        id="s.toml::a[net]",
        suite="s.toml",
        check="a",
        classifier="net",
        measure="accuracy",
        parameters=Parameters().model_dump(mode="json"),
        images="p",
        verdict=Verdict.RECORDED,
        sentence="",
        metrics=metrics,
        table="tables/a.parquet",
    )


def held(then: log.Run, now: log.Run, expect: str) -> log.Judgement:
    """Return what comes of one expectation of two equal tables on the paths of two runs."""
    text = (
        'evals = 1\ntitle = "t"\n[[check]]\nname = "a"\nmeasure = "accuracy"\nimages = "p"\n'
        f"expect = [{{ {expect} }}]"
    )
    suite = parse(text, "s.toml", lambda name: lookup(name, Path()))
    request = Request("net", "net", None)
    job = Job("s.toml::a[net]", suite, suite.checks[0], request, True, False, None, None)
    here = Measured(ClassifierInfo(ClassMap("c", tuple("abcdefghi"), None)), rows(), 0, images=N)
    check_input = CheckInput(job, MEASURE, (here,))
    before = side_of(then, item(check_input.metrics("net")))
    cards = {card.alias: card for card in now.classifiers}
    after = CurrentRun(now.settings, cards, now.passes).side(job, (IMAGES,))
    assert differences(before, after) == ()
    found = BaselineEntry(before, rows(), gaps=gaps(before.paths, after.paths))
    (judgement,) = judge(CheckInput(job, MEASURE, (here,), baseline=found), "p").judgements
    return judgement


TOP1 = 'metric = "top1_accuracy", at_least = { of = "baseline", minus = 0.01 }'
BARE = 'metric = "top1_accuracy", at_least = { of = "baseline" }'
NLL = 'metric = "nll", at_most = { of = "baseline", plus = 0.05 }'
ECE = 'metric = "ece", at_most = { of = "baseline", plus = 0.5 }'


@pytest.mark.parametrize("how", [PLAIN, FOLDED, half(30)])
def test_one_path_is_compared_as_ever_and_nothing_is_said(how: dict[str, Any]) -> None:
    precision = how.get("precision", "fp32")
    then, now = run(how, precision=precision), run(how, precision=precision)
    for expect in (TOP1, BARE, NLL, ECE):
        judgement = held(then, now, expect)
        assert judgement.verdict is Verdict.PASSED
        assert "path" not in judgement.sentence


def test_a_lane_that_never_answered_is_the_plain_path() -> None:
    then = run(half(answers=0, refused="half of the answers are within"), precision="bf16")
    for expect in (TOP1, ECE):
        assert "path" not in held(then, run(PLAIN), expect).sentence


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("changed", "expect", "verdict"),
    [
        (0, TOP1, Verdict.PASSED),
        (0, BARE, Verdict.PASSED),
        (9, TOP1, Verdict.PASSED),
        (10, TOP1, Verdict.INVALID),
        (1, BARE, Verdict.INVALID),
        (0, ECE, Verdict.INVALID),
        (0, BARE.replace('baseline"', 'baseline", plus = 0.001'), Verdict.INCONCLUSIVE),
        (1, BARE.replace('baseline"', 'baseline", plus = 0.001'), Verdict.INVALID),
        (0, TOP1.replace("top1", "top5"), Verdict.INVALID),
    ],
)
def test_half_precision_is_compared_under_the_margin(
    changed: int, expect: str, verdict: Verdict, turned: bool
) -> None:
    rough, exact = run(half(changed), precision="bf16"), run(PLAIN)
    judgement = held(*((exact, rough) if turned else (rough, exact)), expect)
    assert judgement.verdict is verdict
    numbers = f"{changed} of 1,000 decisions changed, logits by up to 0.02)"
    there, here = "fp32 there", f"bf16 on cpu (contiguous) ({numbers} here"
    if not turned:
        there, here = f"bf16 on cpu (contiguous) ({numbers} there", "fp32 here"
    assert f"on different paths, forwards: {there}, {here}" in judgement.sentence
    if verdict is Verdict.INVALID:
        assert judgement.gate is None
        again = f"run the baseline again with --evals-precision {'bf16' if turned else 'fp32'}"
        assert judgement.sentence.endswith(again)
    elif expect == TOP1:
        assert judgement.gate is not None


def test_both_sides_count_and_no_measurement_is_no_zero() -> None:
    then, folded = run(half(4), precision="bf16"), run(half(5, folded=9), precision="bf16")
    assert held(then, folded, TOP1).verdict is Verdict.PASSED
    more = run(half(6, folded=9), precision="bf16")
    refused = held(then, more, TOP1)
    assert refused.verdict is Verdict.INVALID
    assert "can move top1_accuracy by 0.01, and the gate allows 0.01" in refused.sentence
    assert "--evals-precision" not in refused.sentence  # they are equal
    assert "as many forwards (they decide what is folded" in refused.sentence
    cached = run(half(rechecked=99, logit_error=None), precision="bf16")
    unseen = held(cached, run(PLAIN), TOP1)
    assert unseen.verdict is Verdict.INVALID
    assert "(0 of 99 decisions changed) there" in unseen.sentence
    assert "was not measured" in unseen.sentence
    assert unseen.sentence.endswith("run the baseline again with --evals-precision fp32")


def test_the_worst_seed_and_the_worst_part_of_a_run_count() -> None:
    for worst in ([half(2), half(11)], [half(11), half(2)], [half(0), half(0, calibrated=0)]):
        seeds = (3, 4)
        then = run(*worst, seeds=seeds, precision="bf16")
        assert held(then, run(PLAIN, PLAIN, seeds=seeds), TOP1).verdict is (
            Verdict.PASSED if worst[0] == half(0) else Verdict.INVALID
        )
        parts = tuple(pass_record(fast_path(**one)) for one in worst)
        assert gaps(side_of(run(passes=parts), item()).paths, side_of(then, item()).paths) == ()
    others = (
        pass_record(fast_path("other", **half(99))),
        pass_record(fast_path(**half(99)), images="q"),
        pass_record(fast_path()),
    )
    assert gaps(side_of(run(passes=others), item()).paths, side_of(run(PLAIN), item()).paths) == ()


def test_tf32_is_refused_by_name_and_early() -> None:
    then, now = run(PLAIN, device="cuda:0"), run({"precision": "tf32"}, precision="tf32")
    said = "precision: fp32 there, tf32 here"
    assert differences(side_of(then, item()), side_of(now, item())) == (said,)


def test_tf32_and_nobody_to_say_the_path_are_refused_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    (tmp_path / "tables").mkdir()
    rows().to_parquet(tmp_path / "tables" / "a.parquet")
    stored = StoredRun(run(PLAIN).model_copy(update={"items": (item(),)}), tmp_path, "baseline")
    for precision in ("tf32", "bf16"):
        one = half() if precision == "bf16" else {"precision": precision}
        now = side_of(run(one, precision=precision), item())
        untold = Side(now.item, now.classifier, now.settings, now.images)
        if precision == "bf16":
            require_comparable(stored, now)  # its gates say
            found = baseline_entry(stored, now, rows())
            assert found is not None
            assert found.refused is None
            assert [gap.step for gap in found.gaps] == ["forwards"]
            now = untold
        with pytest.raises(UserError, match=f"precision: fp32 there, {precision} here"):
            require_comparable(stored, now)


GPU: dict[str, Any] = {"device": "cuda", "layout": "channels_last"}


@pytest.mark.parametrize("turned", [False, True])
def test_a_device_that_nobody_held_against_the_cpu_is_refused(turned: bool) -> None:
    gpu, cpu = run(GPU, device="cuda:1"), run(PLAIN)
    refused = held(*((cpu, gpu) if turned else (gpu, cpu)), TOP1)
    assert refused.verdict is Verdict.INVALID
    assert "device: " in refused.sentence
    assert "cuda (channels_last) (not measured)" in refused.sentence
    assert f"the baseline again with --evals-device {'cuda' if turned else 'cpu'}" in (
        refused.sentence
    )


def test_devices_and_decoders_are_compared_where_they_were_measured() -> None:
    hosted = {**GPU, "hosted": 1000, "hosted_changed": 3, "hosted_error": 1e-4}
    gpu = run(hosted, device="cuda:0")
    assert held(gpu, run(PLAIN), TOP1).verdict is Verdict.PASSED
    assert held(gpu, run(GPU, device="cuda:1"), BARE).verdict is Verdict.PASSED  # one path
    pictures = {**hosted, "pictures": 1000, "pictures_changed": 6}
    decoded = run(
        passes=(pass_record(fast_path(**pictures), decoder="nvjpeg", on_device=N),), device="cuda:0"
    )
    assert held(decoded, gpu, TOP1).verdict is Verdict.PASSED
    both = held(run(PLAIN), decoded, TOP1)  # 3 + 6 of 1,000
    assert both.verdict is Verdict.PASSED
    assert "decoder: pil there, nvjpeg (6 of 1,000 decisions changed) here; device: cpu" in (
        both.sentence
    )
    rough = {**pictures, **half(1)}
    every = run(
        passes=(pass_record(fast_path(**rough), decoder="nvjpeg", on_device=N),), device="cuda:0"
    )
    assert held(run(PLAIN), every, TOP1).verdict is Verdict.INVALID  # and 1 more
    loss = held(decoded, gpu, NLL)  # of pixels no logit was compared
    assert loss.verdict is Verdict.INVALID
    assert "how far that moves nll was not measured" in loss.sentence
    found = gaps(side_of(decoded, item()).paths, side_of(run(PLAIN), item()).paths)
    # what was measured on pictures as they are says nothing of points of a sweep
    assert distance(found, lookup("fgsm", Path()), "robust_accuracy") is None


def test_lanes_of_another_device_are_another_path() -> None:
    gpu = run({**GPU, **half(3), "hosted": 1000, "hosted_changed": 2}, device="cuda:0")
    found = gaps(side_of(gpu, item()).paths, side_of(run(half(4)), item()).paths)
    assert [gap.step for gap in found] == ["device", "forwards"]
    assert distance(found, MEASURE, "top1_accuracy") == pytest.approx(0.009)


def test_old_logs_are_plain_on_their_device() -> None:
    old = run(passes=(pass_record(),))
    for expect in (TOP1, ECE):
        assert "path" not in held(old, run(PLAIN), expect).sentence
    assert held(old, run(half(9), precision="bf16"), TOP1).verdict is Verdict.PASSED
    rough = held(run(passes=(), precision="bf16"), run(PLAIN), TOP1)
    assert rough.verdict is Verdict.INVALID
    assert "bf16 on cpu (contiguous) (not measured) there" in rough.sentence
    gpu = held(run(passes=(), device="cuda:0"), run(PLAIN), TOP1)
    assert "cuda (contiguous) (not measured) there" in gpu.sentence
    # lanes that did not say their device yet
    assert side_of(run(PLAIN, device="cuda:0"), item()).paths[0].device.words == "cuda (contiguous)"


def test_the_order_of_channels_on_a_cpu_moves_nothing_that_is_gated() -> None:
    then, now = run(PLAIN), run({"layout": "channels_last"})
    judgement = held(then, now, ECE)
    assert judgement.verdict is Verdict.PASSED
    assert judgement.sentence.endswith("cpu (contiguous) there, cpu (channels_last) here")


def test_a_loss_is_bounded_by_twice_the_logits() -> None:
    now = run(PLAIN)
    assert held(run(half(logit_error=0.024), precision="bf16"), now, NLL).verdict is Verdict.PASSED
    refused = held(run(half(logit_error=0.025), precision="bf16"), now, NLL)
    assert refused.verdict is Verdict.INVALID
    assert "can move nll by 0.05, and the gate allows 0.05" in refused.sentence


VECTORS = st.integers(2, 9).flatmap(
    lambda n: st.tuples(
        st.lists(st.floats(-20, 20), min_size=n, max_size=n),
        st.lists(st.floats(-1, 1), min_size=n, max_size=n),
    )
)


@given(VECTORS, st.sampled_from([1e-3, 0.1, 3.0]))
def test_no_logits_move_a_metric_by_more_than_its_bound(
    vectors: tuple[list[float], list[float]], error: float
) -> None:
    before, move = map(np.array, vectors)
    after = before + error * move
    loss = MEASURE.metric("nll").numeric_error
    sure = lookup("predictions", Path()).metric("confidence_mean").numeric_error
    assert (loss, sure) == (BY_LOSS, BY_PROBABILITY)
    assert loss is not None
    assert sure is not None
    slack = 1e-12
    losses = np.abs(log_softmax(after) - log_softmax(before)).max()
    assert losses <= loss.times * error + slack
    assert np.abs(softmax(after) - softmax(before)).max() <= sure.times * error + slack
    assert abs(softmax(after).max() - softmax(before).max()) <= sure.times * error + slack


def test_every_bound_is_of_a_metric_that_is_a_mean_over_images() -> None:
    metrics = [metric for name in MEASURES for metric in lookup(name, Path()).metrics]
    bounded = [metric for metric in metrics if metric.numeric_error is not None]
    assert len(bounded) == 15
    assert all(metric.per_image is not None for metric in bounded)


def test_what_no_bound_is_known_of_is_refused_with_the_repair() -> None:
    found = gaps(side_of(run(FOLDED), item()).paths, side_of(run(PLAIN), item()).paths)
    said = refusal(found, MEASURE, "ece", 1.0)
    assert said is not None
    assert "no error bound of ece is known" in said
    assert said.endswith("with as many forwards (they decide what is folded, compiled and graphed)")
    assert refusal((), MEASURE, "ece", 0.0) is None


def test_compare_says_the_paths_and_refuses_nothing() -> None:
    metrics = (
        log.Metric(
            name="ece", value=0.1, unit="fraction", n=N, denominator="images", reason="no interval"
        ),
    )
    sides = tuple(
        side_of(one, item(metrics)) for one in (run(half(30), precision="bf16"), run(PLAIN))
    )
    apart = gaps(sides[0].paths, sides[1].paths)
    told = comparison(
        "r", MEASURE, (sides[0], sides[1]), (rows(), rows()), differences(*sides), apart
    )
    assert (told.refused, told.differs, told.different_paths) == (None, (), remark(apart))
    assert len(told.changes) == 1
    (said, *_) = lines(item().model_copy(update={"comparison": told}))
    assert said.startswith("net, a: computed on different paths, forwards: bf16 on cpu")


def test_a_check_without_images_has_no_path() -> None:
    alone = item().model_copy(update={"images": None})
    none: tuple[NumericPath, ...] = ()
    assert side_of(run(half(1), precision="bf16"), alone).paths == none
