"""Attacks against closed forms, foolbox and the bound they promise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vision_evals.attacks.balls import LinfBall
from vision_evals.attacks.gradients import slope
from vision_evals.attacks.signs import eight_bit, fast_gradient_sign, signed_step, towards
from vision_evals.core.errors import InvalidError
from vision_evals.images.geometry import to_unit
from vision_evals.models.classifier import Classifier

Small = Callable[..., Classifier]


class Linear(nn.Module):
    """Three classes, linear in the pixels."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(3, 3 * 16 * 16, generator=generator) / 20

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.flatten(1) @ self.weight.T.to(pixels.dtype)


class Curved(nn.Module):
    """A small network with a bend."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 3)
        ).requires_grad_(False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(pixels) * 20
        return logits


def images(n: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_the_gradient_is_the_finite_difference(small: Small) -> None:
    network = Curved().double()
    classifier = small(network)
    x, y = images(2).double(), torch.tensor([0, 2])
    gradient = slope(classifier, x, y[:, None]).gradient
    for index in ((0, 0, 3, 4), (1, 2, 10, 7)):
        step = torch.zeros_like(x)
        step[index] = 1e-6
        loss = [
            torch.nn.functional.cross_entropy(classifier.logits(x + s), y, reduction="sum")
            for s in (step, -step)
        ]
        assert float(gradient[index]) == pytest.approx(float(loss[0] - loss[1]) / 2e-6, rel=1e-2)


def test_an_images_gradient_does_not_depend_on_its_batch(small: Small) -> None:
    classifier, x, y = small(Curved()), images(5), torch.tensor([0, 1, 2, 0, 1])
    together = slope(classifier, x, y[:, None]).gradient
    for i in range(5):
        alone = slope(classifier, x[i : i + 1], y[i : i + 1, None]).gradient
        assert torch.allclose(alone[0], together[i], atol=1e-6)


@given(st.floats(0, 0.2), st.integers(0, 5))
def test_on_a_linear_network_the_margin_falls_by_the_closed_form(epsilon: float, seed: int) -> None:
    """Goodfellow et al. 2015, section 5: the margin falls by epsilon times the weights' L1 norm."""
    weight = Linear(seed).weight[0].double().reshape(1, 3, 16, 16)
    x = 0.4 + 0.2 * images(1, seed).double()  # far from 0 and 1, so that nothing is clipped
    moved = fast_gradient_sign(x, -weight, epsilon)
    fall = float(((x - moved) * weight).sum())
    assert fall == pytest.approx(epsilon * float(weight.abs().sum()), abs=1e-9)


