"""Checks that attack: each holds for a good attack, and falls for one broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from vision_evals.attacks.apgd import AutoPGD
from vision_evals.attacks.attack import Attacked, Draws, Victim
from vision_evals.attacks.balls import BALLS, Ball, L2Ball, LinfBall
from vision_evals.attacks.criteria import Criterion
from vision_evals.attacks.fgsm import FastGradientSign
from vision_evals.attacks.pgd import ProjectedGradientDescent
from vision_evals.core.tables import Table
from vision_evals.measures import fgsm, targeted
from vision_evals.measures.measure import Measure
from vision_evals.validity import attacks, power
from vision_evals.validity import rows as row_checks
from vision_evals.validity.batch import (
    ball_of_all,
    build_validity_batch,
    informative_epsilon,
    iterated_of,
)
from vision_evals.validity.check import CheckResult, Evidence, ValidityCheck

Make = Callable[..., Evidence]
CHECKS = (*attacks.CHECKS, *power.CHECKS)
PGD = ProjectedGradientDescent(steps=40)


class Parameters(Table):
    """What a measure of attacks would ask for."""

    norm: str = "linf"
    epsilons: tuple[str, ...] = ("0", "1/255", "2/255")


def measuring(attack: object) -> Measure:
    return Measure(
        name="adversarial", about="", parameters=Parameters, metrics=(), labels=True,
        axis=("epsilon", "epsilons"), iterated=True, columns=("correct_clean", "correct"),
        summarise=lambda *_: (), attack=lambda _: attack,  # type: ignore[arg-type, return-value]
    )  # fmt: skip


def rows(n: int = 16, stand: int = 8) -> pd.DataFrame:
    """Return n images right when clean, of which ``stand`` stand at 1/255 and none at 2/255."""
    return pd.DataFrame(
        [
            {
                "image": str(i),
                "epsilon": size,
                "correct_clean": True,
                "correct": size == "0" or (size == "1/255" and i < stand),
                "correct_8bit": size == "0" or i % 4 == 0,
            }
            for i in range(n)
            for size in ("0", "1/255", "2/255")
        ]
    )


@pytest.fixture
def validity_batch(asked: Make, small: Callable[..., Any], curved: nn.Module) -> Make:
    """Return what makes evidence of an attack on a network, the curved one if none is given."""

    def make(
        attack: object = PGD,
        network: nn.Module | None = None,
        n: int = 16,
        norm: str = "linf",
        table: pd.DataFrame | None = None,
        **more: Any,
    ) -> Evidence:
        return asked(
            small(network or curved), n, measure=measuring(attack),
            parameters=Parameters(norm=norm), rows=rows(n) if table is None else table, **more,
        )  # fmt: skip

    return make


def look(number: str, evidence: Evidence) -> CheckResult:
    (check,) = (c for c in CHECKS if c.id == number and c.guards(evidence.measure))
    return check.run(evidence)


@dataclass(frozen=True)
class Changed:
    """An attack whose result somebody changed: iterated, and otherwise PGD."""

    change: Callable[[torch.Tensor, Attacked], torch.Tensor]
    attack: Any = PGD
    name: str = "changed"
    norms: frozenset[str] = frozenset(BALLS)
    iterated: bool = True

    def __call__(
        self, victim: Victim, pixels: torch.Tensor, criterion: Criterion, ball: Ball, draws: Draws
    ) -> Attacked:
        found: Attacked = self.attack(victim, pixels, criterion, ball, draws)
        return found._replace(pixels=self.change(pixels, found))


IDLE = Changed(lambda pixels, _: pixels.clone())
"""Hands back the wrong iterate: the first."""
STUCK = ProjectedGradientDescent(steps=0)
"""Stops before its first step, somewhere in the ball."""


class Masked(nn.Module):
    """A network that sees pixels in coarse steps: its gradient is 0 everywhere."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(pixels.mul(2040).round().div(2040))
        return out


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack", [PGD, AutoPGD(steps=40)], ids=["pgd", "apgd"])
@pytest.mark.parametrize("number", ["S1", "S11", "S12", "S16", "S21", "S26"])
def test_a_good_attack_holds(number: str, attack: object, norm: str, validity_batch: Make) -> None:
    found = look(number, validity_batch(attack, norm=norm))
    assert found.outcome == "passed", found.evidence


NESTED = ("correct_clean", "correct", "broken_at")
"""Columns of a measure whose balls begin with the points of smaller ones."""


def nested_rows(broken: int) -> pd.DataFrame:
    """Return 16 images of which the first attack broke the first ``broken`` at 1/255."""
    table = rows().replace({"epsilon": {"2/255": "1/2"}})
    here = (table["image"].astype(int) < broken) & (table["epsilon"] == "1/255")
    return table.assign(broken_by=here.map({True: 0, False: -1}))


