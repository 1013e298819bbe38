"""Logs of older formats: real ones read, render and serve as baseline as they did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals import log, report
from vision_evals.core.errors import UserError
from vision_evals.engine.merge import union
from vision_evals.log.upgrade import STEPS, upgraded

FIXTURES = Path(__file__).parents[1] / "log_fixtures"
RUNS = sorted(folder.name for folder in FIXTURES.iterdir())
"""Runs as format 2 left them, of small networks and with small pictures."""


def raw(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / name / "run.json").read_text("utf-8"))
    return found


def texts(run: dict[str, Any]) -> Iterator[str]:
    """Yield what the page of a run said in the words of its log, up to format 2."""
    for item in run["items"]:
        for metric in item["metrics"]:
            yield metric["about"]
        for judgement in item["judgements"]:
            yield judgement["wanted"]
        for picture in item["pictures"]:
            for panel in picture["panels"]:
                yield from filter(None, (panel["title"], panel["said"]))
        for plot in item["plots"]:
            yield from (line["name"] for line in plot["lines"])
    for card in run["classifiers"]:
        yield card["classes"]


def test_there_are_three_of_the_format_before_this_one() -> None:
    assert [raw(name)["version"] for name in RUNS] == [2, 2, 2]
    assert log.VERSION == 3
    assert set(STEPS) == {1, 2}, "one step from each older format"


@pytest.mark.parametrize("name", RUNS)
def test_an_older_log_says_on_its_page_what_it_said(name: str) -> None:
    run = log.read(FIXTURES / name)
    assert run.version == log.VERSION
    page = " ".join(unescape(report.render(run, FIXTURES / name)).split())
    told = dict.fromkeys(texts(raw(name)))
    assert len(told) > 10
    assert [text for text in told if " ".join(text.split()) not in page] == []


@pytest.mark.parametrize("name", RUNS)
def test_an_older_log_is_written_in_todays_format(name: str, tmp_path: Path) -> None:
    run = log.read(FIXTURES / name)
    log.write(run, tmp_path)
    assert json.loads((tmp_path / "run.json").read_text("utf-8"))["version"] == log.VERSION
    assert log.read(tmp_path) == run


@pytest.mark.parametrize("name", RUNS)
def test_words_made_of_the_fields_are_those_that_were_read(name: str) -> None:
    old, new = raw(name), log.read(FIXTURES / name)
    for before, card in zip(old["classifiers"], new.classifiers, strict=True):
        assert card.classes == before["classes"]
    for was, item in zip(old["items"], new.items, strict=True):
        wanted = [one["wanted"] for one in was["judgements"]]
        assert [judgement.wanted for judgement in item.judgements] == wanted
        for judgement in item.judgements:
            assert judgement.sentence.endswith(judgement.further)
            assert judgement.side is not None
        panels = [p for picture in was["pictures"] for p in picture["panels"]]
        said = [(p["title"], p["said"]) for p in panels]
        now = [panel for picture in item.pictures for panel in picture.panels]
        assert [(panel.heading, panel.subtitle) for panel in now] == said
        names = [line["name"] for plot in was["plots"] for line in plot["lines"]]
        assert [line.full for plot in item.plots for line in plot.lines] == names


@given(
    st.sampled_from(["at_least", "at_most"]),
    st.sampled_from([None, "published", "baseline", "net-1.5", "that.of"]),
    st.floats(0, 10),
    st.floats(0, 10),
    st.none() | st.floats(-1e3, 1e3),
)
def test_every_expectation_is_read_back_from_its_words(
    side: Any, of: str | None, plus: float, minus: float, threshold: float | None
) -> None:
    if of is None:
        plus, minus, threshold = 0.0, 0.0, threshold or 0.5
    made = log.Judgement(
        metric="m", side=side, of=of, plus=plus, minus=minus, threshold=threshold, value=None,
        verdict=log.Verdict.FAILED, sentence="s",
    )  # fmt: skip
    old = made.model_dump(mode="json") | {"wanted": made.wanted}
    for name in ("side", "of", "plus", "minus", "rule", "further", "confidence", "excused"):
        old.pop(name)
    item = {
        "id": "s::c[a]", "suite": "s", "check": "c", "classifier": "a", "measure": "m",
        "verdict": "failed", "sentence": "s", "metrics": [], "judgements": [old],
    }  # fmt: skip
    run = upgraded({"version": 2, "items": [item]})
    (found,) = log.Item.model_validate(run["items"][0]).judgements
    assert (found.side, found.of, found.wanted) == (side, of, made.wanted)
    assert found.plus == float(f"{plus:.4g}")
    assert found.minus == float(f"{minus:.4g}")


PLAIN = {"n": None, "changed": 0, "logit_error": None}


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        (
            "forwards: fp32 there, bf16, folded on cpu (contiguous) (3 of 1,120 decisions changed, "
            "logits by up to 0.012) here",
            [
                (
                    "forwards",
                    {"words": "fp32", **PLAIN},
                    {
                        "words": "bf16, folded on cpu (contiguous)",
                        "n": 1120,
                        "changed": 3,
                        "logit_error": 0.012,
                    },
                )
            ],
        ),
        (
            "decoder: nvjpeg (2 of 100 decisions changed) there, pil here; device: cpu (contiguous)"
            " and cuda (contiguous) (not measured) there, cpu (contiguous) here",
            [
                (
                    "decoder",
                    {"words": "nvjpeg", "n": 100, "changed": 2, "logit_error": None},
                    {"words": "pil", **PLAIN},
                ),
                (
                    "device",
                    {**PLAIN, "words": "cpu (contiguous) and cuda (contiguous)", "n": 0},
                    {"words": "cpu (contiguous)", **PLAIN},
                ),
            ],
        ),
    ],
)
def test_paths_are_read_back_from_their_sentence(
    sentence: str, found: list[tuple[str, dict[str, Any], dict[str, Any]]]
) -> None:
    told = f"computed on different paths, {sentence}"
    run = raw("gate")
    run["items"][0]["comparison"]["paths"] = told
    item = log.Run.model_validate(upgraded(run)).items[0]
    assert item.comparison is not None
    assert item.comparison.different_paths == told
    paths = item.comparison.paths
    assert [(p.step, p.before.model_dump(), p.now.model_dump()) for p in paths] == found


def test_devices_of_a_merged_run_are_listed() -> None:
    old = raw("photographs")
    assert log.Run.model_validate(upgraded(old)).settings.devices == (), "one stands for itself"
    old["settings"]["device"] = "cpu, cuda:0"
    assert log.Run.model_validate(upgraded(old)).settings.devices == ("cpu", "cuda:0")
    run = log.read(FIXTURES / "photographs")
    other = run.settings.model_copy(update={"device": "cuda:0"})
    merged = union.settings([run, run.model_copy(update={"settings": other}), run])
    assert (merged.device, merged.devices) == ("cpu, cuda:0", ("cpu", "cuda:0"))


def test_what_is_no_bound_and_no_answer_stays_as_it_was_written() -> None:
    judgement = {
        "metric": "unreadable", "wanted": "every picture readable", "threshold": 0, "value": 3,
        "verdict": "failed", "sentence": "3 pictures unreadable", "severity": "warn",
    }  # fmt: skip
    panel = {"title": "epsilon 1: 2", "said": "no number"}
    picture = {"image": "i", "file": "f", "sample": "fair", "caption": "c", "panels": [panel]}
    item = {
        "id": "s::c[a]", "suite": "s", "check": "c", "classifier": "a", "measure": "mine",
        "verdict": "failed", "sentence": "INVALID: net.pt: 3 of 16 tensors", "metrics": [],
        "judgements": [judgement], "pictures": [picture],
    }  # fmt: skip
    found = log.Item.model_validate(upgraded({"version": 1, "items": [item]})["items"][0])
    assert found.judgements[0].wanted == "every picture readable"
    assert found.judgements[0].excused, "it only warned"
    assert (found.pictures[0].panels[0].heading, found.pictures[0].panels[0].subtitle) == (
        "epsilon 1: 2",
        "no number",
    )
    assert found.sentence == "net.pt: 3 of 16 tensors"
    assert found.worst_first is None


def test_an_older_log_that_is_damaged_is_named(tmp_path: Path) -> None:
    cases: list[dict[str, Any]] = [
        {"items": [{}]},
        {"items": 3},
        {"classifiers": ["a"]},
        {"mutants": [{}, 1]},
    ]
    for broken in cases:
        text = json.dumps({"version": 2, "id": "x", **broken})
        (tmp_path / "run.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match="not a run log of format 2"):
            log.read(tmp_path)


def test_the_fixtures_stay_small() -> None:
    files = [file for file in FIXTURES.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 400_000
    assert max(file.stat().st_size for file in files if file.name != "run.json") < 20_000
