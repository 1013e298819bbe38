"""A gradient that leads uphill holds, and one that was masked in any known way falls."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from evals.attacks.balls import LinfBall
from evals.classifiers.classifier import Classifier
from evals.validity import gradients, known, smoothness
from evals.validity.check import Evidence

Make = Callable[..., Evidence]
Small = Callable[..., Classifier]


def drawn(n: int) -> torch.Tensor:
    """Return (n, 3, 16, 16) in [0, 1]."""
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(2))


class Before(nn.Module):
    """Something done to the pixels before a good network sees them."""

    def __init__(self, inner: nn.Module, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.inner, self.change = inner, change

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(self.change(pixels))
        return out


class Scaled(nn.Module):
    """Logits so large that the softmax of the loss saturates."""

    def __init__(self, inner: nn.Module, factor: float) -> None:
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(pixels) * self.factor
        return out


def rounded(pixels: torch.Tensor) -> torch.Tensor:
    return (pixels * 255).round() / 255


def straight_through(pixels: torch.Tensor) -> torch.Tensor:
    return pixels + (rounded(pixels) - pixels).detach()


def wrong_backward(factor: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., torch.Tensor]:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.clone()

        @staticmethod
        def backward(_: Any, *slopes: torch.Tensor) -> torch.Tensor:
            return factor(slopes[0])

    return lambda pixels: Wrong.apply(pixels)


BROKEN = {
    "rounded": rounded,
    "straight through": straight_through,
    "detached": lambda pixels: pixels.detach(),
    "starts anew": lambda pixels: pixels.detach().requires_grad_(),
    "three times": wrong_backward(lambda slope: 3 * slope),
    "downhill": wrong_backward(lambda slope: -slope),
    "a fifth less": wrong_backward(lambda slope: 0.8 * slope),
    "elsewhere": wrong_backward(lambda slope: slope.flip(2)),
    "not a number": wrong_backward(lambda slope: slope * float("nan")),
}


def test_a_good_gradient_reaches_the_pixels(small: Small, curved: nn.Module, asked: Make) -> None:
    for labelled in (True, False):
        found = gradients.reaches_pixels(asked(small(curved), labelled=labelled))
        assert found.outcome == "holds", found.evidence


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_gradient_falls(name: str, small: Small, curved: nn.Module, asked: Make) -> None:
    found = gradients.reaches_pixels(asked(small(Before(curved, BROKEN[name]))))
    assert found.outcome == "falls", found.evidence


class Ceiling(torch.autograd.Function):
    """A clamp to [0, 1] whose slope is 1 at the bounds, as some have it."""

    @staticmethod
    def forward(context: Any, pixels: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(pixels)
        return pixels.clamp(0, 1)

    @staticmethod
    def backward(context: Any, *slopes: torch.Tensor) -> torch.Tensor:
        (pixels,) = context.saved_tensors
        inside: torch.Tensor = (pixels >= 0) & (pixels <= 1)
        return slopes[0] * inside


@pytest.mark.parametrize(
    "clamp", [lambda x: x.clamp(0, 1), lambda x: Ceiling.apply(x)], ids=["torch", "slope 1"]
)
def test_a_clamp_at_black_and_white_is_no_mask(
    clamp: Callable[..., torch.Tensor], small: Small, curved: nn.Module, asked: Make
) -> None:
    """Beyond [0, 1] the network is flat: pixels at the bounds stay where they are."""
    pixels = (2 * drawn(8) - 0.5).clamp(0, 1)
    found = gradients.reaches_pixels(asked(small(Before(curved, clamp)), pixels=pixels))
    assert found.outcome == "holds", found.evidence


def test_a_network_that_says_the_same_of_everything(small: Small, asked: Make) -> None:
    class Constant(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return 0 * pixels.mean(dim=(2, 3)) + torch.arange(3.0)

    found = gradients.reaches_pixels(asked(small(Constant())))
    assert found.outcome == "cannot tell"
    assert found.evidence.endswith("nothing either")


def test_the_derivative_of_a_large_logit_is_taken_too(
    small: Small, curved: nn.Module, asked: Make
) -> None:
    """Scale is no excuse: the lead of the first answer does not saturate."""
    found = gradients.reaches_pixels(asked(small(Scaled(curved, 1e4))))
    assert found.outcome == "holds", found.evidence


def test_live_gradients_hold(small: Small, curved: nn.Module, asked: Make) -> None:
    found = gradients.alive(asked(small(curved)))
    assert found.outcome == "holds"
    assert found.evidence.startswith("0 of 16")


def test_a_saturated_softmax_kills_the_cross_entropy_but_not_dlr(
    small: Small, curved: nn.Module, asked: Make
) -> None:
    evidence = asked(small(Scaled(curved, 1e6)))
    dead = int((evidence.probe.gradient.flatten(1) == 0).all(dim=1).sum())
    found = gradients.alive(evidence)
    assert found.outcome == "falls"
    assert dead == 16
    assert "16 of these 16 live under the DLR loss" in found.evidence


def test_a_gradient_that_is_no_number_is_dead(small: Small, curved: nn.Module, asked: Make) -> None:
    network = Before(curved, wrong_backward(lambda slope: slope * float("nan")))
    found = gradients.alive(asked(small(network)))
    assert found.outcome == "falls"
    assert "16 of 16" in found.evidence


def test_a_few_dead_gradients_of_a_few_images_tell_nothing(
    small: Small, curved: nn.Module, asked: Make
) -> None:
    class Sometimes(nn.Module):
        """Detaches the first two images of sixteen."""

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            keep = (torch.arange(len(pixels)) >= 2).float()[:, None]
            out: torch.Tensor = curved(pixels)
            return out * keep + out.detach() * (1 - keep)

    found = gradients.alive(asked(small(Sometimes())))
    assert found.outcome == "cannot tell"
    assert found.evidence.startswith("2 of 16")


def test_without_labels_there_is_no_loss(small: Small, curved: nn.Module, asked: Make) -> None:
    evidence = asked(small(curved), labelled=False)
    assert gradients.alive(evidence).outcome == "cannot tell"
    assert smoothness.smooth(evidence).outcome == "cannot tell"


def test_a_smooth_loss_holds_and_a_sawtooth_falls(
    small: Small, curved: nn.Module, asked: Make
) -> None:
    smooth = smoothness.smooth(asked(small(curved)))
    jagged = Before(curved, lambda x: x + 0.2 * (x * 5000).sin())
    assert smooth.outcome == "holds", smooth.evidence
    assert smoothness.smooth(asked(small(jagged))).outcome == "falls"


def test_the_change_of_a_loss_that_is_known(small: Small, asked: Make) -> None:
    """The lead of the label sinks from 1 to 0.5 under any noise: the share is in closed form."""

    class Jumping(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            whole = ((pixels * 255) - (pixels * 255).round()).abs().amax(dim=(1, 2, 3)) < 1e-3
            first = torch.where(whole, 1.0, 0.5)
            return torch.stack([first, 0 * first, 0 * first], dim=1)

    found = smoothness.smooth(asked(small(Jumping())))
    before, after = (math.log(1 + 2 * math.exp(-z)) for z in (1.0, 0.5))
    assert found.outcome == "falls"
    assert f"by {(after - before) / before:.3g} of itself" in found.evidence


def test_an_attack_that_is_known_in_closed_form(
    small: Small, curved: nn.Module, asked: Make
) -> None:
    found = known.closed_form(asked(small(curved)))
    assert found.outcome == "holds", found.evidence


@pytest.mark.parametrize("wrong", ["half a step", "no sign"])
def test_a_wrong_attack_misses_its_closed_form(
    wrong: str, small: Small, curved: nn.Module, asked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wrong == "half a step":
        monkeypatch.setattr(LinfBall, "steepest", lambda _, gradient: gradient.sign() / 2)
    else:
        monkeypatch.setattr(LinfBall, "steepest", lambda _, gradient: gradient)
    assert known.closed_form(asked(small(curved))).outcome == "falls"


@pytest.mark.slow
def test_the_reference_network_falls_and_not_without_steps(
    small: Small, curved: nn.Module, asked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = asked(small(curved))
    known._left.cache_clear()
    assert known.reference_falls(evidence).outcome == "holds"
    known._left.cache_clear()
    monkeypatch.setattr(known, "EPSILON", 1e-6)
    assert known.reference_falls(evidence).outcome == "falls"
    known._left.cache_clear()