@pytest.mark.parametrize(
    ("attack", "broken", "outcome", "text"),
    [
        (PGD, 16, "passed", "0 of 4 images stand"),
        (IDLE, 16, "failed", "4 of 4 images stand"),
        (IDLE, 1, "undecided", "1 of 1 images stand"),
        (PGD, 0, "undecided", "breaks no image in a smaller ball"),
    ],
)
def test_what_broke_in_a_smaller_ball_breaks_afresh_in_the_largest(
    attack: object, broken: int, outcome: str, text: str, validity_batch: Make
) -> None:
    """Rows in which a larger ball begins with a smaller one's points cannot show a weak attack."""
    evidence = validity_batch(attack, table=nested_rows(broken))
    evidence = replace(evidence, measure=replace(evidence.measure, columns=NESTED))
    names = {c.name for c in (*CHECKS, *row_checks.CHECKS) if c.guards(evidence.measure)}
    assert "a larger ball breaks them afresh" in names
    assert "more budget breaks more" not in names
    found = look("S10", evidence)
    assert found.outcome == outcome, found.evidence
    assert text in found.evidence


@pytest.mark.parametrize("attack", [IDLE, STUCK], ids=["idle", "stuck"])
@pytest.mark.parametrize("number", ["S12", "S21"])
def test_an_attack_that_goes_nowhere_falls(
    number: str, attack: object, validity_batch: Make
) -> None:
    assert look(number, validity_batch(attack)).outcome == "failed"


def test_an_attack_that_hands_back_the_image_falls_at_half_the_scale(validity_batch: Make) -> None:
    """All 16 stand where a third would by chance: 3^-16."""
    assert look("S11", validity_batch(IDLE)).outcome == "failed"
    assert look("S11", validity_batch(IDLE, n=4)).outcome == "undecided"  # 3^-4 is above 1 %


@pytest.mark.parametrize("number", ["S12", "S21"])
def test_a_masked_network_falls(number: str, validity_batch: Make, curved: nn.Module) -> None:
    still = ProjectedGradientDescent(steps=40, random_start=False)
    assert look(number, validity_batch(still, Masked(curved))).outcome == "failed"


@pytest.mark.parametrize("number", ["S12", "S16", "S21"])
def test_one_image_tells_nothing(number: str, validity_batch: Make) -> None:
    table = rows(1, stand=1)
    assert look(number, validity_batch(n=1, table=table)).outcome == "undecided"


def test_images_wrong_when_clean_are_not_looked_at(validity_batch: Make) -> None:
    right = build_validity_batch(validity_batch()).criterion.label
    label = torch.where(torch.arange(16) < 12, right, (right + 1) % 3)
    given = validity_batch(IDLE, label=label)
    assert look("S12", given).evidence.startswith("12 of 12 images stand")
    assert look("S11", given).evidence.startswith("12 of 16 images stand")
    nobody = validity_batch(label=(right + 1) % 3)
    from vision_evals.validity.examine import _run_check

    (check,) = (c for c in CHECKS if c.id == "S12")
    assert "none of the images" in _run_check(check, nobody).evidence


def test_a_ball_of_zero_that_moves_pixels(validity_batch: Make) -> None:
    """By one part in a million, which changes no answer."""
    leaking = Changed(lambda pixels, _: pixels + 1e-6)
    found = look("S1", validity_batch(leaking))
    assert found.outcome == "failed"
    assert found.evidence.startswith("of 2 images in a ball of 0, 2 change and 0 get another")


@pytest.mark.parametrize(("wrong", "outcome"), [(0, "passed"), (1, "undecided"), (2, "failed")])
def test_rows_at_zero_that_differ_from_clean(
    wrong: int, outcome: str, validity_batch: Make
) -> None:
    table = rows()
    table.loc[(table["epsilon"] == "0") & table["image"].isin(list("01")[:wrong]), "correct"] = (
        False
    )
    found = look("S1", validity_batch(table=table))
    expected = binomtest(wrong, 16, 0.005, alternative="greater").pvalue
    assert found.outcome == outcome
    assert (expected < 0.01) == (outcome == "failed")


def test_how_large_the_balls_are(validity_batch: Make) -> None:
    """Moving each of 768 values by 0.5 has the Euclidean length 0.5 sqrt(768)."""
    assert ball_of_all(validity_batch(norm="l2"), 0.5).epsilon == pytest.approx(
        0.5 * 768**0.5, rel=1e-12
    )
    assert ball_of_all(validity_batch(), 0.5) == LinfBall(0.5)
    assert isinstance(ball_of_all(validity_batch(norm="l2"), 1.0), L2Ball)


