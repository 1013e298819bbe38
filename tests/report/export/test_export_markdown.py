"""The page of a run: what it says, that it stays short, and where it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vision_evals import log
from vision_evals.log import Verdict
from vision_evals.report.export.annotations import commands
from vision_evals.report.export.files import MAX_SUMMARY_BYTES, write_markdown
from vision_evals.report.export.junit import properties
from vision_evals.report.export.markdown import render

GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": "/w"}

TOP1 = log.Metric(
    name="top1_accuracy", value=0.79996, unit="fraction", n=5000, denominator="images", low=0.789,
    high=0.811, confidence=0.95, method="wilson",
)  # fmt: skip
PAIRED = log.Paired(
    n=5000, difference=-0.021, low=-0.028, high=-0.014, confidence=0.9, method="score", worse=310,
    better=205, p_value=1e-6,
)  # fmt: skip


def judgement(verdict: Verdict = Verdict.FAILED, **more: Any) -> log.Judgement:
    fields: dict[str, Any] = {
        "metric": "top1_accuracy", "side": "at_least", "threshold": 0.8, "value": 0.79996,
        "verdict": verdict, "sentence": "0.79996, at least 0.8 wanted",
    }  # fmt: skip
    return log.Judgement(**fields | more)


def item(check: str = "floor", verdict: Verdict = Verdict.FAILED, **more: Any) -> log.Item:
    fields: dict[str, Any] = {
        "id": f"suites/gate.toml::{check}[mine]", "suite": "suites/gate.toml", "line": 7,
        "check": check, "classifier": "mine", "measure": "accuracy", "verdict": verdict,
        "sentence": "0.79996, at least 0.8 wanted", "metrics": (TOP1,),
        "judgements": (judgement(verdict),),
    }  # fmt: skip
    return log.Item(**fields | more)


def run(*items: log.Item, **more: Any) -> log.Run:
    fields: dict[str, Any] = {
        "id": "20260101T000000-0000", "status": "finished", "started": "2026-01-01T00:00:00+00:00",
        "command": "pytest suites/ --evals-seed 7 --evals-markdown x.md --evals-mlflow=http://h",
        "settings": log.Settings(device="cpu", device_name="cpu", batch_size=1),
        "environment": log.Environment(versions={}, platform="Linux", threads=1),
        "items": items,
    }  # fmt: skip
    return log.Run(**fields | more)


def test_a_value_just_below_its_threshold_never_looks_like_it() -> None:
    assert "| top1\\_accuracy | 0.79996 (0.789 to 0.811) | 5,000 | at least 0.8 |" in render(
        run(item()), "Log: x"
    )


def test_the_command_repeats_what_changes_a_number_only() -> None:
    assert "\npytest 'suites/gate.toml::floor[mine]' --evals-seed 7\n" in render(run(item()), "x")


def compared(**more: Any) -> log.Item:
    before, now = log.Seen(name="cat", confidence=0.9), log.Seen(name="dog")
    lost = tuple(log.Flip(image=f"{n}.png", label="cat", before=before, now=now) for n in range(7))
    flips = log.Flips(metric="top1_accuracy", n=5000, worse=310, better=205, lost=lost)
    fields: dict[str, Any] = {"run": "old", "alias": "mine", "flips": flips}
    return item(
        "no-worse",
        judgements=(judgement(gate=log.Gate(of="baseline", margin=-0.01, paired=PAIRED)),),
        comparison=log.Comparison(**fields | more),
    )


def test_flips_and_false_alarms_are_told() -> None:
    baseline = log.Baseline(
        id="old", source="baseline", started="2025-12-31T00:00:00+00:00", commit="abc"
    )
    strict = PAIRED.model_copy(update={"confidence": 0.95})
    gate = log.Gate(of="baseline", margin=-0.01, paired=strict)
    other = item("other", judgements=(judgement(gate=gate),))
    page = render(run(compared(), other, baseline=baseline), "x")
    assert (
        "### Against the baseline\n\n<b>old</b> of 31 December 2025, 00:00 UTC, commit abc" in page
    )
    assert "310 right before and wrong now, 205 the reverse, of 5,000 images" in page
    assert "  - <b>0.png</b> (cat): cat 90 % before, dog now" in page
    assert "5.png" not in page
    assert "and 305 more" in page
    # 5 % of one gate and 2.5 % of the other
    assert "2 gates; if every gate were exactly at its margin, at most 0.08 false alarms" in page


def test_what_could_not_be_compared_says_why() -> None:
    page = render(run(compared(flips=None, refused="other images: <b> and `x`")), "x")
    assert "not compared: other images: &lt;b&gt; and \\`x\\`" in page


def test_without_a_baseline_nothing_is_said_of_one() -> None:
    assert "baseline" not in render(run(item()), "x")


def test_a_run_that_stopped_says_so() -> None:
    page = render(run(item(), status="interrupted", not_run=("a", "b")), "x")
    assert "then the run was interrupted" in page
    assert "2 selected checks did not run." in page
    assert "No check was selected." in render(run(), "x")


@pytest.mark.parametrize("many", [1, 300, 3000])
def test_a_page_is_never_longer_than_github_takes(many: int) -> None:
    hostile = "<|>`\N{COLLISION SYMBOL}" * 400
    items = [item(f"check-{n}", sentence=hostile) for n in range(many)]
    page = render(run(*items), "x", MAX_SUMMARY_BYTES)
    assert len(page.encode()) <= MAX_SUMMARY_BYTES
    assert page.startswith(f"## {'The one judged check' if many == 1 else f'{many} of {many}'}")
    assert ("left out here" in page) == (many > 1)


def test_the_file_is_short_enough_for_a_comment(tmp_path: Path) -> None:
    file = tmp_path / "x.md"
    assert not write_markdown(
        run(*[item(f"check-{n}") for n in range(999)]), tmp_path, None, file, {}
    )
    page = file.read_text("utf-8")
    assert 10_000 < len(page.encode()) <= 65_536
    assert "left out here" in page


def test_the_summary_takes_what_stands_there_into_account(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * (MAX_SUMMARY_BYTES - 3000))
    told = write_markdown(run(*[item(f"check-{n}") for n in range(100)]), tmp_path, None, None,
                {"GITHUB_STEP_SUMMARY": str(summary)})  # fmt: skip
    assert not told
    assert MAX_SUMMARY_BYTES - 3000 < summary.stat().st_size <= MAX_SUMMARY_BYTES
    summary.write_bytes(b"x" * (MAX_SUMMARY_BYTES - 10))
    (said,) = write_markdown(
        run(item()), tmp_path, None, None, {"GITHUB_STEP_SUMMARY": str(summary)}
    )
    assert "no room below GitHub's limit of 1 MiB" in said
    assert summary.stat().st_size == MAX_SUMMARY_BYTES - 10


def test_what_cannot_be_written_is_said_and_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "x.md"
    told = write_markdown(run(item()), tmp_path, None, path, {"GITHUB_STEP_SUMMARY": str(tmp_path)})
    assert [line.partition(" could not be written")[0] for line in told] == [
        f"--evals-markdown {path}",
        "the job summary",
    ]


# Annotations and JUnit of what a real run rarely has


def test_nobody_is_told_outside_github() -> None:
    assert commands(run(item()), Path("/x"), {}, lenient=False) == ()
    assert commands(run(item()), Path("/x"), {"GITHUB_ACTIONS": "false"}, lenient=False) == ()


@pytest.mark.parametrize(("lenient", "level"), [(True, "warning"), (False, "error")])
def test_an_inconclusive_check_that_was_skipped_is_a_warning(lenient: bool, level: str) -> None:
    unsure = run(item(verdict=Verdict.INCONCLUSIVE))
    (said,) = commands(unsure, Path("/w/sub"), GITHUB, lenient=lenient)
    head = f"::{level} file=sub/suites/gate.toml,line=7,title=floor[mine]%3A inconclusive::"
    assert said.startswith(head)


def test_a_suite_outside_the_workspace_has_no_file() -> None:
    (said,) = commands(run(item()), Path("/elsewhere"), GITHUB, lenient=False)
    assert said.startswith("::error title=floor[mine]%3A failed::")


def test_a_known_fall_and_a_pass_are_not_remarked_on() -> None:
    known = item(verdict=Verdict.PASSED, judgements=(judgement(known="issue 7", severity="warn"),))
    assert commands(run(known), Path(), {"GITHUB_ACTIONS": "true"}, lenient=False) == ()


def test_a_sentence_with_a_command_in_it_stays_one_line() -> None:
    evil = item(sentence="x\n::add-mask::y\r::set-output name=a::b")
    (said,) = commands(run(evil), Path(), {"GITHUB_ACTIONS": "true"}, lenient=False)
    assert len(said.splitlines()) == 1
    assert said.endswith("::FAILED: x ::add-mask::y ::set-output name=a::b")


def test_a_gate_is_in_the_properties() -> None:
    facts = dict(properties(compared()))
    assert facts["evals_top1_accuracy_gate_of"] == "baseline"
    assert facts["evals_top1_accuracy_gate_difference"] == "-0.021"
    assert facts["evals_top1_accuracy_gate_margin"] == "-0.01"
    assert facts["evals_top1_accuracy_gate_n"] == "5000"


def test_what_does_not_exist_has_no_property() -> None:
    lost = judgement(metric="unreadable", value=3, threshold=None, side=None, rule="every picture")
    facts = dict(properties(item(judgements=(lost,))))
    assert facts["evals_unreadable_value"] == "3.0"
    assert not any(name.endswith(("_threshold", "_low", "_n", "_at")) for name in facts)
