"""The copy on which attacks climb: equal but for rounding, and never the one that decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from vision_evals.attacks.attack import Draws, Victim
from vision_evals.attacks.balls import LinfBall
from vision_evals.attacks.criteria import Misclassification
from vision_evals.attacks.gradients import cross_entropy, see
from vision_evals.attacks.pgd import ProjectedGradientDescent
from vision_evals.attacks.worst import worst_case
from vision_evals.models.classifier import Classifier

Make = Callable[..., Classifier]


class Normed(nn.Module):
    """A small network with a batch norm after a convolution, and a way to hide its gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 3)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(self.convolution(x)).relu().mean(dim=(2, 3))
        return y

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.features(x))
        return y


class Hidden(Normed):
    """Half of its answer has no gradient; a trace of its forward forgets that."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            hidden = self.features(x.flip(3) ** 2)
        y: torch.Tensor = self.head(self.features(x) - hidden)
        return y


@pytest.fixture
def normed(small: Make) -> Callable[[type[Normed]], Classifier]:
    """Return what makes a classifier whose batch norm has statistics that matter."""

    def make(kind: type[Normed]) -> Classifier:
        generator = torch.Generator().manual_seed(0)
        network = kind()
        for values in (*network.parameters(), *network.buffers()):
            if values.is_floating_point():
                values.data = torch.rand(values.shape, generator=generator) + 0.1
        with torch.no_grad():
            network.head.weight.copy_(torch.randn(3, 8, generator=generator))
            pictures = torch.rand(12, 3, 16, 16, generator=generator)
            network.head.bias.sub_(network.eval()(pictures).mean(dim=0))  # near borders of classes
        return small(network.eval().requires_grad_(requires_grad=False))

    return make


def test_attacks_climb_on_folded_batch_norms_and_find_the_same(
    normed: Callable[[type[Normed]], Classifier],
) -> None:
    classifier = normed(Normed)
    copy = classifier.climbed
    assert copy is not classifier
    assert not any(isinstance(m, nn.BatchNorm2d) for m in copy.network.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in classifier.network.modules())
    pixels = torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    label = classifier.logits(pixels).argmax(dim=1)
    criterion = Misclassification(label, label[:, None])
    found = [
        worst_case(
            victim, pixels, criterion, LinfBall(0.05), [ProjectedGradientDescent(steps=5)],
            Draws(0, tuple("abcdefghijkl")),
        )
        for victim in (classifier, Plain(classifier))
    ]  # fmt: skip
    assert torch.equal(found[0].broken, found[1].broken)
    assert found[0].broken.any()
    assert torch.allclose(found[0].pixels, found[1].pixels, atol=1e-4)


class Plain:
    """A classifier without a copy."""

    def __init__(self, classifier: Classifier) -> None:
        self.alias, self.logits = classifier.alias, classifier.logits

    @property
    def climbed(self) -> Victim:
        return self


@pytest.mark.parametrize("what", ["no batch norm", "a gradient that is hidden", "a branch"])
def test_a_network_whose_copy_would_differ_is_climbed_itself(
    what: str, normed: Callable[[type[Normed]], Classifier], small: Make
) -> None:
    class Branch(Normed):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.head(self.features(x if x.sum() > 0 else -x))
            return y

    classifier = {
        "no batch norm": lambda: small(),
        "a gradient that is hidden": lambda: normed(Hidden),
        "a branch": lambda: normed(Branch),
    }[what]()
    assert classifier.climbed is classifier


def test_another_network_has_another_copy(
    normed: Callable[[type[Normed]], Classifier], small: Make
) -> None:
    classifier = normed(Normed)
    assert classifier.climbed is classifier.climbed
    other = replace(classifier, network=small().network)
    assert other.climbed is other


def test_the_network_itself_says_whether_an_image_is_broken() -> None:
    """A copy that calls every image broken convinces nobody."""

    class Liar(Plain):
        def __init__(self, logits: torch.Tensor, copy: Liar | None) -> None:
            self.alias, self.fixed, self.copy = "liar", logits, copy

        @property
        def climbed(self) -> Victim:
            return self.copy or self

        def logits(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.fixed[: len(pixels)] + 0 * pixels.flatten(1).sum(dim=1, keepdim=True)

    right, wrong = torch.tensor([[1.0, 0.0]] * 3), torch.tensor([[0.0, 1.0]] * 3)
    zero, pixels = torch.zeros(3, dtype=torch.int64), torch.full((3, 3, 2, 2), 0.5)
    criterion = Misclassification(zero, zero[:, None])
    liar = Liar(right, Liar(wrong, None))
    seen = see(liar, pixels, criterion, cross_entropy)
    assert not seen.met.any()
    assert torch.equal(see(Liar(wrong, liar), pixels, criterion, cross_entropy).met, seen.met)
