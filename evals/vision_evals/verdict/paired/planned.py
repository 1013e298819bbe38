"""Before there is a second run: which margin so many images can decide, and how many one needs."""

from __future__ import annotations

from vision_evals.log import Paired
from vision_evals.verdict.paired.decide import images_needed

ALPHA = 0.05
"""One-sided error of a gate whose suite names no confidence."""

POWER = 0.8
"""Probability that an equal network passes."""

_STEPS = 1000
"""Margins are counted in tenths of a point."""


def images_for(margin: float, discordance: float) -> int:
    """Return how many images let an equal network pass a gate with this margin.

    Args:
        margin: the drop that is allowed, as a fraction, above 0.
        discordance: assumed share of images that only one of the two networks answers rightly.
    """
    changed = round(discordance * _STEPS)
    assumed = Paired(
        n=2 * _STEPS, difference=0.0, low=0.0, high=0.0, confidence=1 - 2 * ALPHA, method="score",
        worse=changed, better=changed, p_value=1.0,
    )  # fmt: skip
    needed = images_needed(assumed, -margin, "at_least", ALPHA, POWER)
    assert needed is not None, "only a margin that asks for a gain can be out of reach"
    return needed


def margin_for(images: int, discordance: float) -> float:
    """Return the smallest margin that so many images decide, rounded up to a tenth of a point."""
    steps = range(1, _STEPS + 1)
    return next(k / _STEPS for k in steps if images_for(k / _STEPS, discordance) <= images)
