"""Victims small enough to reason about, in float64, and what was shown to them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType

import pytest
import torch
from torch import nn


@dataclass
class Watched:
    """A victim that remembers what it was shown."""

    function: Callable[[torch.Tensor], torch.Tensor]
    alias: str = "watched"
    shown: list[torch.Tensor] = field(default_factory=list, repr=False)
    differentiated: list[bool] = field(default_factory=list, repr=False)

    @property
    def climbed(self) -> Watched:
        return self

    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        self.shown.append(pixels.detach().clone())
        self.differentiated.append(pixels.requires_grad)
        return self.function(pixels)


@pytest.fixture
def watched() -> Callable[..., Watched]:
    """Return what makes a victim of a function."""
    return Watched


@pytest.fixture
def curved() -> Watched:
    """Return a network with bends: 3 classes, pixels (n, 3, 8, 8); its weights want gradients."""
    generator = torch.Generator().manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 6 * 6, 3)
    ).double()
    with torch.no_grad():
        for weight in layers.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64) / 4)
    victim = Watched(layers.eval())
    victim.layers = layers  # type: ignore[attr-defined]
    return victim


@pytest.fixture
def weight() -> torch.Tensor:
    """Return (192,) the weights of a linear network of two classes."""
    generator = torch.Generator().manual_seed(3)
    return torch.randn(192, generator=generator, dtype=torch.float64) / 10


@pytest.fixture
def linear(weight: torch.Tensor) -> Watched:
    """Return two classes: logits (w x, 0)."""

    def function(pixels: torch.Tensor) -> torch.Tensor:
        score = (pixels - 0.5).flatten(1) @ weight
        return torch.stack([score, torch.zeros_like(score)], dim=1)

    return Watched(function)


@pytest.fixture(scope="session")
def images() -> Callable[..., torch.Tensor]:
    """Return a function that gives (n, 3, 8, 8) in [0, 1], or between ``low`` and ``high``."""

    def make(n: int, seed: int = 1, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.rand(n, 3, 8, 8, generator=generator, dtype=torch.float64)
        return low + (high - low) * drawn

    return make


@pytest.fixture(scope="session")
def foolbox() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import foolbox
    return foolbox
