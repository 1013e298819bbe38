"""Perturbation sizes as people write them: exact fractions on the pixel scale [0, 1]."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator

FAR = 10_000
"""Euclidean distance of black and white at 5,773 x 5,773 pixels; far beyond, fp32 overflows."""


def value(epsilon: str | int | float) -> float:
    """Return the number that an epsilon was written for."""
    return float(Fraction(str(epsilon)))


def _distance(epsilon: str | int | float) -> str | int | float:
    try:
        size = Fraction(str(epsilon))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f'{epsilon!r} is no number; write 0.007 or "8/255"') from None
    if size < 0:
        raise ValueError(f"{epsilon} is negative; an epsilon is a distance")
    return epsilon


def within_scale(epsilon: str | int | float) -> str | int | float:
    """Return an epsilon that a single pixel can move by; ValueError for a larger one."""
    if Fraction(str(epsilon)) > 1:
        raise ValueError(f'{epsilon} is above 1, the whole pixel scale; write "{epsilon}/255"')
    return epsilon


Epsilon = Annotated[str | int | float, AfterValidator(_distance), AfterValidator(within_scale)]
"""At most so far does a pixel value move: ``0``, ``0.007``, ``"8/255"``."""


def _once(epsilons: tuple[str | int | float, ...]) -> tuple[str | int | float, ...]:
    if not epsilons:
        raise ValueError("must hold one epsilon at least")
    sizes = [Fraction(str(epsilon)) for epsilon in epsilons]
    for epsilon, size in zip(epsilons, sizes, strict=True):
        if sizes.count(size) > 1:
            raise ValueError(f"{epsilon} is written twice")
    return epsilons


Epsilons = Annotated[tuple[Epsilon, ...], AfterValidator(_once)]
"""Several, each of another size."""


def _reachable(epsilon: str | int | float) -> str | int | float:
    if Fraction(str(epsilon)) > FAR:
        raise ValueError(f"{epsilon} is further than any two pictures lie apart")
    return epsilon


Distances = Annotated[
    tuple[Annotated[str | int | float, AfterValidator(_distance), AfterValidator(_reachable)], ...],
    AfterValidator(_once),
]
"""Several, each of another size, in a norm that adds pixels up: then 1 is no border."""
