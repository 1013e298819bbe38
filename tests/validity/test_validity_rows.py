"""Checks of rows: each holds on good rows, falls on rows broken for it, and counts by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from vision_evals.core.tables import Table
from vision_evals.images.image_set import Image, collect
from vision_evals.measures import accuracy, fgsm, targeted
from vision_evals.measures.measure import Measure, Subject
from vision_evals.measures.metrics import fraction
from vision_evals.suite.spec import MetricSpec
from vision_evals.validity import described, rows
from vision_evals.validity.check import CheckResult, Evidence, ValidityCheck

Make = Callable[..., Evidence]
SIZES = ("0", "1/510", "1/255", "2/255", "4/255")
ALL = (*rows.CHECKS, *described.CHECKS)


class Sweep(Table):
    """What a measure that sweeps would ask for."""

    epsilons: tuple[str, ...] = SIZES


def _summary(table: pd.DataFrame, parameters: Sweep, subject: Subject) -> tuple[Any, ...]:
    found = []
    for size in parameters.epsilons:
        at = table[table["epsilon"] == size]
        was_right = at[at["correct_clean"]]
        of = "images correct when clean"
        found += [
            fraction("robust_accuracy", at["correct"], subject, at=size),
            fraction("attack_success", ~was_right["correct"], subject, at=size, of=of),
        ]
    return tuple(found)


MEASURE = Measure(
    name="adversarial", about="", parameters=Sweep, labels=True, axis=("epsilon", "epsilons"),
    metrics=(
        MetricSpec("robust_accuracy", "", counts="image"),
        MetricSpec("attack_success", "", counts="correct_clean"),
    ),
    summarise=_summary,
)  # fmt: skip


def sweep(stands: Sequence[Sequence[int]], **columns: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Return rows of an image each; a first 0 is an image that is wrong when clean."""
    plain: dict[str, Callable[[int, int], Any]] = {
        "correct_fgsm": lambda i, j: bool(stands[i][j]),
        "correct_noise": lambda i, j: bool(stands[i][0] or j < 0),
        "ever": lambda i, j: bool(stands[i][0]) and not stands[i][j],
        "blind": lambda i, j: i + j < 0,
        "outside": lambda i, j: 0.0 * i * j,
    }
    return pd.DataFrame(
        [
            {
                "image": f"{i}.png",
                "epsilon": SIZES[j],
                "correct_clean": bool(stand[0]),
                "correct": bool(stand[j]),
                **{
                    name: columns[name][i][j] if name in columns else default(i, j)
                    for name, default in plain.items()
                },
            }
            for i, stand in enumerate(stands)
            for j in range(len(SIZES))
        ]
    )


GOOD = [[1, 1, 1, 0, 0]] * 10 + [[1, 1, 0, 0, 0]] * 10 + [[0, 0, 0, 0, 0]] * 4
"""Twenty-four images, four of them wrong when clean."""


@pytest.fixture
def evidence(asked: Make, small: Callable[..., Any], tmp_path: Path) -> Make:
    """Return what makes evidence of rows."""

    def make(table: pd.DataFrame, measure: Measure = MEASURE, parameters: Any = None) -> Evidence:
        images = tuple(Image(name, tmp_path / name) for name in dict.fromkeys(table["image"]))
        return asked(
            small(), 2, measure=measure, parameters=parameters or measure.parameters(),
            rows=table, image_set=collect("made up", images),
        )  # fmt: skip

    return make


@pytest.mark.parametrize("check", ALL, ids=lambda check: f"{check.id} {check.name}")
def test_good_rows_hold(check: ValidityCheck, evidence: Make) -> None:
    table = sweep(GOOD)
    if check.id == "S20":
        return  # below: its rows are others
    given = evidence(table)
    given = replace(given, classifier=replace(given.classifier, sha256="1" * 64))
    assert check.run(given).outcome == "passed"


@pytest.mark.parametrize(
    ("outside", "outcome"), [(1e-7, "passed"), (2e-6, "failed"), (float("nan"), "failed")]
)
def test_a_leak_of_one_point_falls(outside: float, outcome: str, evidence: Make) -> None:
    table = sweep(GOOD)
    table.loc[17, "outside"] = outside
    found = rows.inside_ball(evidence(table))
    assert found.outcome == outcome
    assert found.evidence.startswith(f"{int(outside > 1e-6)} of 120 points are outside")
    assert ("1 are not numbers" in found.evidence) == np.isnan(outside)


def test_rows_that_do_not_say_where_they_lie(evidence: Make) -> None:
    assert rows.inside_ball(evidence(sweep(GOOD).drop(columns="outside"))).outcome == "undecided"


