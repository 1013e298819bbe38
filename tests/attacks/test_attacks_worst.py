"""The worst case of several attacks: order, who goes on, and that nobody is believed."""

# ruff: noqa: ARG002 - scripted attacks look at nothing
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import torch

from vision_evals.attacks.apgd import AutoPGD
from vision_evals.attacks.attack import Attack, Attacked, Draws, Victim
from vision_evals.attacks.balls import Ball, L2Ball, LinfBall
from vision_evals.attacks.criteria import Criterion, Misclassification
from vision_evals.attacks.foolbox_names import foolbox_attack
from vision_evals.attacks.pgd import ProjectedGradientDescent
from vision_evals.attacks.worst import CLEAN, NONE, worst_case
from vision_evals.core.errors import UserError

Images = Callable[..., torch.Tensor]
Watched = Any
"""The victim of conftest."""


@dataclass
class Scripted:
    """Moves the first pixel of the images it is meant to, and notes whom it was given."""

    to: dict[str, float]
    sees: tuple[str, ...] = ()
    given: list[tuple[str, ...]] = field(default_factory=list)
    name: ClassVar[str] = "scripted"
    norms: ClassVar[frozenset[str]] = frozenset({"linf"})
    iterated: ClassVar[bool] = False

    def __call__(
        self, victim: Victim, pixels: torch.Tensor, criterion: Criterion, ball: Ball, draws: Draws
    ) -> Attacked:
        assert len(pixels) == len(criterion.classes) == len(draws.ids)
        self.given.append(draws.ids)
        moved = pixels.clone()
        for i, image in enumerate(draws.ids):
            moved[i, 0, 0, 0] = self.to.get(image, float(pixels[i, 0, 0, 0]))
        n = len(pixels)
        ever = torch.tensor([image in self.sees for image in draws.ids])
        none = torch.zeros(n, dtype=torch.int64)
        return Attacked(moved, ever, none.bool(), none, torch.zeros(1, n))


def bright(pixels: torch.Tensor) -> torch.Tensor:
    """Class 1 where the first pixel is above 0.6."""
    score = 0.6 - pixels[:, 0, 0, 0]
    return torch.stack([score, torch.zeros_like(score)], dim=1)


IDS = ("clean", "first", "second", "both", "stands", "claims")
ZEROS = torch.zeros(6, dtype=torch.int64)
RIGHT = Misclassification(ZEROS, ZEROS[:, None])


def start() -> torch.Tensor:
    x = torch.full((6, 3, 8, 8), 0.55, dtype=torch.float64)
    x[0, 0, 0, 0] = 0.9  # wrong before anybody attacks
    return x


def test_the_first_to_break_an_image_is_named(watched: Callable[..., Watched]) -> None:
    victim, x = watched(bright), start()
    one = Scripted({"clean": 0.0, "first": 0.62, "both": 0.63, "claims": 0.7}, sees=("first",))
    two = Scripted({"second": 0.64, "both": 0.65, "stands": 0.58}, sees=("claims",))
    found = worst_case(victim, x, RIGHT, LinfBall(0.1), [one, two], Draws(0, IDS))
    assert one.given == [("first", "second", "both", "stands", "claims")]
    assert two.given == [("second", "stands")]
    assert found.by.tolist() == [CLEAN, 0, 1, 0, NONE, 0]
    assert found.by.dtype == torch.int64
    assert found.broken.tolist() == [True, True, True, True, False, True]
    assert found.pixels[:, 0, 0, 0].tolist() == pytest.approx([0.9, 0.62, 0.64, 0.63, 0.58, 0.65])
    assert torch.equal(found.pixels[0], x[0])
    assert found.ever.tolist() == [False, True, False, False, False, False]


def test_a_point_outside_the_ball_does_not_count(watched: Callable[..., Watched]) -> None:
    """Claimed, and projected back to 0.59: the path saw it, the verdict does not."""
    liar = Scripted({"claims": 0.9, "first": -3.0}, sees=("claims",))
    found = worst_case(watched(bright), start(), RIGHT, LinfBall(0.04), [liar], Draws(0, IDS))
    assert found.broken.tolist() == [True] + [False] * 5
    assert found.by.tolist() == [CLEAN] + [NONE] * 5
    assert found.ever.tolist() == [False] * 5 + [True]
    assert found.pixels[5, 0, 0, 0].item() == pytest.approx(0.59)
    assert found.pixels[1, 0, 0, 0].item() == pytest.approx(0.51)


def test_when_none_is_left_the_others_are_not_asked(watched: Callable[..., Watched]) -> None:
    one, two = Scripted(dict.fromkeys(IDS, 0.62)), Scripted({})
    found = worst_case(watched(bright), start(), RIGHT, LinfBall(0.1), [one, two], Draws(0, IDS))
    assert found.broken.all()
    assert two.given == []


