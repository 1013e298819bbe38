"""A network that is surer and righter with another normalisation than its card's is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from vision_evals.core.errors import NotApplicableError
from vision_evals.models.card import Input
from vision_evals.models.classifier import Classifier
from vision_evals.validity import normalisation
from vision_evals.validity.check import Evidence
from vision_evals.validity.normalisation import CAFFE, HALVES, IMAGENET, others, own_is_best

Make = Callable[..., Evidence]
Small = Callable[..., Classifier]
Numbers = tuple[tuple[float, ...], tuple[float, ...]]
BARE: Numbers = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
COLOURS = torch.linspace(0.3, 0.7, 5)[:, None] + torch.tensor([[0.0, 0.02, -0.02]])


def normalised(pixels: Tensor, numbers: Numbers) -> Tensor:
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in numbers)
    return (pixels - mean) / std


class Nearest(nn.Module):
    """Names the colour that is nearest to a picture's mean, from normalised pixels."""

    def __init__(self, numbers: Numbers, inside: bool = False) -> None:
        super().__init__()
        self.numbers, self.inside = numbers, inside

    def forward(self, pixels: Tensor) -> Tensor:
        seen = normalised(pixels, self.numbers) if self.inside else pixels
        wanted = normalised(COLOURS[:, :, None, None], self.numbers)[:, :, 0, 0]
        apart = seen.mean(dim=(2, 3))[:, None] - wanted
        length: Tensor = torch.linalg.vector_norm(apart * torch.tensor(self.numbers[1]), dim=2)
        return -20 * length


def pictures(n: int = 16) -> tuple[Tensor, Tensor]:
    """Return pictures in one of the colours each, with noise, and their labels."""
    rng = torch.Generator().manual_seed(0)
    label = torch.arange(n) % len(COLOURS)
    noise = torch.rand(n, 3, 16, 16, generator=rng) / 25 - 0.02
    return (COLOURS[label][:, :, None, None] + noise).clamp(0, 1), label


def told(numbers: Numbers) -> Input:
    mean, std = numbers
    return Input(resize=16, crop=16, mean=mean, std=std)  # type: ignore[arg-type]


def found(network: nn.Module, card: Input, small: Small, asked: Make, n: int = 16) -> Evidence:
    pixels, label = pictures(n)
    classifier = replace(small(network), input=card)
    names = replace(classifier.classes, names=tuple("abcde"))
    return asked(replace(classifier, classes=names), pixels=pixels, label=label)


@pytest.mark.parametrize("numbers", [BARE, IMAGENET, HALVES, CAFFE])
def test_the_right_normalisation_passes(numbers: Numbers, small: Small, asked: Make) -> None:
    evidence = found(Nearest(numbers), told(numbers), small, asked)
    result = own_is_best(evidence)
    assert result.outcome == "passed", result.evidence
    assert bool((evidence.probe.logits.argmax(dim=1) == pictures()[1]).all())


@pytest.mark.parametrize("card", [IMAGENET, HALVES, CAFFE])
def test_a_network_that_normalises_inside_below_a_card_that_does_too(
    card: Numbers, small: Small, asked: Make
) -> None:
    result = own_is_best(found(Nearest(IMAGENET, inside=True), told(card), small, asked))
    assert result.outcome == "failed", result.evidence
    assert result.evidence.startswith("with bare pixels up to 1, not its own normalisation, 16 of")


@pytest.mark.parametrize(("network", "name"), [(IMAGENET, "ImageNet"), (HALVES, "-1 to 1")])
def test_a_card_without_a_normalisation_that_the_network_needs(
    network: Numbers, name: str, small: Small, asked: Make
) -> None:
    result = own_is_best(found(Nearest(network), told(BARE), small, asked))
    assert result.outcome == "failed", result.evidence
    assert name in result.evidence


def test_labels_that_are_wrong_for_another_reason_do_not_fail(small: Small, asked: Make) -> None:
    evidence = found(Nearest(IMAGENET), told(IMAGENET), small, asked)
    answers = evidence.probe.answers
    assert answers is not None
    label = (answers.label + 1) % 5
    moved = replace(evidence.probe, answers=replace(answers, label=label, accepted=label[:, None]))
    assert own_is_best(replace(evidence, probe=moved)).outcome != "failed"


def test_what_the_opposite_change_does_as_well_is_no_proof(
    small: Small, asked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on adversarials, which any change repairs."""
    evidence = found(Nearest(IMAGENET, inside=True), told(IMAGENET), small, asked)
    monkeypatch.setattr(normalisation._Change, "controls", lambda change: [change])
    result = own_is_best(evidence)
    assert result.outcome == "undecided"
    assert result.evidence.endswith("the opposite change does as well")


class Contrasted(nn.Module):
    """Is surer the more contrast its pictures have, and so gets some more of them right."""

    def __init__(self, gain: int) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, pixels: Tensor) -> Tensor:
        n, contrast = len(pixels), pixels.flatten(1).std(dim=1)
        at = torch.arange(n)
        late = (at < self.gain) & (contrast < 0.08)
        logits = torch.zeros(n, 5)
        logits[at, at % 5] = torch.where(late, -1.0, 1.0) * 50 * contrast
        return logits


@pytest.mark.parametrize(("gain", "why"), [(3, "more contrast"), (4, "the opposite change")])
def test_more_contrast_alone_makes_a_network_surer(
    gain: int, why: str, small: Small, asked: Make
) -> None:
    result = own_is_best(found(Contrasted(gain), told(BARE), small, asked))
    assert result.outcome == "undecided", result.evidence
    assert why in result.evidence


def test_few_images_and_no_labels_decide_nothing(small: Small, asked: Make) -> None:
    assert own_is_best(found(Nearest(BARE), told(BARE), small, asked, n=8)).outcome == "undecided"
    with pytest.raises(NotApplicableError, match="no labels"):
        own_is_best(asked(small(), labelled=False))


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_another_normalisation_reaches_the_network_as_numpy_has_it(channels: str) -> None:
    """In the network's order of channels and range, whatever its own mean and std are."""
    card = Input.model_validate(
        {
            "mean": (99.0, 110.0, 120.0),
            "std": (50.0, 60.0, 70.0),
            "channels": channels,
            "range": 255,
        }
    )
    pixels = pictures(2)[0]
    changed = others(card, torch.device("cpu"))["mean and std of ImageNet"](pixels)
    turn = -1 if channels == "bgr" else 1
    own = (torch.tensor(card.mean[::turn]).tolist(), torch.tensor(card.std[::turn]).tolist())
    reached = normalised(255 * changed, (tuple(own[0]), tuple(own[1])))
    assert torch.allclose(reached, normalised(pixels, IMAGENET), atol=1e-4)
