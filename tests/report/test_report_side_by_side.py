"""The page of two runs: what changed, which images flipped; nothing in a log becomes markup."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import log, report
from vision_evals.log import Verdict
from vision_evals.report import picture_budget
from vision_evals.report.addresses import Inline
from vision_evals.report.side_by_side import compared, gates

hostile = importlib.import_module("tests.report.test_report_hostile")


def paired(difference: float = -0.05, half: float = 0.03, **more: Any) -> log.Paired:
    known: dict[str, Any] = {"n": 1000, "difference": difference, "low": difference - half}
    known |= {"high": difference + half, "confidence": 0.9, "method": "score"}
    return log.Paired(**{**known, "worse": 80, "better": 30, "p_value": 1e-6, **more})


def flip(runs: ModuleType, directory: Path, name: str, *, drawn: bool = True) -> log.Flip:
    source = runs.photographs()[0]
    return log.Flip(
        image=f"{name}.jpg",
        label="goose",
        before=log.Seen(name="goose", confidence=0.91),
        now=log.Seen(name="strawberry", confidence=0.62),
        file=runs.write_picture(directory, source, name) if drawn else None,
    )


def run_beside(runs: ModuleType, directory: Path, flips: int = 3, **more: Any) -> log.Run:
    item = runs.failed_item(directory)
    changes = (
        log.Change(metric="top1_accuracy", before=0.9, now=0.85, paired=paired()),
        log.Change(metric="top5_accuracy", before=0.9, now=0.95, paired=paired(0.05)),
        log.Change(metric="ece", before=0.1, now=0.1234),
        log.Change(metric="nll", before=0.7, now=0.8012, paired=paired(0.1)),
    )
    told = log.Comparison(
        run="20261101T000000-aaaa",
        alias=item.classifier,
        changes=changes,
        flips=log.Flips(
            metric="top1_accuracy",
            n=1000,
            worse=80,
            better=30,
            lost=tuple(flip(runs, directory, f"l{i}") for i in range(flips)),
            won=(flip(runs, directory, "w", drawn=False),),
        ),
        **more,
    )
    gate = log.Gate(of="baseline", margin=-0.01, paired=paired())
    judgements = (item.judgements[0].model_copy(update={"gate": gate, "of": "baseline"}),)
    entry = item.model_copy(update={"comparison": told, "judgements": judgements})
    found: log.Run = runs.make_run(entry)
    return found.model_copy(
        update={
            "baseline": log.Baseline(
                id="20261101T000000-aaaa",
                source="baseline",
                started="2026-11-01T00:00:00+00:00",
                commit="0123456789abcdef",
            ),
            "suites": tuple(s.model_copy(update={"gates": 2}) for s in found.suites),
        }
    )


def test_the_flips_come_first_with_both_answers(runs: ModuleType, tmp_path: Path) -> None:
    html = report.render(run_beside(runs, tmp_path), tmp_path)
    page = runs.Page(html)
    assert "80 images turned wrong (8.0 %, the negative flip rate) and 30 turned right" in page.text
    assert "Right before, wrong now (3 of 80, the surest first)" in page.text
    assert "before goose 91 % now strawberry 62 %" in page.text
    assert html.index('id="beside"') < html.index('id="failed"')
    alts = [a["alt"] for tag, a in page.tags if tag == "img"]
    assert "goose, seen as goose 91 % before and strawberry 62 % now" in alts
    assert "commit 0123456789" in page.text


def test_directions_follow_the_metric_and_the_interval(runs: ModuleType, tmp_path: Path) -> None:
    run = run_beside(runs, tmp_path)
    colours = {item.classifier: "c0" for item in run.items}
    found = compared(run, colours, tmp_path, Inline())
    assert found is not None
    tones = {shift.metric: shift.tone for shift in found.entries[0].shifts}
    # nll rose, which is worse; ece has no test on pairs, so nobody can say
    assert tones == {
        "top1_accuracy": "worse",
        "top5_accuracy": "better",
        "ece": "open",
        "nll": "worse",
    }
    first = found.entries[0].shifts[0]
    assert first.difference == "\N{MINUS SIGN}0.050"
    assert first.interval == "\N{MINUS SIGN}0.080 to \N{MINUS SIGN}0.020, 90 %"


def test_gates_and_false_alarms_are_added_up(runs: ModuleType, tmp_path: Path) -> None:
    run = run_beside(runs, tmp_path)
    said = gates(run)
    assert said is not None
    assert said.startswith("1 paired gate applied, of 2 written in the suites.")
    assert "0.05 of them would fail by chance" in said
    twice = run.model_copy(update={"items": run.items * 2})
    assert "0.1 of them" in (gates(twice) or "")
    assert gates(runs.make_run(runs.failed_item(tmp_path))) is None


def test_a_page_holds_only_so_many_thumbnails(
    runs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_beside(runs, tmp_path, flips=5)
    one = (tmp_path / "pictures" / "l0.webp").stat().st_size
    monkeypatch.setattr(
        picture_budget, "MAX_FLIP_BYTES", 3 * one
    )  # two, as they stand there as text
    colours = {item.classifier: "c0" for item in run.items}
    found = compared(run, colours, tmp_path, Inline())
    assert found is not None
    assert found.entries[0].flipped is not None
    assert [turned.shown is not None for turned in found.entries[0].flipped.lost] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert found.without_picture == 3
    assert (
        "3 further flips are listed without the picture"
        in runs.Page(report.render(run, tmp_path)).text
    )


def test_what_differs_and_what_is_refused_is_said(runs: ModuleType, tmp_path: Path) -> None:
    run = run_beside(runs, tmp_path, differs=("precision: fp32 there, bf16 here",))
    assert (
        "precision: fp32 there, bf16 here. No gate applies to this comparison."
        in runs.Page(report.render(run, tmp_path)).text
    )
    told = log.Comparison(run="r", alias="net", refused="other images: 1 only here (x)")
    item = run.items[0].model_copy(update={"comparison": told, "verdict": Verdict.INVALID})
    page = runs.Page(report.render(run.model_copy(update={"items": (item,)}), tmp_path))
    assert "Not compared: other images: 1 only here (x)." in page.text


@pytest.mark.parametrize("attack", hostile.ATTACKS)
def test_no_text_of_either_run_becomes_markup(
    runs: ModuleType, tmp_path: Path, attack: str
) -> None:
    clean = run_beside(runs, tmp_path, differs=("x",))
    dirty = hostile.poison(clean, attack)
    clean = hostile.poison(clean, hostile.HARMLESS)
    before, after = (runs.Page(report.render(run, tmp_path)) for run in (clean, dirty))
    assert [tag for tag, _ in after.tags] == [tag for tag, _ in before.tags]
    path = tmp_path / "page.html"
    report.write_comparison(dirty, tmp_path, path)
    page = runs.Page(path.read_text(encoding="utf-8"))
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [
        {"type": "module"}
    ] * page.html.count('<script type="module">')


def test_the_page_of_two_runs_counts_all_that_turned_and_no_gates(
    runs: ModuleType, tmp_path: Path
) -> None:
    run = run_beside(runs, tmp_path)
    path = tmp_path / "page.html"
    report.write_comparison(run, tmp_path, path)
    page = runs.Page(path.read_text(encoding="utf-8"))
    assert "80 images turned wrong." in page.text  # of which three are shown
    assert "What changed" in page.text
    assert "paired gate" not in page.text
    twice = run.model_copy(update={"items": run.items * 2})
    report.write_comparison(twice, tmp_path, path)
    assert (
        "In one check 80 images turned wrong." in runs.Page(path.read_text(encoding="utf-8")).text
    )