def test_without_attacks_it_is_the_clean_answer(watched: Callable[..., Watched]) -> None:
    found = worst_case(watched(bright), start(), RIGHT, LinfBall(0.1), [], Draws(0, IDS))
    assert found.by.tolist() == [CLEAN] + [NONE] * 5
    assert torch.equal(found.pixels, start())


@pytest.mark.parametrize(
    "attack",
    [
        ProjectedGradientDescent(steps=20),
        ProjectedGradientDescent(steps=20, loss="dlr"),
        AutoPGD(steps=20),
        AutoPGD(steps=20, loss="dlr"),
    ],
    ids=repr,
)
def test_several_right_answers_are_no_way_out(
    attack: Attack, watched: Callable[..., Watched]
) -> None:
    """Away from class 0 the shorter way leads to class 1, which is right as well."""

    def function(pixels: torch.Tensor) -> torch.Tensor:
        a, b = pixels[:, 0, 0, 0] - 0.5, pixels[:, 1, 0, 0] - 0.5
        return torch.stack([0.1 - 4 * a - b, 3 * a, 2 * b - 4 * a, 0 * a - 3], dim=1) * 3

    x = torch.full((3, 3, 8, 8), 0.5, dtype=torch.float64)
    label = torch.zeros(3, dtype=torch.int64)
    both = Misclassification(label, torch.tensor([[0, 1]] * 3))
    draws = Draws(0, ("a", "b", "c"))
    found = worst_case(watched(function), x, both, LinfBall(0.1), [attack], draws)
    assert found.broken.all()
    assert (function(found.pixels).argmax(1) == 2).all()


@pytest.mark.parametrize(
    ("attack", "ball"),
    [
        (ProjectedGradientDescent(steps=20), LinfBall(0.1)),
        (ProjectedGradientDescent(steps=20), L2Ball(0.5)),
        (AutoPGD(steps=20), LinfBall(0.1)),
        (AutoPGD(steps=20), L2Ball(0.5)),
        (foolbox_attack("L2PGD", {}), L2Ball(0.5)),
    ],
)
def test_a_gradient_that_is_not_finite_is_told_and_poisons_nothing(
    attack: Attack, ball: Ball, watched: Callable[..., Watched]
) -> None:
    """It is finite at the pictures themselves, and of the second image everywhere."""

    def function(pixels: torch.Tensor) -> torch.Tensor:
        off = (pixels[:, 2, 7, 7] < 0.9) & ((pixels - 0.5).abs().amax(dim=(1, 2, 3)) > 0)
        flat = pixels.mean(dim=(1, 2, 3)) - 0.5
        nothing = torch.where(off, 0.0, 1.0)
        score = 0.4 - flat + 0 * (flat * 0 + nothing).sqrt()
        return torch.stack([score, torch.zeros_like(score), -9 + 0 * score], dim=1)

    x = torch.full((2, 3, 8, 8), 0.5, dtype=torch.float64)
    x[1, 2, 7, 7] = 1
    label = torch.zeros(2, dtype=torch.int64)
    aim = Misclassification(label, label[:, None])
    found = worst_case(watched(function), x, aim, ball, [attack], Draws(0, ("a", "b")))
    assert found.blind.tolist() == [True, False]
    assert found.pixels.isfinite().all()
    assert not found.broken.any()


def test_an_attack_of_another_norm_is_refused_before_any_runs(
    watched: Callable[..., Watched],
) -> None:
    victim = watched(bright)
    attacks: list[Attack] = [ProjectedGradientDescent(), Scripted({})]
    with pytest.raises(UserError, match='"scripted" does not support the norm "l2"'):
        worst_case(victim, start(), RIGHT, L2Ball(1), attacks, Draws(0, IDS))
    assert victim.shown == []


def test_nothing_breaks_more_than_the_worst_case(curved: Watched, images: Images) -> None:
    x = images(12)
    label = curved.function(x).argmax(1)
    aim = Misclassification(label, label[:, None])
    draws = Draws(0, tuple(map(str, range(12))))
    attacks = [
        ProjectedGradientDescent(steps=3, loss="dlr"),
        ProjectedGradientDescent(steps=20, restarts=2),
    ]
    ball = LinfBall(0.015)
    found = worst_case(curved, x, aim, ball, attacks, draws)
    assert 0 < int(found.broken.sum()) < 12
    assert torch.equal(aim.met(curved.function(found.pixels)), found.broken)
    for attack in attacks:
        alone = attack(curved, x, aim, ball, draws)
        met = aim.met(curved.function(alone.pixels))
        assert not (met & ~found.broken).any()
