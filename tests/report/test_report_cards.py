"""The networks side by side: which numbers, from which check, and what changed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import log, report
from vision_evals.log import Verdict
from vision_evals.report import view
from vision_evals.report.addresses import Inline
from vision_evals.report.cards import NetworkCard

MINUS = "\N{MINUS SIGN}"


def item(measure: str, *metrics: log.Metric, check: str = "c", **more: Any) -> log.Item:
    fields: dict[str, Any] = {
        "id": f"s.toml::{check}[net]", "suite": "s.toml", "check": check, "classifier": "net",
        "measure": measure, "images": "photographs", "verdict": Verdict.RECORDED,
        "sentence": "recorded", "metrics": metrics,
    }  # fmt: skip
    return log.Item(**fields | more)


def card(runs: ModuleType, directory: Path, *items: log.Item) -> NetworkCard:
    run = runs.make_run(*items, classifiers=(runs.classifier("net"),))
    (found,) = view.page(run, directory, Inline()).cards.open
    return found


def lines(found: NetworkCard) -> list[tuple[str, str | None, str]]:
    return [(entry.label, entry.line.at, entry.line.reading.value) for entry in found.entries]


def test_a_card_leads_with_the_numbers_that_are_asked_for_first(
    runs: ModuleType, tmp_path: Path
) -> None:
    found = card(
        runs, tmp_path,
        item("predictions", runs.share("confidence_mean", 5), images="art", check="art"),
        item("dropout_gap", runs.share("accuracy_gap", 1), check="dropout"),
        item("dead_relu", runs.share("dead_fraction", 0), check="dead"),
        item("training", runs.spread("dead_at_end", 0.2, 0.25, 0.3), check="training"),
        item("adversarial", runs.share("robust_accuracy", 2, at="1/255"), check="worst"),
        item("fgsm", runs.share("robust_accuracy", 6, at="1/255"), check="step"),
        item("accuracy", runs.share("top1_accuracy", 9), runs.share("top5_accuracy", 19)),
    )  # fmt: skip
    assert lines(found) == [
        ("top-5 accuracy", None, "0.95"),
        ("one-step robust accuracy", "1/255", "0.30"),
        ("many-step robust accuracy", "1/255", "0.10"),
        ("dead units", None, "0.00"),
        ("dead units after training", None, "0.25"),
        ("dropout gap", None, "0.05"),
        ("confidence on art", None, "0.25"),
    ]
    first, *_ = found.entries
    assert first.line.reading.interval == "0.76 to 0.99", "19 of 20, by Wilson"
    assert (first.line.reading.n, first.line.denominator) == ("20", "images")
    assert first.gauge is not None
    assert first.gauge.value == pytest.approx(0.95)
    assert first.gauge.low == pytest.approx(0.7638, abs=1e-4)
    assert found.entries[4].line.reading.interval == "median of 3 seeds, 0.20 to 0.30"
    assert found.entries[5].gauge is None, "a gap is no share of anything"


def test_the_headlines_that_measures_declare_have_a_place_of_their_own() -> None:
    from vision_evals.measures import MEASURES, lookup

    metrics = [metric for name in MEASURES for metric in lookup(name, Path()).metrics]
    ranks = [metric.headline.rank for metric in metrics if metric.headline is not None]
    assert sorted(ranks) == list(range(1, 8))


def test_of_an_axis_the_judged_point_is_shown_else_the_usual_one_else_the_middle(
    runs: ModuleType, tmp_path: Path
) -> None:
    curve = [runs.share("robust_accuracy", hits, at=at) for at, hits in
             (("0", 18), ("1/510", 9), ("1/255", 4), ("4/255", 1))]  # fmt: skip
    held = runs.judgement(curve[1], 0.5, Verdict.FAILED, at="1/510")
    passed = runs.judgement(curve[0], 0.5, Verdict.PASSED, at="0")
    judged = item("fgsm", *curve, judgements=(passed, held), verdict=Verdict.FAILED)
    assert card(runs, tmp_path, judged).entries[0].line.at == "1/510", "the one that fell"
    assert card(runs, tmp_path, item("fgsm", *curve)).entries[0].line.at == "1/255"
    assert card(runs, tmp_path, item("fgsm", *curve[:2], curve[3])).entries[0].line.at == "1/510"


def test_of_two_checks_the_one_that_fell_is_shown(runs: ModuleType, tmp_path: Path) -> None:
    metric = runs.share("top5_accuracy", 9)
    held = runs.judgement(metric, 0.5, Verdict.FAILED)
    fell = item("accuracy", metric, check="sketches", judgements=(held,), verdict=Verdict.FAILED)
    entry = card(
        runs, tmp_path, item("accuracy", runs.share("top5_accuracy", 19), check="photos"), fell
    ).entries[0]
    assert (entry.line.reading.value, entry.check.item.check) == ("0.45", "sketches")
    assert entry.check.anchor == "check-2"


def test_confidence_is_shown_on_art_and_on_what_is_held_against_another_set(
    runs: ModuleType, tmp_path: Path
) -> None:
    mean = runs.share("confidence_mean", 5)
    seen = item("predictions", mean)
    run = runs.make_run(seen)
    assert view.page(run, tmp_path, Inline()).cards.open == ()
    told = seen.model_copy(update={"images": "sketches", "against": "photographs"})
    assert lines(card(runs, tmp_path, told)) == [("confidence on sketches", None, "0.25")]


def test_a_card_with_few_headlines_goes_on_with_what_is_expected(
    runs: ModuleType, tmp_path: Path
) -> None:
    loss = log.Metric(
        name="loss_gap", value=-0.2, unit="nats", n=120, denominator="steps",
        spread=(-0.21, -0.2, -0.03), reason="the median",
    )  # fmt: skip
    none = log.Metric(
        name="dead_at_end", value=None, unit="fraction", n=120, denominator="steps",
        reason="this network has none",
    )  # fmt: skip
    share = runs.spread("train_accuracy", 0.8, 0.9, 1.0)
    rest = [runs.share(f"metric_{number}", 10) for number in range(6)]
    passed = [runs.judgement(m, 0, Verdict.PASSED) for m in rest]
    held = log.Judgement(
        metric="loss_gap", side="at_most", threshold=-1, value=-0.2, verdict=Verdict.FAILED,
        sentence="s",
    )  # fmt: skip
    one = item(
        "training", none, *rest, loss, share, judgements=(*passed, held), verdict=Verdict.FAILED
    )
    found = card(runs, tmp_path, one)
    assert lines(found)[:2] == [
        ("loss gap", None, f"{MINUS}0.20"),
        ("metric 0", None, "0.50"),
    ]
    assert len(found.entries) == 5
    assert found.entries[0].gauge is None
    assert found.entries[0].line.reading.unit == "nats"
    assert found.entries[1].gauge is not None


def test_a_number_that_was_lost_is_said_and_why(runs: ModuleType, tmp_path: Path) -> None:
    lost = log.Metric(
        name="dead_at_end", value=None, unit="fraction", n=0, denominator="steps", lost=True,
        reason="a loss of epoch 3 is not finite",
    )  # fmt: skip
    run = runs.make_run(item("training", lost))
    text = runs.Page(report.render(run, tmp_path)).text
    assert "dead units after training none no interval, n = 0 steps: a loss of epoch 3" in text


def test_a_card_says_what_changed_against_the_baseline(runs: ModuleType, tmp_path: Path) -> None:
    paired = log.Paired(
        n=1000, difference=-0.05, low=-0.08, high=-0.02, confidence=0.9, method="score"
    )
    told = log.Comparison(
        run="r", alias="net",
        changes=(log.Change(metric="top5_accuracy", before=0.9, now=0.85, paired=paired),),
    )  # fmt: skip
    metric = runs.share("top5_accuracy", 850, 1000)
    plain = item("accuracy", metric, check="other")
    found = card(runs, tmp_path, plain, item("accuracy", metric, comparison=told))
    shift = found.entries[0].shift
    assert shift is not None
    assert (shift.difference, shift.interval, shift.tone) == (
        f"{MINUS}0.050",
        f"{MINUS}0.080 to {MINUS}0.020, 90 %",
        "worse",
    )
    run = runs.make_run(item("accuracy", metric, comparison=told))
    text = runs.Page(report.render(run, tmp_path)).text
    assert f"{MINUS}0.050 ({MINUS}0.080 to {MINUS}0.020, 90 %) worse against the baseline" in text


def test_many_networks_are_folded_and_unavailable_ones_have_no_card(
    runs: ModuleType, tmp_path: Path
) -> None:
    items = [runs.accuracy_item(tmp_path, f"net{number}") for number in range(11)]
    run = runs.make_run(*items, *runs.every_verdict(tmp_path)[5:])
    found = view.page(run, tmp_path, Inline()).cards
    assert [one.alias for one in (*found.open, *found.more)] == [f"net{n}" for n in range(11)]
    assert len(found.open) == 8
    page = runs.Page(report.render(run, tmp_path))
    assert "3 more networks" in page.text
    ids = set(page.attributes("id"))
    links = [a["href"][1:] for tag, a in page.tags if a.get("class") == "from"]
    assert len(links) == 11, "the expectation is about the headline, which stands once"
    assert set(links) <= ids


def test_hostile_names_on_a_card_are_text(runs: ModuleType, tmp_path: Path) -> None:
    attack = '<img src=x onerror="alert(1)">{{ 7 * 7 }}'
    metric = runs.share("top5_accuracy", 9, denominator=attack)
    one = item("accuracy", metric, check=attack, classifier=attack)
    page = runs.Page(report.render(runs.make_run(one), tmp_path))
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert f"n = 20 {attack}" in page.text


def test_a_card_says_what_is_said_of_the_number_and_not_of_its_check(
    runs: ModuleType, tmp_path: Path
) -> None:
    failed = runs.failed_item(tmp_path, "a")
    fell = runs.judgement(failed.metrics[0], 0.9, Verdict.FAILED)
    failed = failed.model_copy(update={"judgements": (fell,)})  # nothing is expected of its top-5
    (card,) = view.page(runs.make_run(failed), tmp_path, Inline()).cards.open
    said = {entry.line.metric: entry.line.verdict for entry in card.entries}
    assert said["top1_accuracy"] is Verdict.FAILED
    assert said["top5_accuracy"] is Verdict.RECORDED