def aimed(**columns: Sequence[Any]) -> pd.DataFrame:
    """Return rows of ``targeted``: 20 images at one budget."""
    n = 20
    plain: dict[str, Sequence[Any]] = {
        "image": [f"{i}" for i in range(n)], "budget": ["4/255"] * n, "already": [False] * n,
        "steps": [3] * n, "confidence_clean": [0.01] * n, "confidence": [0.9] * n,
        "linf": [4 / 255] * n, "low": [0.0] * n, "high": [1.0] * n, "success": [True] * n,
    }  # fmt: skip
    return pd.DataFrame({**plain, **columns})


@pytest.mark.parametrize(
    ("column", "worst"), [("linf", 5 / 255), ("low", -0.01), ("high", 1.01), ("linf", np.nan)]
)
def test_targeted_rows_leave_ball_or_box(column: str, worst: float, evidence: Make) -> None:
    parameters = targeted.Parameters(target="red", budgets=("4/255",))
    good = aimed()
    assert rows.inside_ball(evidence(good, targeted.MEASURE, parameters)).outcome == "passed"
    good.loc[3, column] = worst
    assert rows.inside_ball(evidence(good, targeted.MEASURE, parameters)).outcome == "failed"


@pytest.mark.parametrize(
    ("still", "outcome"), [(0, "passed"), (1, "passed"), (2, "undecided"), (6, "failed")]
)
def test_targets_that_gain_nothing(still: int, outcome: str, evidence: Make) -> None:
    after = [0.01] * still + [0.9] * (20 - still)
    given = evidence(aimed(confidence=after), targeted.MEASURE, targeted.Parameters(target="red"))
    found = rows.target_gains(given)
    assert found.outcome == outcome
    assert (binomtest(still, 20, 0.05, alternative="greater").pvalue < 0.01) == (
        outcome == "failed"
    )


def test_images_with_nothing_to_gain_do_not_count(evidence: Make) -> None:
    done = aimed(
        confidence=[0.01] * 20, steps=[0] * 10 + [3] * 10, already=[False] * 10 + [True] * 10
    )
    given = evidence(done, targeted.MEASURE, targeted.Parameters(target="red"))
    assert rows.target_gains(given).outcome == "undecided"
    old = evidence(done.drop(columns="confidence_clean"), targeted.MEASURE, given.parameters)
    assert rows.target_gains(old).outcome == "undecided"


def test_the_largest_budget_is_asked(evidence: Make) -> None:
    """In an order that would put 16/255 before 2/255 as text."""
    far, near = aimed(budget=["16/255"] * 20), aimed(budget=["2/255"] * 20, confidence=[0.0] * 20)
    for tables in ((far, near), (near, far)):
        given = evidence(
            pd.concat(tables, ignore_index=True),
            targeted.MEASURE,
            targeted.Parameters(target="red"),
        )
        assert rows.target_gains(given).outcome == "passed"


@pytest.mark.parametrize(("missed", "outcome"), [(1, "undecided"), (2, "undecided"), (3, "failed")])
def test_one_step_breaks_what_stands(missed: int, outcome: str, evidence: Make) -> None:
    """Each image misses at two epsilons and counts once."""
    one_step = [[1, 0, 0, 0, 0]] * missed + [[1, 1, 1, 0, 0]] * (20 - missed)
    found = rows.beats_one_step(evidence(sweep(GOOD[:20], correct_fgsm=one_step)))
    expected = binomtest(missed, 20, 0.01, alternative="greater").pvalue
    assert found.outcome == outcome
    assert (expected < 0.01) == (outcome == "failed")
    assert found.evidence.startswith(f"{missed} of 20 images break under one step")
    assert found.evidence.endswith("at 1/510, 1/255")


def test_images_wrong_when_clean_are_no_success_of_one_step(evidence: Make) -> None:
    table = sweep([[1, 1, 0, 0, 0]] * 6 + [[0, 1, 1, 1, 1]] * 14)
    table.loc[~table["correct_clean"], "correct_fgsm"] = False
    assert rows.beats_one_step(evidence(table)).outcome == "passed"


@pytest.mark.parametrize("check", [rows.beats_one_step, rows.no_silent_success])
def test_one_image_tells_nothing_about_a_rate(
    check: Callable[[Evidence], CheckResult], evidence: Make
) -> None:
    assert check(evidence(sweep(GOOD[:1]))).outcome == "undecided"


