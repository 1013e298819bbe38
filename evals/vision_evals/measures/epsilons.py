"""Perturbation sizes as people write them: exact fractions on the pixel scale [0, 1]."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from vision_evals.core.errors import cut
from vision_evals.core.tables import MAX_DIGITS, rational

MAX_L2_DISTANCE = 10_000
"""Euclidean distance of black and white at 5,773 x 5,773 pixels; far above it, fp32 overflows."""


MAX_EPSILONS = 1000
"""Of a check."""


def value(epsilon: str | int | float) -> float:
    """Return an epsilon as a number."""
    return float(rational(epsilon))


def _not_negative(epsilon: str | int | float) -> str | int | float:
    try:
        size = rational(epsilon)
    except ValueError:
        raise ValueError(
            f"{cut(repr(epsilon), 60)} is not a number of at most {MAX_DIGITS} digits; "
            'write 0.007 or "8/255"'
        ) from None
    if size < 0:
        raise ValueError(f"{epsilon} is negative; an epsilon is a distance of at least 0")
    return epsilon


def within_scale(epsilon: str | int | float) -> str | int | float:
    """Return an epsilon that a single pixel can move by; ValueError for a larger one."""
    if rational(epsilon) > 1:
        raise ValueError(f'{epsilon} is above 1, the whole pixel scale; write "{epsilon}/255"')
    return epsilon


Epsilon = Annotated[str | int | float, AfterValidator(_not_negative), AfterValidator(within_scale)]
"""Largest change of a pixel value: ``0``, ``0.007``, ``"8/255"``."""


def _distinct(epsilons: tuple[str | int | float, ...]) -> tuple[str | int | float, ...]:
    if not epsilons:
        raise ValueError("must hold at least one epsilon")
    if len(epsilons) > MAX_EPSILONS:
        raise ValueError(f"lists {len(epsilons):,} epsilons, each a pass; at most {MAX_EPSILONS}")
    sizes = set()
    for epsilon in epsilons:
        if rational(epsilon) in sizes:
            raise ValueError(f"{epsilon} is listed twice")
        sizes.add(rational(epsilon))
    return epsilons


Epsilons = Annotated[tuple[Epsilon, ...], AfterValidator(_distinct)]
"""At least one, all different."""


def _reachable(epsilon: str | int | float) -> str | int | float:
    if rational(epsilon) > MAX_L2_DISTANCE:
        raise ValueError(f"{epsilon} is larger than the distance between any two pictures")
    return epsilon


Distance = Annotated[str | int | float, AfterValidator(_not_negative), AfterValidator(_reachable)]
"""In a norm that sums over pixels."""

Distances = Annotated[tuple[Distance, ...], AfterValidator(_distinct)]
"""At least one, all different, in a norm that sums over pixels: values above 1 are allowed."""
