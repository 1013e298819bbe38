"""Thresholds that nothing can fail, or that hold nobody, are refused when a suite is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_evals.core.errors import UserError
from vision_evals.measures import lookup
from vision_evals.suite.parse import parse
from vision_evals.suite.suite import Suite

NOBODY = "names no classifier, so nothing can fail"
WITHOUT = "which this check does not have: nothing could fail the expectation"


def read(expect: str, measure: str = "accuracy", check: str = "", head: str = "") -> Suite:
    text = f"""
evals = 1
title = "t"
{head}
[[check]]
name = "c"
measure = "{measure}"
images = "photographs"
{check}
expect = [{{ {expect} }}]
"""
    return parse(text, "s.toml", lambda name: lookup(name, Path()))


def top1(bound: str) -> str:
    return f'metric = "top1_accuracy", {bound}'


@pytest.mark.parametrize(
    ("expect", "sentence"),
    [
        ("at_least = 0.5, for = []", f"for = []: {NOBODY}"),
        ('at_least = 0.5, for = ["a", "a"]', '"a" is listed twice'),
        ('at_least = 0.5, known = ""', "known = '': must say why the failure is expected"),
        ('at_least = 0.5, known = " \\t"', "must say why the failure is expected"),
        ('at_least = { of = "published", minus = 5 }', "published, 5 away: cannot fail"),
        ('at_least = { of = "published", minus = 1 }', "1 away: cannot fail"),
        ('at_most = { of = "published", plus = 1 }', "1 away: cannot fail"),
        ('at_least = { of = "baseline", minus = 1 }', "the baseline, 1 away: cannot fail"),
        ('at_least = { of = "baseline", plus = 5 }', "5 away: cannot be met"),
        ('at_most = { of = "a", minus = 5 }', "that of a, 5 away: cannot be met"),
        ('at_least = { of = "baseline", minus = true }', "should be a valid number"),
        ('at_least = { of = "baseline", minus = "0.1" }', "should be a valid number"),
        ('at_least = { of = "baseline", minus = nan }', "should be a finite number"),
        ('at_least = { of = "baseline", minus = inf }', "should be a finite number"),
        ("at_least = -inf", "should be a finite number"),
        ("at_least = -0.0", "cannot fail"),
        ("at_least = -0.1", "cannot fail"),
        ("at_most = 1", "cannot fail"),
        ("at_most = 1.5", "cannot fail"),
        ("at_most = -0.1", "cannot be met"),
        ("at_least = 1, confidence = 0.95", "the interval of a share reaches below 1"),
        ("at_most = 0, confidence = 0.95", "the interval of a share reaches below 1"),
        (
            'at_least = { of = "baseline", plus = 0.1 }, at_most = { of = "baseline" }',
            "no value is at least baseline + 0.1 and at most baseline + 0",
        ),
        ('at_least = { of = "a" }, for = ["a"]', "compares a with itself, which nothing can fail"),
    ],
)
def test_a_threshold_that_says_nothing_is_refused(expect: str, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        read(top1(expect))
    assert sentence in str(refused.value)
    assert str(refused.value).startswith('s.toml:5, check "c"')


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ({"check": "models = []"}, f"models = []: {NOBODY}"),
        ({"head": "models = []"}, f"models = []: {NOBODY}"),
        ({"check": 'models = ["a", "a"]'}, '"a" is listed twice'),
        ({"head": 'models = ["a", "a"]'}, '"a" is listed twice'),
    ],
)
def test_a_list_of_classifiers_names_each_once(where: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        read(top1("at_least = 0.5"), **where)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("measure", "expect", "check", "sentence"),
    [
        ("accuracy", 'metric = "nll", at_least = 0', "", "cannot fail"),
        ("accuracy", 'metric = "ece", at_most = 0.1, confidence = 0.95', "", "has no interval"),
        ("accuracy", 'metric = "overconfidence", at_least = -1', "", "cannot fail"),
        ("accuracy", 'metric = "overconfidence", at_most = 1', "", "cannot fail"),
        ("accuracy", 'metric = "expected_top1", at_least = 1.0', "", WITHOUT),
        ("predictions", 'metric = "auroc", at_least = 0.6', "", f"needs `against`, {WITHOUT}"),
        ("predictions", 'metric = "fpr_at_95_tpr", at_most = 0.6', "", WITHOUT),
        ("predictions", 'metric = "expected_answer", at_least = 1', "", WITHOUT),
        (
            "predictions", 'metric = "overconfident_fraction", at_most = 0.1', "overconfident = 1",
            "overconfident = 1: should be less than 1",
        ),
        (
            "dropout_gap", 'metric = "train_accuracy_spread", at_most = 0.8', "",
            "cannot fail: it lies in [0, 0.707107]",
        ),
    ],
)  # fmt: skip
def test_a_metric_that_says_nothing_here_is_refused(
    measure: str, expect: str, check: str, sentence: str
) -> None:
    with pytest.raises(UserError) as refused:
        read(expect, measure, check)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "expect",
    [
        top1("at_least = 1"),
        top1("at_most = 0"),
        top1("at_least = 0.001, at_most = 0.999"),
        top1('at_least = { of = "published", minus = 0.05 }'),
        top1('at_least = { of = "baseline", minus = 0.1 }, at_most = { of = "baseline" }'),
        'metric = "nll", at_most = 1e300',
        'metric = "overconfidence", at_least = -0.05, at_most = 0.05, confidence = 0.9',
        'metric = "ece", at_most = 0.0',
    ],
)
def test_a_threshold_that_can_be_missed_is_taken(expect: str) -> None:
    assert len(read(expect).checks) == 1