@pytest.mark.parametrize(
    ("up", "down", "outcome"),
    [(0, 0, "passed"), (1, 0, "undecided"), (8, 0, "undecided"), (9, 0, "failed"),
     (5, 4, "passed"), (9, 3, "undecided"), (12, 1, "failed")],
)  # fmt: skip
def test_a_drop_of_success(up: int, down: int, outcome: str, evidence: Make) -> None:
    """``up`` images get up from 1/255 to 2/255, ``down`` fall; the others fall at 4/255.

    Three pairs of neighbours share 1 %: eight of eight are p = 1 / 256, nine 1 / 512.
    """
    n = 40
    stands = [[1, 1, 0, 1, 1]] * up + [[1, 1, 1, 0, 0]] * down + [[1, 1, 1, 1, 0]] * (n - up - down)
    found = rows.more_breaks_more(evidence(sweep(stands)))
    assert found.outcome == outcome
    change = np.array([1] * up + [-1] * down + [0] * (n - up - down), dtype=float)
    within = change.mean() <= change.std() / np.sqrt(n) + 1e-12
    p = binomtest(up, up + down, alternative="greater").pvalue if up + down else 1.0
    assert (outcome == "passed") == within
    assert (outcome == "failed") == (not within and p < 0.01 / 3)


def test_success_is_counted_over_images_right_when_clean(evidence: Make) -> None:
    found = rows.more_breaks_more(evidence(sweep(GOOD)))
    assert (
        found.evidence == "success on 20 images: 0 at 1/510, 0.5 at 1/255, 1 at 2/255, 1 at 4/255"
    )


def test_a_curve_that_shows_nothing(evidence: Make) -> None:
    assert rows.more_breaks_more(evidence(sweep([[1] * 5] * 20))).outcome == "undecided"
    assert rows.more_breaks_more(evidence(sweep(GOOD[:6]))).outcome == "undecided"
    short = sweep(GOOD)
    short = short[short["epsilon"].isin(["0", "1/255"])]
    assert rows.more_breaks_more(evidence(short)).outcome == "undecided"


@pytest.mark.parametrize(
    ("won", "lost", "outcome"),
    [(7, 0, "passed"), (6, 0, "undecided"), (0, 3, "undecided"), (0, 4, "failed"),
     (14, 14, "failed"), (5, 5, "undecided"), (30, 10, "passed")],
)  # fmt: skip
def test_against_noise(won: int, lost: int, outcome: str, evidence: Make) -> None:
    """An image of each kind tells at 1/255 only, and a few more tell at 4/255."""
    stands = [[1, 1, 0, 1, 1]] * won + [[1, 1, 1, 1, 1]] * lost + [[0, 0, 0, 0, 0]] * 9
    noisy = [[1, 1, 1, 1, 1]] * won + [[1, 1, 0, 1, 1]] * lost + [[0, 1, 1, 1, 1]] * 9
    found = rows.beats_noise(evidence(sweep(stands, correct_noise=noisy)))
    assert found.outcome == outcome
    differ = f"of {won + lost} images that only one of the two breaks"
    assert found.evidence.startswith(f"at 1/255, {differ}, the attack breaks {won},")
    ahead = binomtest(won, won + lost, 0.5, alternative="greater").pvalue < 0.01
    behind = binomtest(won, won + lost, 0.75, alternative="less").pvalue < 0.01
    assert (outcome == "passed", outcome == "failed") == (ahead, behind and not ahead)


def test_noise_that_does_the_same(evidence: Make) -> None:
    same = [[bool(one) for one in stand] for stand in GOOD]
    assert rows.beats_noise(evidence(sweep(GOOD, correct_noise=same))).outcome == "undecided"


@pytest.mark.parametrize(("right", "outcome"), [(0, "failed"), (1, "passed")])
def test_robustness_of_nobody_is_no_number(right: int, outcome: str, evidence: Make) -> None:
    stands = [[1, 1, 0, 0, 0]] * right + [[0, 0, 0, 0, 0]] * (24 - right)
    found = rows.images_attacked(evidence(sweep(stands)))
    assert found.outcome == outcome
    assert found.evidence.startswith(f"{right} of 24 images are right when clean")


@pytest.mark.parametrize(("blind", "outcome"), [(0, "passed"), (2, "undecided"), (5, "failed")])
def test_images_that_stand_after_a_gradient_of_nothing(
    blind: int, outcome: str, evidence: Make
) -> None:
    """Of 24; what fell in the end was attacked all the same, and does not count."""
    table = sweep([[1, 1, 1, 1, 1]] * 12 + [[1, 0, 0, 0, 0]] * 12)
    table.loc[table["image"].isin([f"{i}.png" for i in range(blind)]), "blind"] = True
    table.loc[table["image"].isin([f"{i}.png" for i in range(12, 24)]), "blind"] = True
    found = rows.finite_on_the_way(evidence(table))
    assert found.outcome == outcome, found.evidence
    assert found.evidence.startswith(f"{blind} of 24 images stand")
    assert (outcome == "failed") == (
        binomtest(blind, 24, 0.05, alternative="greater").pvalue < 0.01
    )