def test_logistic_loss_equals_the_closed_form(small: Small) -> None:
    """Section 5: FGSM's loss is zeta(epsilon * ||w||_1 - margin), zeta the softplus."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(Linear().weight[0].double(), requires_grad=False)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            score = pixels.flatten(1) @ self.weight
            return torch.stack([score, torch.zeros_like(score), score - 1e9], dim=1)

    classifier = small(Two())
    x, y = 0.4 + 0.2 * images(4).double(), torch.zeros(4, dtype=torch.int64)
    found = slope(classifier, x, y[:, None])
    margin = found.logits[:, 0]
    for epsilon in (0.0, 0.007, 0.1):
        moved = fast_gradient_sign(x, found.gradient, epsilon)
        loss = torch.nn.functional.cross_entropy(classifier.logits(moved), y, reduction="none")
        norm = classifier.network.weight.abs().sum()  # type: ignore[operator]
        expected = torch.nn.functional.softplus(epsilon * norm - margin)
        assert torch.allclose(loss, expected, atol=1e-9)


@given(st.sampled_from([0.0, 1 / 2040, 1 / 255, 0.007, 16 / 255, 1.0]), st.integers(0, 3))
def test_nothing_leaves_the_ball_or_the_box(epsilon: float, seed: int) -> None:
    x = images(3, seed).round(decimals=1)  # many pixels at 0 and 1
    direction = images(3, seed + 9) - 0.5
    ball = LinfBall(epsilon)
    for moved in (
        fast_gradient_sign(x, direction, epsilon),
        signed_step(x, direction.sign(), epsilon),
        ball.project(x + direction * 3, x),
    ):
        assert float((moved - x).abs().max()) <= epsilon + 1e-6
        assert float(moved.min()) >= 0
        assert float(moved.max()) <= 1
        assert float(ball.distance(moved, x).max()) <= epsilon + 1e-6


def test_epsilon_zero_changes_no_bit() -> None:
    x = images(3)
    assert torch.equal(fast_gradient_sign(x, images(3, 5) - 0.5, 0.0), x)


def test_fgsm_equals_foolbox(small: Small) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import foolbox
    network = Curved()
    classifier = small(network)
    x, y = images(6), torch.tensor([0, 1, 2, 0, 1, 2])
    model = foolbox.PyTorchModel(  # type: ignore[attr-defined]
        network.eval(), bounds=(0, 1), device="cpu"
    )
    epsilons = [0.001, 0.01, 0.1]
    attack = foolbox.attacks.LinfFastGradientAttack()  # type: ignore[attr-defined]
    _, clipped, _ = attack(model, x, y, epsilons=epsilons)
    gradient = slope(classifier, x, y[:, None]).gradient
    for epsilon, theirs in zip(epsilons, clipped, strict=True):
        assert torch.allclose(fast_gradient_sign(x, gradient, epsilon), theirs, atol=1e-7)


def test_projecting_equals_clipping_with_numpy() -> None:
    x, moved = images(2), images(2, 7) * 4 - 2
    import numpy as np

    expected = np.clip(np.clip(moved.numpy(), x.numpy() - 0.1, x.numpy() + 0.1), 0, 1)
    assert np.allclose(LinfBall(0.1).project(moved, x).numpy(), expected)


def test_rounding_is_rounding() -> None:
    exact = torch.arange(256) / 255
    assert torch.allclose(eight_bit(exact), exact)
    every = to_unit(torch.arange(256, dtype=torch.uint8), torch.device("cpu"))
    assert torch.equal(eight_bit(every), every)  # so that epsilon 0 need not be rounded
    assert float(eight_bit(torch.tensor(100.6 / 255))) == pytest.approx(101 / 255)


def test_towards_stops_at_the_confidence_and_not_at_the_first_flip(small: Small) -> None:
    classifier, x = small(Curved()), images(6)
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    found = towards(classifier, x, target, LinfBall(0.3), steps=40, until=0.9)
    probability = classifier.logits(found.pixels).softmax(1).gather(1, target[:, None])[:, 0]
    assert torch.allclose(probability, found.confidence, atol=1e-5)
    assert float(LinfBall(0.3).distance(found.pixels, x).max()) <= 0.3 + 1e-6
    assert (found.steps >= 0).all()
    assert (found.confidence >= 0.9).all()
    fewer = towards(classifier, x, target, LinfBall(0.3), steps=40, until=0.4)
    assert (fewer.steps <= found.steps).all()


def test_an_image_does_not_depend_on_who_else_is_attacked(small: Small) -> None:
    classifier, x, target = small(Curved()), images(5), torch.tensor([0, 1, 2, 0, 1])
    together = towards(classifier, x, target, LinfBall(0.05), steps=10, until=0.99)
    for i in range(5):
        one = slice(i, i + 1)
        alone = towards(classifier, x[one], target[one], LinfBall(0.05), steps=10, until=0.99)
        assert int(alone.steps) == int(together.steps[i])
        assert float(alone.confidence) == pytest.approx(float(together.confidence[i]), abs=1e-4)


def test_a_slope_that_is_known_changes_nothing(small: Small) -> None:
    classifier, x, target = small(Curved()), images(4), torch.tensor([0, 1, 2, 0])
    first = slope(classifier, x, target[:, None])
    one = towards(classifier, x, target, LinfBall(0.05), steps=5, until=0.99)
    other = towards(classifier, x, target, LinfBall(0.05), steps=5, until=0.99, first=first)
    assert torch.equal(one.pixels, other.pixels)
    assert torch.equal(one.steps, other.steps)


def test_an_image_without_gradient_is_looked_at_once(small: Small) -> None:
    """Every second image is flat: looking again would see the same."""
    counted: list[int] = []

    class Flat(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            counted.append(len(pixels))
            flat = (pixels[:, 0, 0, 0] > 0.5)[:, None]
            bent: torch.Tensor = pixels.mean(dim=(2, 3))
            return torch.where(flat, 0.0, bent)

    x = images(4)
    x[:, 0, 0, 0] = torch.tensor([0.0, 0.9, 0.1, 0.9])
    target = torch.zeros(4, dtype=torch.int64)
    found = towards(small(Flat()), x, target, LinfBall(0.01), steps=5, until=0.99)
    assert counted == [4, 2, 2, 2, 2, 2]
    assert torch.equal(found.pixels[1::2], x[1::2])
    assert found.confidence[1::2].tolist() == pytest.approx([1 / 3] * 2)
    assert (found.steps == -1).all()


def test_one_step_goes_to_the_border_and_keeps_the_better_of_two(small: Small) -> None:
    classifier, x, target = small(Linear()), 0.3 + 0.4 * images(3), torch.tensor([0, 1, 2])
    found = towards(classifier, x, target, LinfBall(0.01), steps=1, until=1.0)
    gradient = slope(classifier, x, target[:, None]).gradient
    assert torch.allclose(found.pixels, x - 0.01 * gradient.sign(), atol=1e-7)
    before = classifier.logits(x).softmax(1).gather(1, target[:, None])[:, 0]
    assert (found.confidence >= before).all()
    assert (found.steps == -1).all()


def test_a_target_that_is_there_already_takes_no_step(small: Small) -> None:
    classifier, x = small(), torch.zeros(1, 3, 16, 16)
    x[:, 0] = 1
    found = towards(classifier, x, torch.tensor([0]), LinfBall(0.1), steps=5, until=0.9)
    assert int(found.steps) == 0
    assert torch.equal(found.pixels, x)
    assert float(found.confidence) == pytest.approx(math.exp(10) / (math.exp(10) + 2))


def test_a_network_that_cuts_the_graph_has_no_gradient(small: Small) -> None:
    class Cut(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.detach().mean(dim=(2, 3))

    with pytest.raises(InvalidError, match="small has no gradient with respect to its pixels"):
        slope(small(Cut()), images(2), torch.tensor([[0], [1]]))
