"""Headline, dates, and the command that reproduces a check."""

from __future__ import annotations

import shlex
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals import log
from vision_evals.log import Verdict
from vision_evals.report import words

ITEM = "suites/accuracy.toml::photographs[alexnet]"


def run(status: str = "finished") -> log.Run:
    return log.Run.model_validate(
        {
            "id": "r", "status": status, "started": "2026-11-23T08:17:20Z", "command": "pytest",
            "settings": {"device": "cpu", "device_name": "cpu", "batch_size": 1},
            "environment": {"versions": {}, "platform": "any", "threads": 1},
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ({}, "Nothing was judged"),
        ({Verdict.RECORDED: 3, Verdict.UNAVAILABLE: 1}, "Nothing was judged"),
        ({Verdict.PASSED: 6, Verdict.RECORDED: 2}, "All 6 judged checks passed"),
        ({Verdict.PASSED: 2}, "Both judged checks passed"),
        ({Verdict.PASSED: 1}, "The one judged check passed"),
        ({Verdict.PASSED: 4, Verdict.FAILED: 2}, "2 of 6 judged checks failed"),
        ({Verdict.FAILED: 1}, "The one judged check failed"),
        ({Verdict.INVALID: 1, Verdict.PASSED: 1}, "1 of 2 judged checks is invalid"),
        ({Verdict.INCONCLUSIVE: 2}, "2 of 2 judged checks are inconclusive"),
        ({Verdict.INVALID: 1, Verdict.FAILED: 2}, "3 of 3 judged checks did not pass"),
    ],
)
def test_headline(verdicts: dict[Verdict, int], sentence: str) -> None:
    assert words.headline(run(), Counter(verdicts)) == sentence


def test_a_run_that_did_not_finish_says_so_in_the_headline() -> None:
    passed = Counter({Verdict.PASSED: 2})
    interrupted = words.headline(run("interrupted"), passed)
    assert interrupted == "Both judged checks passed, then the run was interrupted"
    assert "not finished" in words.headline(run("running"), passed)
    assert words.alert(run()) is None


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("pytest", []),
        ("pytest suites/ -x -q --durations=3", []),
        ("pytest suites/ --evals-limit 5 --evals-seed=3", ["--evals-limit", "5", "--evals-seed=3"]),
        ("python -m pytest a --evals-run-dir b --evals-report=none --evals-pictures 2", []),
        ("pytest a --evals-run-id 7-1 --evals-run-id=7-1", []),
        ("pytest --evals-images 'my photos/x' s", ["--evals-images", "my photos/x"]),
        ("pytest -c other.toml s --rootdir=.", ["-c", "other.toml", "--rootdir=."]),
        ("pytest --evals-model a=alexnet@w.pt --evals-model vgg11",
         ["--evals-model", "a=alexnet@w.pt", "--evals-model", "vgg11"]),
        ("pytest 'open quote --evals-seed=3", []),
        ("pytest --evals-seed", ["--evals-seed"]),
        ("pytest --evals-recipes suites/", ["--evals-recipes"]),
        ("pytest --evals-markdown x.md --evals-mlflow=http://h s", []),
    ],
)  # fmt: skip
def test_reproduce_keeps_what_changes_a_number(command: str, kept: list[str]) -> None:
    assert shlex.split(words.reproduce(ITEM, command)) == ["pytest", ITEM, *kept]


def test_reproduce_quotes_the_node_id() -> None:
    assert words.reproduce(ITEM, "pytest") == f"pytest '{ITEM}'"


@given(st.text(min_size=1), st.text())
def test_reproduce_is_one_safe_line_of_shell_whatever_the_id(node_id: str, command: str) -> None:
    assert shlex.split(words.reproduce(node_id, command))[:2] == ["pytest", node_id]


def test_dates() -> None:
    assert words.date("2026-11-23T08:17:20Z") == "23 November 2026, 08:17 UTC"
    assert words.date("2026-11-23T08:17:20+00:00") == "23 November 2026, 08:17 UTC"
    assert words.date("not a date") == "not a date"


def test_lists() -> None:
    assert words.listed([]) == ""
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.plural(1, "picture") == "1 picture"
    assert words.plural(1500, "picture") == "1,500 pictures"
