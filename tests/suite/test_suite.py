"""Suites: what is read, and what is said of every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_evals.core.errors import UserError
from vision_evals.core.paths import data_folder
from vision_evals.core.tables import Table
from vision_evals.images.labels import class_map
from vision_evals.measures import MEASURES, lookup
from vision_evals.suite.expectation import Reference, same_point
from vision_evals.suite.parse import parse
from vision_evals.suite.spec import MetricSpec, Spec
from vision_evals.suite.suite import Suite, is_suite, json_schema


class Sweep(Table):
    """Parameters with an axis."""

    epsilons: tuple[str | float, ...] = ("0", "1/255")


SWEEP = Spec(
    name="sweep",
    about="A measure with an axis.",
    parameters=Sweep,
    labels=True,
    metrics=(
        MetricSpec("robust", "share", axis="epsilons", interval="wilson"),
        MetricSpec("exact", "no interval"),
        MetricSpec(
            "paired",
            "a mean over images",
            interval="wilson",
            per_image=lambda rows, _: rows.set_index("image")["right"],
        ),
    ),
)

HEAD = 'evals = 1\ntitle = "T"\n'
CHECK = '[[check]]\nname = "a"\nmeasure = "sweep"\nimages = "photographs"\n'


def read(text: str) -> Suite:
    return parse(text, "s.toml", lambda name: SWEEP if name == "sweep" else lookup(name, Path()))


def refused(text: str) -> str:
    with pytest.raises(UserError) as caught:
        read(text)
    return str(caught.value)


def test_a_whole_suite() -> None:
    suite = read(
        HEAD
        + 'about = "why"\nmodels = ["alexnet"]\n[images]\nphotographs = "art"\n'
        + CHECK
        + """epsilons = [0, "1/510", 0.5]
