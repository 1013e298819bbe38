"""Networks that look at few values are sound; those whose gradient was taken away are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vision_evals.models.classifier import Classifier
from vision_evals.validity import gradients, hidden
from vision_evals.validity.check import Evidence
from vision_evals.validity.slopes import differentiated, on_the_way

Make = Callable[..., Evidence]
Small = Callable[..., Classifier]
CHECKS = (gradients.gradient_alive, gradients.reaches_pixels, hidden.nothing_hidden)


class Net(nn.Module):
    """Two convolutions, three class maps, and a function that makes logits of them."""

    def __init__(
        self, pooled: Callable[[Tensor], Tensor], before: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, stride=2), nn.ReLU())
        )
        self.maps, self.pooled, self.before = nn.Conv2d(16, 3, 1), pooled, before
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        seen = pixels if self.before is None else self.before(pixels)
        return 10 * self.pooled(self.maps(self.features(seen)).flatten(2))


def largest(maps: Tensor) -> Tensor:
    return maps.max(dim=2).values


def maxout(maps: Tensor) -> Tensor:
    """Return the larger one of each two neighbours, and the largest of these."""
    return maps[:, :, :-1].reshape(*maps.shape[:2], -1, 2).amax(dim=3).amax(dim=2)


def top_five(maps: Tensor) -> Tensor:
    return maps.topk(5, dim=2).values.mean(dim=2)


def median(maps: Tensor) -> Tensor:
    return maps.median(dim=2).values


class Bright(nn.Module):
    """Each class looks at one channel, so that two of three classes leave one without a say."""

    def forward(self, pixels: Tensor) -> Tensor:
        return 10 * pixels.mean(dim=(2, 3))


class Quarters(nn.Module):
    """Each class looks at rows of its own."""

    def forward(self, pixels: Tensor) -> Tensor:
        return 20 * torch.stack([x.mean(dim=(1, 2, 3)) for x in pixels.tensor_split(3, 2)], dim=1)


class Twins(nn.Module):
    """The first two answers are the same."""

    def forward(self, pixels: Tensor) -> Tensor:
        return 10 * pixels.mean(dim=(2, 3))[:, [0, 0, 1]]


SOUND: dict[str, Callable[[], nn.Module]] = {
    "one channel a class": Bright,
    "rows of its own a class": Quarters,
    "the same answer twice": Twins,
    "largest place": lambda: Net(largest),
    "smallest place": lambda: Net(lambda maps: maps.amin(dim=2)),
    "median": lambda: Net(median),
    "quantile": lambda: Net(lambda maps: maps.quantile(0.9, dim=2)),
    "top five": lambda: Net(top_five),
    "top and bottom": lambda: Net(lambda maps: top_five(maps) - top_five(-maps)),
    "maxout": lambda: Net(maxout),
    "mean of a map": lambda: Net(lambda maps: maps.mean(dim=2)),
    "attention": lambda: Net(lambda maps: (maps * maps.softmax(dim=2)).sum(dim=2)),
    "erosion": lambda: Net(largest, lambda x: -F.max_pool2d(-x, 3, 1, 1)),
}


def flat(n: int = 8) -> Tensor:
    """Return a grey picture with a square of colour: many values are the same."""
    pixels, rng = torch.full((n, 3, 24, 24), 128 / 255), torch.Generator().manual_seed(4)
    colours = torch.randint(20, 235, (n, 3, 1, 1), generator=rng) / 255
    pixels[:, :, 4:12, 6:14] = colours
    return pixels


def photograph_like(n: int = 8) -> Tensor:
    rng = torch.Generator().manual_seed(3)
    coarse = torch.rand(n, 3, 5, 5, generator=rng)
    return (F.interpolate(coarse, size=24, mode="bicubic").clamp(0.02, 0.98) * 255).round() / 255


@pytest.mark.parametrize("pictures", [flat, photograph_like])
@pytest.mark.parametrize("name", SOUND)
def test_a_differentiable_network_is_never_called_masked(
    name: str, pictures: Callable[[], Tensor], small: Small, asked: Make
) -> None:
    evidence = asked(small(SOUND[name]()), pixels=pictures())
    for check in CHECKS:
        result = check(evidence)
        assert result.outcome != "failed", f"{check.__name__}: {result.evidence}"
    if pictures is photograph_like and name != "median":
        assert hidden.nothing_hidden(evidence).outcome == "passed"


def even_columns(pixels: Tensor) -> Tensor:
    return torch.arange(pixels.shape[3]) % 2 == 0


def coarse(pixels: Tensor) -> Tensor:
    return (pixels * 15).round() / 15


def jpeg(pixels: Tensor) -> Tensor:
    """Round the cosine transform of blocks of 8 x 8, as JPEG does."""
    places = torch.arange(8)
    cosine = torch.cos(math.pi * (2 * places + 1) * places[:, None] / 16) / 2
    cosine[0] = math.sqrt(1 / 8)
    n, _, height, width = pixels.shape
    blocks = pixels.reshape(n, 3, height // 8, 8, width // 8, 8).transpose(3, 4) * 255
    rounded = (cosine @ blocks @ cosine.T / 16).round() * 16
    whole = cosine.T @ rounded @ cosine / 255
    return whole.transpose(3, 4).reshape(pixels.shape)


class Backwards(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, pixels: Tensor) -> Tensor:
        return pixels.clone()

    @staticmethod
    def backward(_: Any, *slopes: Tensor) -> Tensor:
        return -slopes[0]


def without_winner(maps: Tensor) -> Tensor:
    """Detach the first answer."""
    logits = largest(maps)
    first = F.one_hot(logits.argmax(dim=1), 3).bool()
    return torch.where(first, logits.detach(), logits)


MASKED: dict[str, Callable[[], nn.Module]] = {
    "quantised": lambda: Net(largest, coarse),
    "JPEG": lambda: Net(largest, jpeg),
    "half of the columns": lambda: Net(
        largest, lambda x: torch.where(even_columns(x), x, x.detach())
    ),
    "two channels": lambda: Net(median, lambda x: torch.cat([x[:, :1], x[:, 1:].detach()], dim=1)),
    "detached": lambda: Net(largest, Tensor.detach),
    "downhill": lambda: Net(largest, lambda x: Backwards.apply(x)),
    "argmax": lambda: Net(lambda maps: F.one_hot(maps.argmax(dim=1), 3).float().mean(dim=1)),
    "signs": lambda: Net(lambda maps: maps.sign().mean(dim=2) + maps.mean(dim=2) / 100),
    "the first answer alone": lambda: Net(without_winner),
    "straight through": lambda: Net(largest, lambda x: x + (coarse(x) - x).detach()),
    "shattered": lambda: Net(largest, lambda x: x + 0.01 * (x * 5000).sin().detach()),
}


@pytest.mark.parametrize("name", MASKED)
def test_a_gradient_that_was_taken_away_falls(name: str, small: Small, asked: Make) -> None:
    evidence = asked(small(MASKED[name]()), pixels=photograph_like())
    results = [check(evidence) for check in CHECKS]
    assert "failed" in {result.outcome for result in results}, results


def test_a_gradient_that_is_cut_at_whole_levels_alone_does_not_pass(
    small: Small, curved: nn.Module, asked: Make
) -> None:
    class Cut(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            level = ((pixels * 255).round() - pixels * 255).abs() < 1e-3
            seen: Tensor = curved(
                torch.where(level & even_columns(pixels), pixels.detach(), pixels)
            )
            return seen

    result = hidden.nothing_hidden(asked(small(Cut())))
    assert result.outcome == "undecided"
    assert "where it is 0 at the images themselves alone" in result.evidence


@pytest.mark.parametrize("pooled", [largest, median])
def test_the_gradients_on_the_way_add_up_to_the_change(
    pooled: Callable[[Tensor], Tensor], small: Small, asked: Make
) -> None:
    """The fundamental theorem of calculus; of a maximum, the change is known without a gradient."""

    class Plain(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return pooled(pixels.flatten(2))

    evidence = asked(small(Plain()), pixels=flat(4))
    pixels = evidence.probe.pixels
    _, (lead, _) = differentiated(evidence, pixels)
    step = 0.001 * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0)).double()
    up, down = (pooled((pixels.double() + s * step).flatten(2)) for s in (1, -1))
    change, way = lead.of(up - down), on_the_way(evidence, pixels, step, lead, 128)
    assert (way.change - change).norm() < 0.05 * change.norm()
    at_image = 2 * (lead.gradient * step).flatten(1).sum(dim=1)
    assert (at_image - change).norm() > 0.5 * change.norm()
