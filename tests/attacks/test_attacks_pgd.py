"""PGD and FGSM against foolbox, closed forms on linear networks, and what they promise."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from vision_evals.attacks.apgd import AutoPGD
from vision_evals.attacks.attack import Attack, Draws, check_norm
from vision_evals.attacks.balls import BALLS, Ball, L2Ball, LinfBall
from vision_evals.attacks.criteria import Misclassification, TargetedMisclassification
from vision_evals.attacks.fgsm import FastGradientSign
from vision_evals.attacks.pgd import ProjectedGradientDescent
from vision_evals.core.errors import InvalidError, UserError

Images = Callable[..., torch.Tensor]
Watched = Any
"""The victim of conftest."""

STILL = {"random_start": False, "early_stop": False}
ATTACKS: tuple[Attack, ...] = (
    FastGradientSign(),
    ProjectedGradientDescent(steps=5, rel_stepsize=0.4),
    ProjectedGradientDescent(steps=5, rel_stepsize=0.4, restarts=3, early_stop=False),
    ProjectedGradientDescent(steps=5, rel_stepsize=0.4, loss="dlr", random_start=False),
    AutoPGD(steps=10),
    AutoPGD(steps=10, restarts=2, loss="dlr", early_stop=False),
)


def draws(n: int, seed: int = 0) -> Draws:
    return Draws(seed, tuple(f"{i}.png" for i in range(n)))


def wrong(label: torch.Tensor) -> Misclassification:
    return Misclassification(label, label[:, None])


def answered(victim: Watched, x: torch.Tensor) -> Misclassification:
    """What the network says when nobody attacks counts as right."""
    return wrong(victim.function(x).argmax(1).detach())


def wrapped(foolbox: ModuleType, victim: Watched) -> object:
    return foolbox.PyTorchModel(victim.layers, bounds=(0, 1), device="cpu")


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(("ball", "theirs"), [(LinfBall(0.07), "LinfPGD"), (L2Ball(0.9), "L2PGD")])
def test_pgd_equals_foolbox(
    ball: Ball, theirs: str, targeted: bool, foolbox: ModuleType, curved: Watched, images: Images
) -> None:
    x, classes = images(6), torch.tensor([0, 1, 2, 0, 1, 2])
    ours = TargetedMisclassification(classes) if targeted else wrong(classes)
    named = "TargetedMisclassification" if targeted else "Misclassification"
    attack = getattr(foolbox.attacks, theirs)(rel_stepsize=0.1, steps=20, random_start=False)
    criterion = getattr(foolbox.criteria, named)(classes)
    _, expected, _ = attack(wrapped(foolbox, curved), x, criterion, epsilons=ball.epsilon)
    found = ProjectedGradientDescent(steps=20, **STILL)(curved, x, ours, ball, draws(6))  # type: ignore[arg-type]
    assert (found.pixels - expected).abs().max() < 1e-12
    assert (found.pixels - x).abs().max() > 0.02
    assert found.steps.tolist() == [20] * 6


@pytest.mark.parametrize(("ball", "theirs"), [(LinfBall(0.07), "FGSM"), (L2Ball(0.9), "FGM")])
def test_one_step_equals_foolbox(
    ball: Ball, theirs: str, foolbox: ModuleType, curved: Watched, images: Images
) -> None:
    x, label = images(6), torch.tensor([0, 1, 2, 0, 1, 2])
    attack = getattr(foolbox.attacks, theirs)()
    _, expected, _ = attack(wrapped(foolbox, curved), x, label, epsilons=ball.epsilon)
    found = FastGradientSign()(curved, x, wrong(label), ball, draws(6))
    assert (found.pixels - expected).abs().max() < 1e-12


@pytest.mark.parametrize("epsilon", [0.0, 0.007, 0.1])
@pytest.mark.parametrize("attack", [FastGradientSign(), ProjectedGradientDescent(**STILL)])  # type: ignore[arg-type]
def test_the_loss_on_a_linear_network_is_the_closed_form(
    attack: Attack, epsilon: float, linear: Watched, weight: torch.Tensor, images: Images
) -> None:
    """Goodfellow et al. 2015, section 5: softplus(epsilon * ||w||_1 - margin), at the corner."""
    x, label = images(4, low=0.3, high=0.7), torch.zeros(4, dtype=torch.int64)
    margin = linear.function(x)[:, 0]
    found = attack(linear, x, wrong(label), LinfBall(epsilon), draws(4))
    loss = cross_entropy(linear.function(found.pixels), label, reduction="none")
    assert torch.allclose(loss, softplus(epsilon * weight.abs().sum() - margin), atol=1e-12)
    assert torch.allclose(loss, found.losses[-1], atol=1e-12)
    corner = x - epsilon * weight.sign().reshape(1, 3, 8, 8)
    assert torch.allclose(found.pixels, corner, atol=1e-12)


@pytest.mark.parametrize("loss", ["above", "below"])
@pytest.mark.parametrize(
    "attack", [FastGradientSign(), ProjectedGradientDescent(steps=100), AutoPGD(steps=40)]
)
def test_the_minimal_radius_on_a_linear_network(
    attack: Attack, loss: str, linear: Watched, weight: torch.Tensor, images: Images
) -> None:
    """|margin| / ||w||_2 in l2, |margin| / ||w||_1 in linf: just above breaks, just below not."""
    x = images(5, low=0.4, high=0.6)
    criterion, margin = answered(linear, x), linear.function(x).diff(dim=1)[:, 0].abs()
    factor = 1.001 if loss == "above" else 0.999
    for i in range(5):
        one = slice(i, i + 1)
        aim = criterion.of(torch.tensor([i]))
        for ball in (
            L2Ball(factor * float(margin[i] / weight.norm())),
            LinfBall(factor * float(margin[i] / weight.abs().sum())),
        ):
            found = attack(linear, x[one], aim, ball, draws(5).of([i]))
            assert bool(aim.met(linear.function(found.pixels))) == (loss == "above")
            assert bool(found.ever) == (loss == "above")


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    norm=st.sampled_from(sorted(BALLS)),
    epsilon=st.sampled_from([0.0, 1 / 1020, 0.1, 1.0]),
    seed=st.integers(0, 5),
    targeted=st.booleans(),
)
def test_every_attack_keeps_ball_and_box(
    attack: Attack, norm: str, epsilon: float, seed: int, targeted: bool, curved: Watched
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3, 3, 8, 8, generator=generator, dtype=torch.float64).round(decimals=1)
    classes, ball = torch.tensor([0, 1, 2]), BALLS[norm](epsilon)
    criterion = TargetedMisclassification(classes) if targeted else wrong(classes)
    found = attack(curved, x, criterion, ball, draws(3, seed))
    assert float(ball.distance(found.pixels, x).max()) <= epsilon * (1 + 1e-9)
    assert float(found.pixels.min()) >= 0
    assert float(found.pixels.max()) <= 1
    if epsilon == 0:
        assert torch.equal(found.pixels, x)
    shown = criterion.met(curved.function(found.pixels))
    assert not (shown & ~found.ever).any()
    assert found.losses.shape[1:] == found.steps.shape == found.ever.shape == (3,)


@pytest.mark.parametrize("norm", sorted(BALLS))
@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_a_planted_adversarial_is_found(
    attack: Attack, norm: str, watched: Callable[..., Watched], images: Images
) -> None:
    """One pixel decides; a blind step in l2 would have to be very lucky."""

    def function(pixels: torch.Tensor) -> torch.Tensor:
        score = 20 * (0.55 - pixels[:, 1, 4, 4])
        return torch.stack([score, -score, -score - 9], dim=1)

    x, victim = images(4, low=0.4, high=0.5), watched(function)
    label = torch.zeros(4, dtype=torch.int64)
    found = attack(victim, x, wrong(label), BALLS[norm](0.16), draws(4))
    assert (found.pixels[:, 1, 4, 4] > 0.55).all()
    assert found.ever.all()


@pytest.mark.parametrize("norm", sorted(BALLS))
@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_an_image_does_not_depend_on_its_batch(
    attack: Attack, norm: str, curved: Watched, images: Images
) -> None:
    x = images(5)
    criterion, ball = answered(curved, x), BALLS[norm]({"linf": 0.02, "l2": 0.2}[norm])
    together = attack(curved, x, criterion, ball, draws(5))
    for i in range(5):
        one = torch.tensor([i])
        alone = attack(curved, x[one], criterion.of(one), ball, draws(5).of([i]))
        assert torch.allclose(alone.pixels[0], together.pixels[i], atol=1e-9)
        assert int(alone.steps) == int(together.steps[i])
        assert bool(alone.ever) == bool(together.ever[i])
        trace = together.losses[:, i]
        seen = alone.losses[~alone.losses[:, 0].isnan(), 0]
        trace = trace[~trace.isnan()]
        if getattr(attack, "restarts", 1) > 1:  # two may end in one corner: rounding picks the path
            seen, trace = seen.max(), trace.max()
        assert torch.allclose(seen, trace, atol=1e-9)


@pytest.mark.parametrize("attack", ATTACKS[1:], ids=repr)
def test_no_weight_ever_gets_a_gradient(
    attack: Attack, curved: Watched, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[torch.Tensor] = []
    grad = torch.autograd.grad

    def spy(outputs: torch.Tensor, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        asked.append(inputs)
        return grad(outputs, inputs)

    monkeypatch.setattr(torch.autograd, "grad", spy)
    attack(curved, images(2), wrong(torch.tensor([0, 1])), LinfBall(0.1), draws(2))
    assert asked
    assert {one.shape[1:] for one in asked} == {(3, 8, 8)}
    assert all(parameter.grad is None for parameter in curved.layers.parameters())


class Levels:
    """Image i is broken once its first pixel has risen by ``needs[i]``; a row tells which it is."""

    def __init__(self, needs: list[float]) -> None:
        self.needs = torch.tensor(needs, dtype=torch.float64)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        index = (pixels[:, 2, 7, 7] * 10).round().long()
        score = self.needs[index] + 0.5 - pixels[:, 0, 0, 0]
        return torch.stack([score, torch.zeros_like(score), -9 - score], dim=1)

    def images(self) -> torch.Tensor:
        x = torch.full((len(self.needs), 3, 8, 8), 0.5, dtype=torch.float64)
        x[:, 2, 7, 7] = torch.arange(len(x)) / 10
        return x


def test_an_image_leaves_at_the_first_iterate_that_is_broken(
    watched: Callable[..., Watched],
) -> None:
    """Steps of 0.01: broken after 1, 3 and 5 of them, and never."""
    levels = Levels([0.005, 0.025, 0.045, 0.9])
    victim, x = watched(levels), levels.images()
    attack = ProjectedGradientDescent(steps=6, random_start=False)
    criterion = wrong(torch.zeros(4, dtype=torch.int64))
    found = attack(victim, x, criterion, LinfBall(0.1), draws(4))
    assert [len(rows) for rows in victim.shown] == [4, 4, 3, 3, 2, 2, 1]
    assert victim.differentiated == [True] * 6 + [False]
    assert found.steps.tolist() == [1, 3, 5, 6]
    assert (found.pixels - x)[:, 0, 0, 0].tolist() == pytest.approx([0.01, 0.03, 0.05, 0.06])
    assert found.ever.tolist() == [True, True, True, False]
    assert (~found.losses.isnan()).sum(0).tolist() == [2, 4, 6, 7]
    objective = softplus(x[:, 0, 0, 0] - levels.needs - 0.5)  # at the start, but for a third class
    assert torch.allclose(found.losses[0], objective, atol=1e-3)


def test_without_early_stop_the_last_iterate_comes_back_and_ever_remembers(
    watched: Callable[..., Watched],
) -> None:
    """The network is fooled only in between: the path sees it, the end does not show it."""

    def function(pixels: torch.Tensor) -> torch.Tensor:
        moved = pixels[:, 0, 0, 0] - 0.5
        inside = (moved - 0.03).abs() < 0.005
        score = torch.where(inside, -1.0, 1.0) - moved
        return torch.stack([score, torch.zeros_like(score)], dim=1)

    x = torch.full((1, 3, 8, 8), 0.5, dtype=torch.float64)
    criterion = wrong(torch.tensor([0]))
    attack = ProjectedGradientDescent(steps=6, **STILL)  # type: ignore[arg-type]
    found = attack(watched(function), x, criterion, LinfBall(0.1), draws(1))
    assert float(found.pixels[0, 0, 0, 0]) == pytest.approx(0.56)
    assert found.ever.tolist() == [True]
    assert not criterion.met(function(found.pixels)).any()
    first = ProjectedGradientDescent(steps=6, random_start=False)
    stopped = first(watched(function), x, criterion, LinfBall(0.1), draws(1))
    assert float(stopped.pixels[0, 0, 0, 0]) == pytest.approx(0.53)


@pytest.mark.parametrize(
    "attack", [ProjectedGradientDescent(steps=3, restarts=4), AutoPGD(steps=3, restarts=4)]
)
def test_only_unbroken_images_are_restarted(
    attack: Attack, watched: Callable[..., Watched]
) -> None:
    levels = Levels([-0.2, 0.9, -0.2])
    victim, x = watched(levels), levels.images()
    criterion = wrong(torch.zeros(3, dtype=torch.int64))
    found = attack(victim, x, criterion, LinfBall(0.04), draws(3))
    assert [len(rows) for rows in victim.shown] == [3, 1, 1, 1] + [1] * 12
    assert found.steps.tolist() == [0, 12, 0]
    starts = torch.stack([victim.shown[i][-1 if i else 1] for i in (0, 4, 8, 12)])
    assert len(torch.unique(starts.flatten(1), dim=0)) == 4


def test_restarts_keep_the_best_try_and_its_trace(curved: Watched, images: Images) -> None:
    x = images(6)
    criterion, ball = answered(curved, x), LinfBall(0.004)
    one = ProjectedGradientDescent(steps=4, early_stop=False)
    found = one.with_restarts(3)(curved, x, criterion, ball, draws(6))
    points, losses = [], []
    for number in range(3):
        start = ball.sample(x, draws(6).generators("pgd", "start", str(number)))
        point = start.clone()
        for _ in range(4):
            point.requires_grad_()
            loss = cross_entropy(curved.function(point), criterion.label, reduction="none")
            (gradient,) = torch.autograd.grad(loss.sum(), point)
            low, high = (x - 0.004).clamp(min=0), (x + 0.004).clamp(max=1)
            point = (point + 0.0004 * gradient.sign()).detach().clamp(low, high)
        points.append(point)
        losses.append(cross_entropy(curved.function(point), criterion.label, reduction="none"))
    best = torch.stack(losses).argmax(0)
    assert len(set(best.tolist())) > 1
    expected = torch.stack([points[number][i] for i, number in enumerate(best.tolist())])
    assert not criterion.met(curved.function(expected)).any()
    assert torch.allclose(found.pixels, expected, atol=1e-12)
    assert torch.allclose(found.losses[-1], torch.stack(losses).amax(0))
    assert found.steps.tolist() == [12] * 6


def test_a_first_start_that_is_not_drawn_is_the_image(curved: Watched, images: Images) -> None:
    x = images(2)
    attack = ProjectedGradientDescent(steps=2, restarts=2, **STILL)  # type: ignore[arg-type]
    attack(curved, x, answered(curved, x), LinfBall(1e-4), draws(2))
    assert torch.equal(curved.shown[0], x)
    assert not torch.equal(curved.shown[3], x)
    curved.shown.clear()
    ProjectedGradientDescent(steps=2)(curved, x, answered(curved, x), LinfBall(1e-4), draws(2))
    assert not torch.equal(curved.shown[0], x)


def test_longer_and_restarted_are_the_same_attack() -> None:
    for attack in (ProjectedGradientDescent(steps=7, loss="dlr"), AutoPGD(steps=7, loss="dlr")):
        assert attack.longer() == type(attack)(steps=14, loss="dlr")
        assert attack.with_restarts(5) == type(attack)(steps=7, loss="dlr", restarts=5)


@pytest.mark.parametrize("attack", ATTACKS[:5], ids=repr)
def test_a_network_without_gradient_is_refused(
    attack: Attack, watched: Callable[..., Watched], images: Images
) -> None:
    victim = watched(lambda pixels: pixels.detach().mean(dim=(2, 3)))
    with pytest.raises(InvalidError, match="watched has no gradient with respect to its"):
        attack(victim, images(2), wrong(torch.tensor([0, 1])), LinfBall(0.1), draws(2))


def test_an_attack_of_another_norm_is_refused() -> None:
    check_norm(FastGradientSign(), "l2")
    said = '"fgsm" does not support the norm "l1"; write norm = "l2" or "linf"'
    with pytest.raises(UserError, match=said):
        check_norm(FastGradientSign(), "l1")


def test_a_module_as_it_is_can_be_attacked_in_fp32(small: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3)).requires_grad_(False)
    x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    label = network(x).argmax(1)
    for attack in ATTACKS:
        found = attack(small(network), x, wrong(label), LinfBall(0.6), draws(4))
        assert found.pixels.dtype == torch.float32
        assert found.ever.all()