expect = [
  { metric = "robust", at = "2/1020", at_least = 0.5, confidence = 0.9, for = ["alexnet"] },
  { metric = "exact", at_most = { of = "vgg11", plus = 0.1 }, known = "see 12" },
  { metric = "exact", at_least = { of = "published", minus = 0.1 } },
]
"""
    )
    check = suite.checks[0]
    assert (suite.title, suite.about, suite.models) == ("T", "why", ("alexnet",))
    assert suite.images == {"photographs": "art"}
    assert (check.name, check.line) == ("a", 7)
    assert [e.metric for e in check.expectations("alexnet")] == ["robust", "exact", "exact"]
    assert [e.metric for e in check.expectations("vgg11")] == ["exact", "exact"]
    assert check.table.expect[1].bounds == (("at_most", Reference(of="vgg11", plus=0.1)),)
    assert suite.references() == {"alexnet", "vgg11"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("evals = 2\ntitle = 'T'\n", "evals = 2: this version reads evals = 1"),
        (HEAD, "has no [[check]]"),
        ("evals = 1\n" + CHECK + "expect = []", 'key "title" is missing'),
        (HEAD + "titel = 1\n" + CHECK + "expect = []", 'unknown key "titel"; did you mean "title"'),
        (HEAD + CHECK, 'check "a": key "expect" is missing; expect = [] only records'),
        (HEAD + "[[check]]\nname = 'a'\n", 'key "measure" is missing'),
        (
            HEAD + CHECK + "expect = []\nepsilon = 1",
            'unknown key "epsilon" for measure sweep; did you mean "epsilons"',
        ),
        (HEAD + CHECK.replace("sweep", "acuracy") + "expect = []", 'did you mean "accuracy"?'),
        (
            HEAD + CHECK.replace('"a"', '"a b"') + "expect = []",
            "name = 'a b': must be made of letters",
        ),
        (HEAD + CHECK + 'expect = [{ metric = "robst" }]', "expect 1"),
        (
            HEAD + CHECK + 'expect = [{ metric = "robst", at_least = 0.9 }]',
            'unknown metric "robst"; did you mean "robust"',
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "exact", at_lest = 1 }]',
            'unknown key "at_lest"; did you mean "at_least"',
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "exact", at_least = { of = "x", pluss = 1 } }]',
            'expect 1: at_least: unknown key "pluss"; did you mean "plus"?',
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "exact", at_least = { plus = 1 } }]',
            'expect 1: key "at_least.of" is missing',
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "exact" }]',
            "an expectation needs at_least or at_most",
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "exact", at_least = "high" }]',
            "at_least",
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "exact", at_least = nan }]',
            "finite number",
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "robust", at_least = 0.9 }]',
            "robust needs `at`, one of epsilons",
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "robust", at = "1/256", at_least = 0.9 }]',
            "at = '1/256' is none of epsilons = [0, 1/255]",
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "exact", at = 0, at_least = 0.9 }]',
            "exact has no axis; leave out `at`",
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "exact", at_least = 0.9, confidence = 0.9 }]',
            "exact has no interval; leave out `confidence`",
        ),
        (
            HEAD
            + CHECK
            + 'expect = [{ metric = "robust", at = 0, at_least = 0.9, confidence = 95 }]',
            "confidence = 95: should be less than 1",
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "exact", at_most = 5 }]',
            "exact at_most = 5 cannot fail: it lies in [0, 1]; 5 % is 0.05",
        ),
        (HEAD + CHECK + 'expect = [{ metric = "exact", at_least = 0 }]', "cannot fail"),
        (HEAD + CHECK + 'expect = [{ metric = "exact", at_least = 99 }]', "cannot be met"),
        (HEAD + CHECK + 'expect = [{ metric = "exact", at_least = true }]', "valid number"),
        (
            HEAD + CHECK + 'expect = [{ metric = "exact", at_least = 0.9, at_most = 0.1 }]',
            "no value is at least 0.9 and at most 0.1",
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "robust", at = 0, at_least = { of = "x" }, '
            "confidence = 0.9 }]",
            "robust is not a mean over images, so there is no test on pairs of it",
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "paired", at_least = { of = "baseline" }, '
            "confidence = 0.9 }]",
            "at 0 a network that is just as good is inconclusive nine times in ten; write "
            '{ of = "baseline", minus = 0.01 }, or leave out confidence',
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "paired", at_most = { of = "baseline" }, '
            "confidence = 0.9 }]",
            '{ of = "baseline", plus = 0.01 }',
        ),
        (
            HEAD + CHECK + 'expect = [{ metric = "paired", at_least = { of = "baseline", '
            "minus = 1 } }]",
            "paired at_least that of the baseline, 1 away: cannot fail, for it lies in [0, 1]; "
            "1 % is 0.01",
        ),
        (
            HEAD + "[images]\nphotograhps = 'x'\n" + CHECK + "expect = []",
            '[images] names "photograhps", which no check uses; did you mean "photographs"?',
        ),
        (
            HEAD + "[unavailable]\nphotograhps = 'x'\n" + CHECK + "expect = []",
            '[unavailable] names "photograhps", which no check uses; did you mean "photogra',
        ),
        (HEAD + CHECK + 'against = "x"\nexpect = []', "compares no two image sets"),
        (HEAD + CHECK + "expect = []\n" + CHECK + "expect = []", 'two checks are named "a"'),
        (HEAD + "about =", "not valid TOML"),
    ],
)
def test_mistakes_are_named_with_the_repair(text: str, said: str) -> None:
    message = refused(text)
    assert message.startswith("s.toml")
    assert said in message


def test_a_role_may_be_unavailable_for_a_reason() -> None:
    suite = read(HEAD + '[unavailable]\nphotographs = "in copyright"\n' + CHECK + "expect = []")
    assert suite.unavailable == {"photographs": "in copyright"}


def test_the_lecture_holds_four_answers_with_their_source() -> None:
    text = (data_folder("suites") / "lecture.toml").read_text(encoding="utf-8")
    suite = parse(text, "lecture.toml", lambda name: lookup(name, Path()))
    said = {
        (check.name, alias): (published["answer"], published["confidence"])
        for check in suite.checks
        for alias, published in check.parameters.model_dump()["expected"].items()
    }
    assert said == {
        ("rabbit", "alexnet"): ("hare", 0.9713),
        ("rabbit", "inception_v3"): ("hare", 0.8870),
        ("object", "alexnet"): ("mortar", 0.6926),
        ("object", "vgg11"): ("bath towel", 0.3279),
    }
    classes = class_map("imagenet", Path())
    assert all(classes.index(answer) for answer, _ in said.values())
    assert set(suite.unavailable) == suite.roles() == {"rabbit", "object"}


def test_every_broken_check_is_named_at_once() -> None:
    message = refused(HEAD + CHECK + CHECK.replace('"a"', '"b"'))
    assert 'check "a"' in message
    assert 'check "b"' in message


def test_the_line_of_the_header_is_in_the_message() -> None:
    assert "s.toml:3, check" in refused(HEAD + CHECK)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("evals = 1\n", True),
        ("# c\n  evals=2", True),
        ("[tool]\nevals = 1\n", False),
        ("[project]\nname = 'evals'\n", False),
        ("evaluation = 1\n", False),
        ("broken = [\nevals = 1\n", True),
        ("", False),
        ("\ufeffevals = 1\n", True),
        ('"evals" = 1\n', True),
        ("evals = true\n", False),
    ],
)
def test_only_files_that_say_so_are_suites(text: str, expected: bool) -> None:
    assert is_suite(text) is expected


def test_points_of_an_axis_are_equal_as_numbers() -> None:
    assert same_point("1/2", 0.5)
    assert same_point("4/1020", "1/255")
    assert not same_point("1/255", 0.00392)
    assert same_point("blur", "blur")
    assert not same_point("blur", 1)


def test_the_schema_knows_every_measure_and_parameter() -> None:
    schema = json_schema([lookup(name, Path()) for name in MEASURES])
    kinds = schema["properties"]["check"]["items"]["oneOf"]
    assert [kind["properties"]["measure"]["const"] for kind in kinds] == list(MEASURES)
    assert "expected_top1" in kinds[0]["properties"]
    assert "for" in schema["$defs"]["Expectation"]["properties"]


def test_gates_are_those_that_a_paired_test_decides() -> None:
    """Whatever is selected: the error rate of a familywise suite rests on this number."""
    suite = read(
        HEAD
        + "familywise = true\n"
        + CHECK
        + """expect = [
  { metric = "paired", at_least = { of = "baseline", minus = 0.01 } },
  { metric = "paired", at_least = { of = "vgg11" }, confidence = 0.95 },
  { metric = "paired", at_least = { of = "vgg11" } },
  { metric = "paired", at_least = 0.5, confidence = 0.95, for = ["alexnet"] },
  { metric = "paired", at_least = { of = "baseline", minus = 0.02 }, for = ["alexnet"] },
  { metric = "exact", at_most = { of = "baseline", plus = 0.1 } },
]
"""
    )
    assert suite.familywise
    assert suite.gates == 3
    (check,) = suite.checks
    assert (check.gates("alexnet"), check.gates("other")) == (3, 2)
    assert check.on_baseline("other")
    assert suite.references() == {"vgg11", "alexnet"}  # a baseline is no classifier of this run
    assert len(suite.sha256) == 64


def test_blank_lines_before_the_mark_take_no_time() -> None:
    """By a pattern that starts anew at each of them they would take hours."""
    assert is_suite("\n" * 300_000 + "evals = 1\n")
    assert not is_suite("\n \n" * 300_000)
    assert not is_suite(" " * 300_000 + "x")
