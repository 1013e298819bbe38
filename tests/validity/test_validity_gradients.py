"""A gradient that leads uphill holds, and one that was masked in any known way falls."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from vision_evals.attacks.balls import LinfBall
from vision_evals.core.errors import NotApplicableError
from vision_evals.images.labels import ClassMap
from vision_evals.models.classifier import Classifier
from vision_evals.validity import gradients, hidden, known, slopes
from vision_evals.validity.check import Evidence
from vision_evals.validity.forwards import uniform_noise

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
        assert found.outcome == "passed", found.evidence


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_gradient_falls(name: str, small: Small, curved: nn.Module, asked: Make) -> None:
    found = gradients.reaches_pixels(asked(small(Before(curved, BROKEN[name]))))
    assert found.outcome == "failed", found.evidence


@pytest.mark.parametrize("name", ["downhill", "elsewhere"])
def test_a_false_gradient_does_not_hide_by_being_small(
    name: str, small: Small, curved: nn.Module, asked: Make
) -> None:
    """The network answers louder than it says; along a random way, noise still does."""
    false = wrong_backward(lambda slope: BACKWARDS[name](slope) * 1e-8)
    evidence = asked(small(Before(curved, false)))
    assert hidden.nothing_hidden(evidence).outcome == "failed"
    if name == "downhill":
        assert gradients.reaches_pixels(evidence).outcome == "failed"


BACKWARDS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "downhill": lambda slope: -slope,
    "elsewhere": lambda slope: slope.flip(2),
}


def cut(pixels: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    return torch.where(keep, pixels, pixels.detach())


HIDDEN = {
    "two of three channels": lambda x: cut(x, torch.tensor([1, 0, 0]).bool()[:, None, None]),
    "every second column": lambda x: cut(x, torch.arange(x.shape[3]) % 2 == 0),
    "all but one pixel": lambda x: cut(x, torch.arange(256).reshape(16, 16) == 100),
    "one row of sixteen": lambda x: cut(x, torch.arange(16)[:, None] != 8),
}


def test_a_good_network_hides_nothing(small: Small, curved: nn.Module, asked: Make) -> None:
    pooled = nn.Sequential(nn.MaxPool2d(2), curved)
    for network in (curved, pooled, Scaled(curved, 1e4)):
        found = hidden.nothing_hidden(asked(small(network)))
        assert found.outcome == "passed", found.evidence


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_cut_away_is_found(name: str, small: Small, curved: nn.Module, asked: Make) -> None:
    found = hidden.nothing_hidden(asked(small(Before(curved, HIDDEN[name]))))
    assert found.outcome == "failed", found.evidence


def test_the_share_and_the_ratio_of_a_linear_network_are_known(small: Small, asked: Make) -> None:
    """Of a channel mean, detached in green: the answer of green, and that of all."""

    class Greenless(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            out = 10 * pixels.mean(dim=(2, 3))
            return torch.stack([out[:, 0], out[:, 1].detach(), out[:, 2]], dim=1)

    evidence = asked(small(Greenless()))
    found = hidden.nothing_hidden(evidence)
    pixels = evidence.probe.pixels[:4]
    first, second = (10 * pixels.mean(dim=(2, 3))).topk(2, dim=1).indices.T
    free = slopes.movable(pixels).double()
    noise = (uniform_noise(evidence, pixels) - 0.5).sign().double() * free * 0.25 / 255
    moved, row = 20 * noise.mean(dim=(2, 3)), torch.arange(4)
    whole = moved[row, second] - moved[row, first]
    green = (second == 1).double() * moved[:, 1] - (first == 1).double() * moved[:, 1]
    assert found.outcome == "failed"
    assert (
        "of the response of the lead to noise of a quarter of a level on 4 images, "
        f"{float(green.norm() / whole.norm()):.2g} comes through"
    ) in found.evidence


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_inside_is_no_mask(
    half: torch.dtype, small: Small, curved: nn.Module, asked: Make
) -> None:
    class Half(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = inner(pixels.to(half))
            return out.float()

    inner = copy.deepcopy(curved).to(half)
    evidence = asked(small(Half()))
    assert gradients.reaches_pixels(evidence).outcome == "undecided"
    assert hidden.nothing_hidden(evidence).outcome == "undecided"


def test_nearly_saturated_probabilities_leave_too_few_to_tell(
    small: Small, curved: nn.Module, asked: Make
) -> None:
    network = Before(nn.Softmax(1), lambda x: 100 * curved(x))
    found = gradients.reaches_pixels(asked(small(network)))
    assert found.outcome == "undecided"


def test_one_class_leads_nowhere(small: Small, asked: Make) -> None:
    class One(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.mean(dim=(1, 2, 3))[:, None]

    one = replace(small(One()), classes=ClassMap("one", ("it",), None))
    for look in (gradients.gradient_alive, gradients.reaches_pixels):
        with pytest.raises(NotApplicableError, match="with one class"):
            look(asked(one))


def test_a_graph_that_is_cut_has_no_live_gradient(small: Small, asked: Make) -> None:
    class Cut(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.detach().mean(dim=(2, 3))

    found = gradients.gradient_alive(asked(small(Cut())))
    assert found.outcome == "failed"
    assert "small has no gradient" in found.evidence


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
    assert found.outcome == "passed", found.evidence


def test_a_network_that_says_the_same_of_everything(small: Small, asked: Make) -> None:
    class Constant(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return 0 * pixels.mean(dim=(2, 3)) + torch.arange(3.0)

    found = gradients.reaches_pixels(asked(small(Constant())))
    assert found.outcome == "undecided"
    assert found.evidence.endswith("nothing either")


def test_the_derivative_of_a_large_logit_is_taken_too(
    small: Small, curved: nn.Module, asked: Make
) -> None:
    """Scale is no excuse: the lead of the first answer does not saturate."""
    found = gradients.reaches_pixels(asked(small(Scaled(curved, 1e4))))
    assert found.outcome == "passed", found.evidence


def test_live_gradients_hold(small: Small, curved: nn.Module, asked: Make) -> None:
    found = gradients.gradient_alive(asked(small(curved)))
    assert found.outcome == "passed"
    assert found.evidence.startswith("0 of 16")


def test_a_saturated_softmax_kills_the_cross_entropy_but_not_dlr(
    small: Small, curved: nn.Module, asked: Make
) -> None:
    evidence = asked(small(Scaled(curved, 1e6)))
    dead = int((evidence.probe.gradient.flatten(1) == 0).all(dim=1).sum())
    found = gradients.gradient_alive(evidence)
    assert found.outcome == "failed"
    assert dead == 16
    assert "16 of these 16 have one under the DLR loss" in found.evidence


def test_a_gradient_that_is_no_number_is_dead(small: Small, curved: nn.Module, asked: Make) -> None:
    network = Before(curved, wrong_backward(lambda slope: slope * float("nan")))
    found = gradients.gradient_alive(asked(small(network)))
    assert found.outcome == "failed"
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

    found = gradients.gradient_alive(asked(small(Sometimes())))
    assert found.outcome == "undecided"
    assert found.evidence.startswith("2 of 16")


def test_without_labels_there_is_no_loss(small: Small, curved: nn.Module, asked: Make) -> None:
    evidence = asked(small(curved), labelled=False)
    assert gradients.gradient_alive(evidence).outcome == "undecided"
    assert gradients.smooth(evidence).outcome == "undecided"


def test_a_smooth_loss_holds_and_a_sawtooth_falls(
    small: Small, curved: nn.Module, asked: Make
) -> None:
    smooth = gradients.smooth(asked(small(curved)))
    jagged = Before(curved, lambda x: x + 0.2 * (x * 5000).sin())
    assert smooth.outcome == "passed", smooth.evidence
    assert gradients.smooth(asked(small(jagged))).outcome == "failed"


def test_the_change_of_a_loss_that_is_known(small: Small, asked: Make) -> None:
    """The lead of the label sinks from 1 to 0.5 under any noise: the share is in closed form."""

    class Jumping(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            whole = ((pixels * 255) - (pixels * 255).round()).abs().amax(dim=(1, 2, 3)) < 1e-3
            first = torch.where(whole, 1.0, 0.5)
            return torch.stack([first, 0 * first, 0 * first], dim=1)

    found = gradients.smooth(asked(small(Jumping())))
    before, after = (math.log(1 + 2 * math.exp(-z)) for z in (1.0, 0.5))
    assert found.outcome == "failed"
    assert f"by {(after - before) / before:.3g} of itself" in found.evidence


def test_an_attack_that_is_known_in_closed_form(
    small: Small, curved: nn.Module, asked: Make
) -> None:
    found = known.closed_form(asked(small(curved)))
    assert found.outcome == "passed", found.evidence


@pytest.mark.parametrize("wrong", ["half a step", "no sign"])
def test_a_wrong_attack_misses_its_closed_form(
    wrong: str, small: Small, curved: nn.Module, asked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wrong == "half a step":
        monkeypatch.setattr(LinfBall, "steepest", lambda _, gradient: gradient.sign() / 2)
    else:
        monkeypatch.setattr(LinfBall, "steepest", lambda _, gradient: gradient)
    assert known.closed_form(asked(small(curved))).outcome == "failed"


@pytest.mark.slow
def test_the_reference_network_falls_and_not_without_steps(
    small: Small, curved: nn.Module, asked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = asked(small(curved))
    known._standing.cache_clear()
    assert known.reference_breaks(evidence).outcome == "passed"
    known._standing.cache_clear()
    monkeypatch.setattr(known, "EPSILON", 1e-6)
    assert known.reference_breaks(evidence).outcome == "failed"
    known._standing.cache_clear()
