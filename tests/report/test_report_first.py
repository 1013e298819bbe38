"""The first screen: what fell in plain sentences, how to see it again, and what was not judged."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vision_evals import log, report
from vision_evals.log import Verdict
from vision_evals.report import first, view
from vision_evals.report.addresses import Inline
from vision_evals.report.sentences import Sentence, sentences

MINUS = "\N{MINUS SIGN}"


def whole(sentence: Sentence) -> str:
    return f"{sentence.subject}: {sentence.text}"


def item(metrics: tuple[log.Metric, ...], *judgements: log.Judgement, **more: Any) -> log.Item:
    fields: dict[str, Any] = {
        "id": "suites/fgsm.toml::one-step[alexnet]", "suite": "suites/fgsm.toml",
        "check": "one-step", "classifier": "alexnet", "measure": "fgsm", "images": "photographs",
        "verdict": Verdict.FAILED, "sentence": "; ".join(j.sentence for j in judgements),
        "metrics": metrics, "judgements": judgements,
    }  # fmt: skip
    return log.Item(**fields | more)


def said(*found: log.Judgement, metric: log.Metric, **more: Any) -> list[str]:
    return [whole(one) for one in sentences(item((metric,), *found, **more))]


def test_a_fall_is_one_sentence_with_what_was_wanted_and_how_sure_it_is(runs: ModuleType) -> None:
    metric = runs.share("robust_accuracy", 6, 200, at="1/255")
    fell = runs.judgement(metric, 0.05, Verdict.FAILED, at="1/255")
    assert said(fell, metric=metric) == [
        "one-step, alexnet: robust accuracy 0.03 at 1/255, at least 0.05 wanted; "
        "95 % interval 0.014 to 0.064, n = 200"
    ]


def test_the_confidence_is_that_of_the_metric(runs: ModuleType) -> None:
    metric = runs.share("top5_accuracy", 11, 20, confidence=0.99, low=0.2812, high=0.7937)
    fell = runs.judgement(metric, 0.9, Verdict.FAILED, sentence="0.55 ... 99 % interval ...")
    assert said(fell, metric=metric) == [
        "one-step, alexnet: top-5 accuracy 0.55, at least 0.9 wanted; "
        "99 % interval 0.28 to 0.79, n = 20"
    ]


def test_an_interval_that_the_log_only_writes_out_is_not_replaced_by_another(
    runs: ModuleType,
) -> None:
    # judged at 80 %, and the metrics of a log have 95 %: it would hold the threshold
    metric = runs.share("top5_accuracy", 15, 20)
    sentence = "0.75, at least 0.88 wanted: top5_accuracy, 80 % interval 0.61 to 0.85, n = 20"
    fell = runs.judgement(metric, 0.88, Verdict.FAILED, sentence=sentence, confidence=0.8)
    assert said(fell, metric=metric) == [
        "one-step, alexnet: " + sentence.replace("top5_accuracy", "top-5 accuracy")
    ]


def test_without_an_interval_the_reason_is_said() -> None:
    metric = log.Metric(
        name="noise_p_value", at="1/255", value=0.25, unit="probability", n=14,
        denominator="images", reason="a test has no interval", higher_is_better=False,
    )  # fmt: skip
    fell = log.Judgement(
        metric="noise_p_value", at="1/255", side="at_most", threshold=0.001, value=0.25,
        verdict=Verdict.FAILED, sentence="0.25, at most 0.001 wanted: ..., n = 14",
    )  # fmt: skip
    assert said(fell, metric=metric) == [
        "one-step, alexnet: noise p value 0.25 at 1/255, at most 0.001 wanted; "
        "no interval (a test has no interval), n = 14"
    ]


def test_a_reason_is_said_once(runs: ModuleType) -> None:
    metric = runs.share("rate", 3, 4, low=None, high=None, method=None, reason="too few")
    unclear = log.Judgement(
        metric="rate", side="at_least", threshold=0.9, value=0.75,
        verdict=Verdict.INCONCLUSIVE, sentence="0.75, at least 0.9 wanted: rate, no interval "
        "(too few), n = 4; there is no interval: too few",
    )  # fmt: skip
    assert said(unclear, metric=metric) == [
        "one-step, alexnet: rate 0.75, at least 0.9 wanted; no interval (too few), n = 4"
    ]


def test_a_recipe_says_its_seeds(runs: ModuleType) -> None:
    metric = runs.spread("dead_fraction", 0.88, 0.2316, 0.86, 0.9, 0.913)
    fell = log.Judgement(
        metric="dead_fraction", side="at_most", threshold=0.2, value=0.88,
        verdict=Verdict.FAILED, sentence="0.88, at most 0.2 wanted: dead_fraction, the median, "
        "n = 360",
    )  # fmt: skip
    assert said(fell, metric=metric) == [
        "one-step, alexnet: dead fraction 0.88, at most 0.2 wanted; "
        "median of 5 seeds, 0.23 to 0.91, n = 360"
    ]


def test_an_inconclusive_one_says_that_the_interval_holds_the_threshold_and_what_would_decide(
    runs: ModuleType, tmp_path: Path
) -> None:
    unclear = runs.every_verdict(tmp_path)[2]
    assert [whole(one) for one in sentences(unclear)] == [
        "photographs, unclear: top-5 accuracy 0.95, at least 0.9 wanted; 95 % interval 0.76 to "
        "0.99 contains the threshold, n = 20; about 120 more images would decide"
    ]


def test_a_value_within_the_noise_floor_is_not_said_to_have_a_threshold_in_its_interval(
    runs: ModuleType,
) -> None:
    metric = runs.share("top5_accuracy", 450, 500)
    floor = "; within the noise floor of this machine (0.1, measured 2026-11-02)"
    unclear = runs.judgement(metric, 0.82, Verdict.INCONCLUSIVE, floor=0.1)
    unclear = unclear.model_copy(update={"further": floor})
    assert said(unclear, metric=metric, verdict=Verdict.INCONCLUSIVE) == [
        "one-step, alexnet: top-5 accuracy 0.9, at least 0.82 wanted; 95 % interval 0.871 to "
        f"0.923, n = 500{floor}"
    ]


def gated(runs: ModuleType, verdict: Verdict, high: float, behind: str) -> list[str]:
    metric = runs.share("top1_accuracy", 850, 1000)
    found = log.Paired(
        n=1000, difference=-0.05, low=-0.08, high=high, confidence=0.9, method="score",
        worse=80, better=30, p_value=1e-6,
    )  # fmt: skip
    held = log.Judgement(
        metric="top1_accuracy", side="at_least", minus=0.01, further=behind,
        threshold=0.89, value=0.85, verdict=verdict, of="baseline",
        gate=log.Gate(of="baseline", margin=-0.01, paired=found),
        sentence="0.85, at least that of the baseline - 0.01 = 0.89 wanted: top1_accuracy, -0.05 "
        f"on the same images, 90 % interval -0.08 to {high:g}, n = 1,000{behind}",
    )  # fmt: skip
    return said(held, metric=metric, verdict=verdict)


def test_a_gate_says_the_paired_difference_and_the_flips(runs: ModuleType) -> None:
    assert gated(runs, Verdict.FAILED, -0.02, ", 80 worse and 30 better") == [
        "one-step, alexnet: top-1 accuracy 0.85, at least that of the baseline - 0.01 = 0.89 "
        f"wanted; {MINUS}0.050 on the same images, 90 % interval {MINUS}0.080 to {MINUS}0.020, "
        "n = 1,000, 80 worse and 30 better"
    ]
    more = "; about 412 more images would give this gate a power of 80 % to pass an equal network"
    (unclear,) = gated(runs, Verdict.INCONCLUSIVE, 0.02, f", 80 worse and 30 better{more}")
    assert unclear.endswith(
        f"90 % interval {MINUS}0.08 to +0.02 contains the margin of {MINUS}0.01, n = 1,000, "
        f"80 worse and 30 better{more}"
    )


def test_an_invalid_one_says_the_validity_check_that_fell_and_no_number(
    runs: ModuleType, tmp_path: Path
) -> None:
    broken = runs.every_verdict(tmp_path)[3]
    metric = runs.share("top1_accuracy", 1)
    believed = runs.judgement(metric, 0.9, Verdict.FAILED)
    for found in (broken, broken.model_copy(update={"judgements": (believed,)})):
        assert [(one.verdict, whole(one)) for one in sentences(found)] == [
            (
                Verdict.INVALID,
                "photographs, broken: validity check “class order” failed; another order of the "
                "classes is right on 19 of 20, this one on 1",
            )
        ]


@pytest.mark.parametrize(
    ("verdict", "sentence", "expected"),
    [
        (Verdict.INVALID, "net.pt: 3 of 16 tensors", "net.pt: 3 of 16 tensors"),
        (Verdict.FAILED, "RuntimeError('x')", "RuntimeError('x')"),
    ],
)
def test_what_fell_without_a_number_has_the_sentence_of_the_log(
    verdict: Verdict, sentence: str, expected: str
) -> None:
    found = sentences(item((), verdict=verdict, sentence=sentence))
    assert [(one.verdict, whole(one)) for one in found] == [
        (verdict, f"one-step, alexnet: {expected}")
    ]


def test_expectations_without_a_threshold_keep_their_reason(runs: ModuleType) -> None:
    metric = log.Metric(
        name="final_loss", value=None, unit="nats", n=0, denominator="steps", lost=True,
        reason="the loss of epoch 3 is not finite",
    )  # fmt: skip
    lost = log.Judgement(
        metric="final_loss", side="at_most", threshold=1, value=None, verdict=Verdict.FAILED,
        sentence="no final_loss: the loss of epoch 3 is not finite, at most 1 wanted",
    )  # fmt: skip
    assert said(lost, metric=metric) == [
        "one-step, alexnet: no final loss: the loss of epoch 3 is not finite, at most 1 wanted"
    ]
    refused = lost.model_copy(
        update={
            "verdict": Verdict.INVALID, "threshold": None,
            "sentence": "final_loss at most that of the baseline: other images",
        }
    )  # fmt: skip
    assert said(refused, lost, metric=metric, verdict=Verdict.INVALID) == [
        "one-step, alexnet: final loss at most that of the baseline: other images",
        "one-step, alexnet: no final loss: the loss of epoch 3 is not finite, at most 1 wanted",
    ]


def test_what_is_excused_is_no_fall(runs: ModuleType) -> None:
    metric = runs.share("top5_accuracy", 11)
    fell = runs.judgement(metric, 0.9, Verdict.FAILED)
    warned = runs.judgement(metric, 0.95, Verdict.FAILED, severity="warn")
    known = runs.judgement(metric, 0.99, Verdict.FAILED, known="an old model")
    assert len(said(warned, fell, known, metric=metric)) == 1


@given(st.floats(0, 1, exclude_max=True), st.floats(1e-6, 1), st.integers(1, 6), st.booleans())
def test_value_and_threshold_read_as_they_were_judged(
    threshold: float, away: float, power: int, below: bool
) -> None:
    value = threshold + (-1 if below else 1) * away * 10.0**-power
    assume(value != threshold)
    metric = log.Metric(
        name="m", value=value, unit="fraction", n=20, denominator="images", low=value - 0.1,
        high=value + 0.1, confidence=0.95, method="bootstrap",
    )  # fmt: skip
    fell = log.Judgement(
        metric="m", side="at_least" if value < threshold else "at_most",
        threshold=threshold, value=value,
        verdict=Verdict.FAILED, sentence="95 % interval 0 to 1, n = 20",
    )  # fmt: skip
    (text,) = said(fell, metric=metric)
    read, wanted = text.removeprefix("one-step, alexnet: m ").partition(" wanted;")[0].split(", ")
    number, limit = (float(word.replace(MINUS, "-")) for word in (read, wanted.split()[-1]))
    assert (number < limit) == (value < threshold)
    assert number != limit


def test_the_list_is_ordered_worst_first_and_folds_what_is_long(
    runs: ModuleType, tmp_path: Path
) -> None:
    more = [runs.failed_item(tmp_path, f"net{number}") for number in range(8)]
    run = runs.make_run(*reversed(runs.every_verdict(tmp_path)), *more)
    found = view.page(run, tmp_path, Inline()).failures
    verdicts = [one.sentence.verdict for one in (*found.open, *found.more)]
    assert verdicts == [Verdict.INVALID, *[Verdict.FAILED] * 9, Verdict.INCONCLUSIVE]
    assert (len(found.open), len(found.more)) == (8, 3)
    page = runs.Page(report.render(run, tmp_path))
    assert "3 more failures" in page.text
    assert page.text.index("net0 : top-5") < page.text.index("3 more failures")
    assert first.folded(range(8)).more == ()


def test_every_sentence_links_to_its_evidence_and_stands_with_its_command(
    runs: ModuleType, tmp_path: Path
) -> None:
    run = runs.make_run(*runs.every_verdict(tmp_path))
    shown = view.page(run, tmp_path, Inline())
    page = runs.Page(report.render(run, tmp_path))
    ids = page.attributes("id")
    assert {href[1:] for href in page.attributes("href")} <= set(ids)
    assert [one.anchor for one in shown.failures.open] == ["failure-1", "failure-2", "failure-3"]
    order = ("broken", "fails", "unclear")
    for number, alias in enumerate(order, 1):
        article = page.html.partition(f'id="failure-{number}"')[2].partition("</article>")[0]
        assert f"</span>{alias}</span>" in article
    for one, alias in zip(shown.failures.open, order, strict=True):
        command = ["pytest", f"suites/accuracy.toml::photographs[{alias}]"]
        assert shlex.split(one.command)[:2] == command
    # right behind the headline, before counts, cards and everything else
    opening = page.text.partition("did not pass. ")[2]
    assert opening.startswith("! invalid photographs, broken : validity check")
    assert page.html.index('class="findings"') < page.html.index('class="counts"')
    assert page.html.index('class="counts"') < page.html.index('class="cards"')


def test_falls_of_one_check_share_a_command(runs: ModuleType, tmp_path: Path) -> None:
    metrics = [runs.share("robust_accuracy", 1, at=at) for at in ("1/510", "1/255")]
    fell = [runs.judgement(m, 0.5, Verdict.FAILED, at=m.at) for m in metrics]
    run = runs.make_run(item(tuple(metrics), *fell))
    page = runs.Page(report.render(run, tmp_path))
    opening = page.text.partition("The network")[0]
    assert opening.count("robust accuracy 0.05 at") == 2
    assert opening.count("pytest 'suites/fgsm.toml::one-step[alexnet]'") == 1


def test_what_fails_nothing_is_counted_and_linked(runs: ModuleType, tmp_path: Path) -> None:
    metric = runs.share("top5_accuracy", 11)
    held = (
        runs.judgement(metric, 0.9, Verdict.FAILED, severity="warn"),
        runs.judgement(metric, 0.95, Verdict.FAILED, severity="warn"),
        runs.judgement(metric, 0.99, Verdict.FAILED, known="an old model"),
    )
    warns = log.Validity(name="steps", outcome="failed", severity="warn", evidence="e", meaning="m")
    one = item((metric,), *held, verdict=Verdict.PASSED, validity=(warns,))
    notes = view.page(runs.make_run(one), tmp_path, Inline()).notes
    assert [(note.text, note.anchor) for note in notes] == [
        ("2 expectations that only warn", "excused"),
        ("1 expectation known to fail", "excused"),
        ("1 validity check that warns", "warned"),
    ]
    page = runs.Page(report.render(runs.make_run(one), tmp_path))
    assert {"excused", "warned"} <= set(page.attributes("id"))
    assert "Nothing failed." in page.text


def test_counts_name_what_judged_nothing(runs: ModuleType, tmp_path: Path) -> None:
    *_, seen, flat, away = runs.every_verdict(tmp_path)
    many = [away.model_copy(update={"check": f"check {n}", "id": f"i{n}"}) for n in range(20)]
    lone = runs.classifier("lone", unavailable="nobody asked")
    cards = tuple(runs.classifier(alias) for alias in ("seen", "flat", "away"))
    run = runs.make_run(seen, flat, away, *many, classifiers=(*cards, lone))
    shown = view.page(run, tmp_path, Inline())
    named = {count.verdict: (count.n, count.names, count.anchor) for count in shown.counts}
    assert named[Verdict.RECORDED] == (1, "photographs", "checks")
    assert named[Verdict.NOT_APPLICABLE] == (1, "photographs (flat)", "unjudged")
    assert named[Verdict.UNAVAILABLE] == (21, "away and lone", "unjudged")
    assert named[Verdict.FAILED] == (0, "", None)
    assert [(one.classifier, one.checks) for one in shown.unjudged.open] == [
        ("flat", "photographs"), ("away", "21 checks"), ("lone", ""),
    ]  # fmt: skip
    text = runs.Page(report.render(run, tmp_path)).text
    assert text.count(away.sentence) == 1, "once for all"
    assert "away on 21 checks: weights are not in the cache" in text


@pytest.mark.parametrize("name", ["$(reboot)", "`id`", "a b", "'; rm -rf ~ #", "<b>"])
def test_hostile_names_are_text_and_one_word_of_the_shell(
    runs: ModuleType, tmp_path: Path, name: str
) -> None:
    fell = runs.failed_item(tmp_path).model_copy(
        update={"id": f"suites/a.toml::{name}[net]", "check": name, "classifier": name}
    )
    run = runs.make_run(fell)
    (one,) = view.page(run, tmp_path, Inline()).failures.open
    assert shlex.split(one.command)[:2] == ["pytest", fell.id]
    page = runs.Page(report.render(run, tmp_path))
    assert f"{name}, {name} : top-5 accuracy 0.55" in page.text