@pytest.mark.parametrize(("silent", "outcome"), [(1, "undecided"), (3, "failed")])
def test_success_that_is_not_handed_back(silent: int, outcome: str, evidence: Make) -> None:
    table = sweep(GOOD)
    table.loc[table["image"].isin([f"{i}.png" for i in range(silent)]), "ever"] = True
    found = rows.no_silent_success(evidence(table))
    assert found.outcome == outcome
    assert found.evidence.startswith(f"{silent} of 24 images")


@pytest.mark.parametrize("gone", [{"0"}, {"1/510"}, {"2/255", "4/255"}])
def test_a_curve_that_is_too_short(gone: set[str], evidence: Make) -> None:
    """Without 0, with four epsilons, or with three that do not reach the end."""
    table = sweep(GOOD)
    assert rows.curve(evidence(table[~table["epsilon"].isin(gone)])).outcome == "failed"


def test_a_curve_at_whose_end_one_stands(evidence: Make) -> None:
    found = rows.curve(evidence(sweep([*GOOD, [1, 1, 1, 1, 1]])))
    assert found == CheckResult("failed", "5 epsilons; 1 of 21 images stand at the worst of them")
    nobody = rows.curve(evidence(sweep([[0, 0, 0, 0, 0]])))
    assert nobody.outcome == "undecided"


def broken(**changes: Any) -> Measure:
    """Return the measure with one of its metrics at 1/255 changed."""

    def summarise(*args: Any) -> tuple[Any, ...]:
        name = changes.get("name", "robust_accuracy")
        return tuple(
            m.model_copy(update=changes) if (m.name, m.at) == (name, "1/255") else m
            for m in _summary(*args)
        )

    return replace(MEASURE, summarise=summarise)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"value": 0.4}, "no whole number"),
        ({"low": 0.9}, "is not true within"),
        ({"high": 1.1}, "is not true within"),
        ({"low": None, "high": None}, "neither interval nor reason"),
        ({"n": 48}, "n = 48 of 24 images"),
        ({"n": 12}, "n = 12, and there are 24 images"),
        ({"name": "attack_success", "n": 10}, "there are 20 images correct when clean"),
    ],
)
def test_a_metric_that_does_not_add_up(changes: Any, said: str, evidence: Make) -> None:
    found = described.denominators(evidence(sweep(GOOD), broken(**changes)))
    assert found.outcome == "failed"
    assert said in found.evidence


@pytest.mark.parametrize("measure", [fgsm.MEASURE, targeted.MEASURE, accuracy.MEASURE])
def test_every_measure_of_images_is_guarded(measure: Measure) -> None:
    guarded = {check.id for check in ALL if check.guards(measure)}
    assert guarded >= {"S25", "S27"}
    assert ("S2" in guarded) == (measure.name != "accuracy")
    assert ("S13" in guarded) == (measure.name == "fgsm")


def test_a_description(evidence: Make) -> None:
    given = evidence(sweep(GOOD), fgsm.MEASURE, fgsm.Parameters(epsilons=("0", "1/255", 0.007)))
    own = described.full_description(given)
    assert own.outcome == "undecided"
    assert "no file whose hash is known" in own.evidence
    known = replace(given.classifier, sha256="1" * 64)
    found = described.full_description(replace(given, classifier=known))
    assert found.outcome == "passed"
    for part in ('epsilons = ["0", "1/255", 0.007]', "fgsm: norm linf", "seed 0", "torch 2"):
        assert part in found.evidence
    unnamed = replace(given.classifier, fingerprint="", sha256="1" * 64)
    assert described.full_description(replace(given, classifier=unnamed)).outcome == "failed"


def test_an_attack_is_described_by_its_numbers(evidence: Make) -> None:
    given = evidence(aimed(), targeted.MEASURE, targeted.Parameters(target="red", steps=7))
    said = described.full_description(given).evidence
    attack = said.partition("pgd: norm linf, ")[2].partition(";")[0].split(", ")
    assert {"steps 7", "rel_stepsize 0.25", "restarts 1", "loss cross_entropy"} <= set(attack)


class Forgetful(Sweep):
    """A table that does not write all of itself."""

    def model_dump(self, **_: Any) -> dict[str, Any]:
        return {}


class Vague(Table):
    """A table whose sizes are words."""

    epsilons: tuple[str, ...] = ("small", "1/255")


@pytest.mark.parametrize(
    ("parameters", "said"), [(Forgetful(), "the log would lack epsilons"), (Vague(), "small of")]
)
def test_a_description_that_lacks_something(parameters: Table, said: str, evidence: Make) -> None:
    found = described.full_description(evidence(sweep(GOOD), MEASURE, parameters))
    assert found.outcome == "failed"
    assert said in found.evidence