def test_which_budget_tells(validity_batch: Make) -> None:
    """8 of 16 stand at 1/255; where nothing stands, the smallest above 0."""
    assert informative_epsilon(validity_batch()) == (1 / 255, True)
    assert informative_epsilon(validity_batch(table=rows(stand=0))) == (1 / 255, False)
    late = rows(stand=16)
    late.loc[(late["epsilon"] == "2/255") & (late["image"].astype(int) < 10), "correct"] = True
    assert informative_epsilon(validity_batch(table=late)) == (2 / 255, True)
    assert (
        informative_epsilon(validity_batch(table=late[late["image"].astype(int) < 10]))[0]
        == 1 / 255
    )


@dataclass(frozen=True)
class Scripted:
    """An attack with a given path, that breaks some of the images; the more, the longer."""

    losses: tuple[float, ...]
    broken: int = 0
    longer_broken: int = 0
    restarts_broken: int = 0
    name: str = "scripted"
    norms: frozenset[str] = frozenset(BALLS)
    iterated: bool = True

    def longer(self) -> Scripted:
        return replace(self, broken=self.longer_broken)

    def with_restarts(self, n: int) -> Scripted:
        return replace(self, broken=self.restarts_broken if n == 5 else self.broken)

    def __call__(
        self,
        victim: Victim,  # noqa: ARG002
        pixels: torch.Tensor,
        criterion: Criterion,
        ball: Ball,  # noqa: ARG002
        draws: Draws,  # noqa: ARG002
    ) -> Attacked:
        """An image is broken in a ball as wide as the pixels, by painting it in one colour."""
        moved = pixels.clone()
        for i in range(self.broken):
            moved[i] = 0
            moved[i, (int(criterion.classes[i, 0]) + 1) % 3] = 1
        path = torch.tensor(self.losses)[:, None].expand(-1, len(pixels))
        none = torch.zeros(len(pixels), dtype=torch.int64)
        return Attacked(moved, none.bool(), none.bool(), none, path)


@pytest.fixture
def scripted(asked: Make, small: Callable[..., Any]) -> Make:
    """Return what makes evidence of a scripted attack on colours, in a ball of everything."""

    def make(attack: Scripted) -> Evidence:
        table = rows().replace({"1/255": "1"})
        return asked(small(), 16, measure=measuring(attack), parameters=Parameters(), rows=table)

    return make


FLAT = (0.0, *[1.0] * 40)
"""Gains all at once."""


@pytest.mark.parametrize(
    ("changed", "outcome"), [(0, "passed"), (2, "undecided"), (3, "failed"), (16, "failed")]
)
def test_verdicts_that_change_with_more_steps_or_starts(
    changed: int, outcome: str, scripted: Make
) -> None:
    expected = binomtest(changed, 16, 0.01, alternative="greater").pvalue
    assert (expected < 0.01) == (outcome == "failed")
    longer = scripted(Scripted(FLAT, longer_broken=changed))
    more = scripted(Scripted(FLAT, restarts_broken=changed))
    assert look("S15", longer).outcome == outcome
    assert look("S15", longer).evidence.startswith(f"{changed} of 16 verdicts")
    assert look("S16", more).outcome == outcome
    assert look("S16", longer).outcome == look("S15", more).outcome == "passed"


@pytest.mark.parametrize(
    ("path", "share"),
    [
        (tuple(i / 40 for i in range(41)), "25.0%"),  # the last 10 of 40 equal steps
        (tuple(min(i, 31) for i in range(41)), "3.2%"),  # 1 of 31
        (tuple(min(i, 10) - (i % 3 == 0) for i in range(41)), "0.0%"),  # the best stays
        ((0.0, 1.0, 2.0, 3.0, 4.0), "50.0%"),  # of four steps, the last two
    ],
)
def test_the_gain_of_the_last_steps(path: tuple[float, ...], share: str, scripted: Make) -> None:
    found = look("S15", scripted(Scripted(path)))
    assert f"the last steps made {share} of the gain" in found.evidence
    assert found.outcome == ("failed" if float(share[:-1]) >= 5 else "passed")


def test_a_path_that_gains_nothing_says_so(scripted: Make) -> None:
    assert "no image stands that gained" in look("S15", scripted(Scripted((1.0,) * 41))).evidence
    assert "no image stands that gained" in look("S15", scripted(Scripted(FLAT, 16, 16))).evidence


@pytest.mark.parametrize("number", ["S15", "S16"])
def test_no_more_of_an_attack(number: str, validity_batch: Make) -> None:
    from vision_evals.validity.examine import _run_check

    (check,) = (c for c in CHECKS if c.id == number)
    fixed = _run_check(check, validity_batch(IDLE))
    assert (fixed.outcome, "no other number of steps" in fixed.evidence) == ("undecided", True)
    fallen = _run_check(check, validity_batch(table=rows(stand=0)))
    assert (fallen.outcome, "stands at any budget" in fallen.evidence) == ("undecided", True)


