"""Names and values, held against MLflow's own rules."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils import validation

from vision_evals import log
from vision_evals.log import Verdict
from vision_evals.report.export.mlflow import (
    MAX_BATCH_ENTRIES,
    MAX_NAME_CHARS,
    MAX_VALUE_CHARS,
    _text,
    metrics,
    named,
    parameters,
)

RULES: Any = validation
"""Untyped there."""

PARTS = st.lists(st.sampled_from(["..", ".", "", " ", "a", "\N{SNOWMAN}", "b:c", "@", "x" * 300]))
NAMES = st.one_of(st.text(min_size=1), PARTS.map("/".join), st.text("ab/. @", min_size=1))


@given(st.lists(NAMES, unique=True))
def test_every_name_is_taken_and_none_is_lost(names: list[str]) -> None:
    found = named({name: f"of {name}" for name in names})
    assert sorted(found.values()) == sorted(f"of {name}" for name in names)
    for key, value in found.items():
        assert len(key) <= MAX_NAME_CHARS
        RULES._validate_metric_name(key)
        RULES._validate_tag(key, value)
        RULES._validate_param(key, value)


def test_plain_names_stay_what_they_are() -> None:
    plain = "suites/gate/floor/top1_accuracy at 4_255.low"
    assert list(named({plain: 1})) == [plain]


def test_a_name_with_two_readings_gets_a_mark_of_its_own() -> None:
    one, two = named({"a@b": 1, "a_b": 2})
    assert one == "a_b"
    assert two.startswith("a_b-")


@given(st.text(max_size=3 * MAX_VALUE_CHARS))
def test_values_are_cut_to_what_mlflow_takes(text: str) -> None:
    said = _text(text)
    assert len(said) <= MAX_VALUE_CHARS
    assert said == text or (len(text) > MAX_VALUE_CHARS and said.endswith("..."))
    assert _text({"a": 1}) == '{"a": 1}'


def item() -> log.Item:
    paired = log.Paired(n=5, difference=-0.2, low=-0.4, high=0.1, confidence=0.9, method="score")
    gate = log.Gate(of="baseline", margin=-0.01, paired=paired)
    metric = log.Metric(
        name="robust_accuracy", at="4/255", value=0.5, unit="fraction", n=4, denominator="images",
        low=0.1, high=0.9, confidence=0.95, method="wilson",
    )  # fmt: skip
    none = log.Metric(name="nll", value=None, unit="nats", n=0, denominator="images", reason="none")
    judgement = log.Judgement(
        metric="robust_accuracy", at="4/255", side="at_least", of="baseline", minus=0.01,
        threshold=0.6, value=0.5, verdict=Verdict.FAILED, sentence="0.5", gate=gate,
    )  # fmt: skip
    return log.Item(
        id="s.toml::c[a]", suite="s.toml", check="c", classifier="a", measure="fgsm",
        parameters={"many": list(range(3 * MAX_BATCH_ENTRIES))}, verdict=Verdict.FAILED,
        sentence="0.5",
        metrics=(metric, none), judgements=(judgement,),
    )  # fmt: skip


def test_numbers_of_a_check_and_its_gate() -> None:
    name = "s/c/robust_accuracy at 4_255"
    assert metrics([item()]) == {
        name: 0.5, f"{name}.n": 4.0, f"{name}.low": 0.1, f"{name}.high": 0.9,
        f"{name}.difference": -0.2, f"{name}.difference.low": -0.4, f"{name}.difference.high": 0.1,
    }  # fmt: skip


def test_parameters_leave_out_what_nobody_knows() -> None:
    classifier = log.Classifier(alias="a", network="nets:build", fingerprint="f" * 64)
    found = parameters(classifier, [item()])
    assert found["fingerprint"] == "f" * 64
    assert "sha256" not in found
    assert found["s/c/many"].startswith("[0, 1, 2")
