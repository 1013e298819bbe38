"""Norm balls as values: what an attack may do to an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Protocol

import torch


class Ball(Protocol):
    """Every point within ``epsilon`` of an image in some norm, and in [0, 1]."""

    norm: ClassVar[str]
    """As people write it."""

    @property
    def epsilon(self) -> float:
        """How far, on the pixel scale [0, 1]."""
        ...

    def steepest(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return the direction of steepest ascent of length 1 in this norm."""
        ...

    def project(self, moved: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Return points in the ball around ``start`` and in [0, 1], near ``moved``."""
        ...

    def distance(self, moved: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Return (n,) how far each image was moved."""
        ...

    def sample(self, start: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Return a uniformly drawn point of the ball around each start, clipped to [0, 1].

        Args:
            start: (n, 3, H, W) in [0, 1].
            generators: one on the CPU for each image: no draw depends on the batch or the device.
        """
        ...

    def noise(self, start: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Return each start after an aimless step of the full size, clipped to [0, 1]."""
        ...


@dataclass(frozen=True, slots=True)
class LinfBall:
    """Every pixel value moves by at most ``epsilon``, on the pixel scale [0, 1]."""

    norm: ClassVar[str] = "linf"
    epsilon: float

    def steepest(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return the direction of steepest ascent of length 1 in this norm: the sign."""
        return gradient.sign()

    def project(self, moved: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Return the nearest points to ``moved`` in the ball around ``start`` and in [0, 1].

        Args:
            moved: (n, 3, H, W).
            start: (n, 3, H, W) in [0, 1].
        """
        # in place: large tensors cost more to allocate than to fill
        low, high = (start - self.epsilon).clamp_(min=0), (start + self.epsilon).clamp_(max=1)
        return torch.clamp(moved, low, high)

    def distance(self, moved: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Return (n,) how far each image was moved."""
        return (moved - start).abs().flatten(1).amax(dim=1)

    def sample(self, start: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Return a uniform point of the cube around each start, clipped to [0, 1]."""
        shape = start.shape[1:]
        drawn = torch.stack([torch.rand(shape, generator=one) for one in generators])
        return self.project(start + self.epsilon * (2 * drawn.to(start) - 1), start)

    def noise(self, start: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Return each start after a step of ``epsilon`` along random signs, clipped to [0, 1]."""
        shape = start.shape[1:]
        drawn = torch.stack([torch.randint(0, 2, shape, generator=one) for one in generators])
        return self.project(start + self.epsilon * (2 * drawn.to(start) - 1), start)


@dataclass(frozen=True, slots=True)
class L2Ball:
    """An image moves by at most ``epsilon`` in Euclidean length, pixels on the scale [0, 1]."""

    norm: ClassVar[str] = "l2"
    epsilon: float

    def steepest(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return each gradient at length 1; a gradient of zero stays zero."""
        return _unit(gradient)

    def project(self, moved: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Return points in the ball around ``start`` and in [0, 1].

        First onto the ball, then clipped. This is not always the nearest point of the
        intersection, but it keeps both bounds: ``start`` lies in the box, so clipping only brings
        a pixel nearer to it.

        Args:
            moved: (n, 3, H, W).
            start: (n, 3, H, W) in [0, 1].
        """
        length = self.distance(moved, start)
        factor = (self.epsilon / length.clamp(min=torch.finfo(length.dtype).tiny)).clamp(max=1)
        onto = start + (moved - start) * _as_images(factor)
        # what is inside already keeps its bits; of tiny moves the squares, and so length, vanish
        inside = (length <= self.epsilon) & (self.epsilon > 0)
        return torch.where(_as_images(inside), moved, onto).clamp(0, 1)

    def distance(self, moved: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Return (n,) how far each image was moved."""
        return _lengths(moved - start)

    def sample(self, start: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Return a uniform point of the ball around each start, clipped to [0, 1].

        In d dimensions the radius of a uniform point is ``epsilon * u ** (1 / d)``.
        """
        direction = _directions(start, generators)
        drawn = torch.stack([torch.rand((), generator=one) for one in generators]).to(start)
        radius = self.epsilon * drawn ** (1 / start[0].numel())
        return self.project(start + direction * _as_images(radius), start)

    def noise(self, start: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Return each start after ``epsilon`` along a random direction, clipped to [0, 1]."""
        return self.project(start + self.epsilon * _directions(start, generators), start)


BALLS: Mapping[str, type[LinfBall] | type[L2Ball]] = MappingProxyType(
    {ball.norm: ball for ball in (LinfBall, L2Ball)}
)
"""By the names that people write."""


def _directions(start: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Normal numbers point everywhere alike."""
    shape = start.shape[1:]
    return _unit(torch.stack([torch.randn(shape, generator=one) for one in generators]).to(start))


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    # scaled first: the squares of a confident network's gradient vanish in fp32
    tiny = torch.finfo(vectors.dtype).tiny
    scaled = vectors / _as_images(vectors.abs().flatten(1).amax(dim=1).clamp(min=tiny))
    return scaled / _as_images(_lengths(scaled).clamp(min=tiny))


def _lengths(vectors: torch.Tensor) -> torch.Tensor:
    lengths: torch.Tensor = torch.linalg.vector_norm(vectors.flatten(1), dim=1)
    return lengths


def _as_images(values: torch.Tensor) -> torch.Tensor:
    """(n,) to (n, 1, 1, 1)."""
    return values[:, None, None, None]