def test_the_real_attack_converges(validity_batch: Make) -> None:
    found = look("S15", validity_batch(AutoPGD(steps=100)))
    assert found.outcome == "passed", found.evidence


class Batchy(nn.Module):
    """A network that answers otherwise in a batch of one."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(pixels)
        return out if len(pixels) > 1 else out.roll(1, dims=1)


def test_answers_that_depend_on_the_batch(validity_batch: Make, curved: nn.Module) -> None:
    assert look("S26", validity_batch(network=Batchy(curved))).outcome == "failed"
    assert look("S26", validity_batch(n=1)).outcome == "undecided"


def test_what_rounding_undoes(validity_batch: Make) -> None:
    """Fallen: 8 at 1/255 and 16 at 2/255; every fourth image is right again: 2 and 4."""
    assert "undoes 6 of 24 adversarials" in look("S26", validity_batch()).evidence


def aimed(asked: Make, small: Callable[..., Any], network: nn.Module, attack: Any) -> Evidence:
    """Return evidence of ``targeted``."""
    measure = replace(targeted.MEASURE, attack=lambda _: attack)
    parameters = targeted.Parameters(target="red", budgets=("64/255",))
    table = pd.DataFrame({"image": [str(i) for i in range(16)], "budget": "64/255"})
    return asked(small(network), 16, measure=measure, parameters=parameters, rows=table)


def test_targeted_and_untargeted(asked: Make, small: Callable[..., Any], curved: nn.Module) -> None:
    check = next(c for c in attacks.CHECKS if c.id == "S20")

    class Lame(ProjectedGradientDescent):
        """Steps towards a target only."""

        def __call__(self, victim: Any, pixels: Any, criterion: Any, ball: Any, draws: Any) -> Any:
            steps = self.steps if criterion.sign < 0 else 0
            return replace(PGD, steps=steps, random_start=False)(
                victim, pixels, criterion, ball, draws
            )

    assert check.guards(targeted.MEASURE)
    assert check.run(aimed(asked, small, curved, PGD)).outcome == "passed"
    idle = check.run(aimed(asked, small, curved, STUCK))
    assert idle.outcome == "undecided", idle.evidence
    found = check.run(aimed(asked, small, curved, Lame()))
    assert found.outcome == "failed", found.evidence


def test_one_step_is_exempt(validity_batch: Make) -> None:
    guarded = {check.id for check in CHECKS if check.guards(fgsm.MEASURE)}
    assert guarded == {"S1", "S26"}
    with pytest.raises(Exception, match="takes one step"):
        iterated_of(validity_batch(FastGradientSign()))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_what_is_planted_is_there(norm: str, validity_batch: Make) -> None:
    """Score 0.1 at a border point, below 0 on inner points: seen by drawing them again."""
    ball = BALLS[norm](4 / 255)
    alone = build_validity_batch(validity_batch()).of(torch.tensor([3]))
    readout = power.plant(alone, ball)
    assert readout is not None

    def score(kind: str, number: int) -> float:
        drawn = alone.draws.generators("planted", kind, str(number))
        draw = ball.sample if kind == "inner" else ball.noise
        logits = readout.logits(draw(alone.pixels, drawn))
        assert logits.shape == (1, 2)
        return float((logits[:, 1] - logits[:, 0])[0])

    inner = [score("inner", i) for i in range(power.INNER_POINTS)]
    border = [score("border", i) for i in range(power.BORDER_POINTS)]
    assert max(*inner, float(readout.logits(alone.pixels)[0, 1])) == pytest.approx(-0.9, abs=1e-3)
    assert any(abs(one - 0.1) < 1e-3 for one in border)


def test_the_readout_is_ridge_regression() -> None:
    """Against the normal equations, with fewer rows than classes and with more."""
    for shape in ((5, 9), (9, 5)):
        rows = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        wanted = torch.linspace(-1, 1, shape[0], dtype=torch.float64)
        penalty = power.RIDGE_PENALTY * rows.square().sum() / shape[0]
        eye = torch.eye(shape[1], dtype=torch.float64)
        expected = torch.linalg.solve(rows.T @ rows + penalty * eye, rows.T @ wanted)
        assert torch.allclose(power._ridge(rows, wanted), expected, rtol=1e-8)


def test_where_nothing_stands_apart_nothing_is_planted(validity_batch: Make) -> None:
    """A network that says the same of everything."""

    class Constant(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return 0 * pixels.mean(dim=(2, 3)) + torch.tensor([1.0, 0.0, 0.0])

    given = validity_batch(network=Constant())
    assert power.plant(build_validity_batch(given).of(torch.tensor([0])), LinfBall(0.01)) is None
    assert look("S21", given).outcome == "undecided"


def test_every_check_says_why() -> None:
    for check in CHECKS:
        assert isinstance(check, ValidityCheck)
        assert check.meaning.endswith(".")
        assert check.source
