"""Norm balls as values: how far an attack may move an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import ClassVar, Protocol

import torch


class Ball(Protocol):
    """All points within ``epsilon`` of an image in some norm, and in [0, 1]."""

    norm: ClassVar[str]
    """Name in suites."""

    @property
    def epsilon(self) -> float:
        """Radius, on the pixel scale [0, 1]."""
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
            generators: one per image, on the CPU: no draw depends on the batch or the device.
        """
        ...

    def noise(self, start: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Return each start after a random step of the full size, clipped to [0, 1]."""
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
        uniform = _draws(partial(torch.rand, start.shape[1:]), generators, start)
        return self.project(start + self.epsilon * (2 * uniform - 1), start)

    def noise(self, start: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Return each start after a step of ``epsilon`` along random signs, clipped to [0, 1]."""
        bits = _draws(partial(torch.randint, 0, 2, start.shape[1:]), generators, start)
        return self.project(start + self.epsilon * (2 * bits - 1), start)


@dataclass(frozen=True, slots=True)
class L2Ball:
    """An image moves by at most ``epsilon`` in Euclidean length, pixels on the scale [0, 1]."""

    norm: ClassVar[str] = "l2"
    epsilon: float

    def steepest(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return each gradient scaled to length 1; a gradient of zero stays zero."""
        return _unit(gradient)

    def project(self, moved: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Return points in the ball around ``start`` and in [0, 1].

        The points are projected onto the ball, then clipped. This is not always the nearest point
        of the intersection, but it is in both: ``start`` is in the box, so clipping only moves a
        pixel closer to it.

        Args:
            moved: (n, 3, H, W).
            start: (n, 3, H, W) in [0, 1].
        """
        length = self.distance(moved, start)
        factor = (self.epsilon / length.clamp(min=torch.finfo(length.dtype).tiny)).clamp(max=1)
        onto = start + (moved - start) * _as_images(factor)
        # points inside keep their bits; the squares of tiny moves, and so the length, underflow
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
        uniform = _draws(partial(torch.rand, ()), generators, start)
        radius = self.epsilon * uniform ** (1 / start[0].numel())
        return self.project(start + direction * _as_images(radius), start)

    def noise(self, start: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Return each start after ``epsilon`` along a random direction, clipped to [0, 1]."""
        return self.project(start + self.epsilon * _directions(start, generators), start)


BALLS: Mapping[str, type[LinfBall] | type[L2Ball]] = MappingProxyType(
    {ball.norm: ball for ball in (LinfBall, L2Ball)}
)
"""By their names in suites."""


def _directions(start: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Return uniform directions: normal numbers, scaled to length 1."""
    return _unit(_draws(partial(torch.randn, start.shape[1:]), generators, start))


def _draws(
    draw: Callable[..., torch.Tensor], generators: Sequence[torch.Generator], like: torch.Tensor
) -> torch.Tensor:
    """Return a draw of each generator, on the device and in the type of ``like``."""
    return torch.stack([draw(generator=generator) for generator in generators]).to(like)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    # scaled first: the squares of a confident network's gradient underflow in fp32
    tiny = torch.finfo(vectors.dtype).tiny
    scaled = vectors / _as_images(vectors.abs().flatten(1).amax(dim=1).clamp(min=tiny))
    return scaled / _as_images(_lengths(scaled).clamp(min=tiny))


def _lengths(vectors: torch.Tensor) -> torch.Tensor:
    lengths: torch.Tensor = torch.linalg.vector_norm(vectors.flatten(1), dim=1)
    return lengths


def _as_images(values: torch.Tensor) -> torch.Tensor:
    """(n,) to (n, 1, 1, 1)."""
    return values[:, None, None, None]
