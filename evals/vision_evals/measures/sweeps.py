"""What measures share that move pixels by several sizes: who was right, what noise would do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vision_evals.log import Metric, WorstFirst
from vision_evals.measures.epsilons import value
from vision_evals.measures.metrics import exact

if TYPE_CHECKING:
    import pandas as pd
    import torch


CONFIDENTLY_WRONG = WorstFirst(meaning="The worst are those that became most confidently wrong.")


def outside(moved: torch.Tensor, distance: torch.Tensor, size: float) -> torch.Tensor:
    """Return (n,) by how much points leave a ball or [0, 1] at most; 0 is inside.

    Args:
        moved: (n, 3, H, W).
        distance: (n,) from the image, in the norm of the ball.
        size: radius of the ball.
    """
    import torch

    flat = moved.flatten(1)
    beyond = torch.maximum(-flat.amin(dim=1), flat.amax(dim=1) - 1)
    return torch.maximum(distance - size, beyond).clamp(min=0)


def right_when_clean(rows: pd.DataFrame) -> list[str]:
    """Return the images that are right before any step, whether or not the sweep holds 0."""
    return list(dict.fromkeys(rows["image"][rows["correct_clean"]]))


def against_noise(at: pd.DataFrame, epsilon: str) -> Metric:
    """Exact one-sided McNemar: does the attack break more images than noise of its size does?

    Only images that are right when clean can be broken: noise that happens to right another one is
    no success of the attack.

    Args:
        at: rows at one epsilon, with ``correct_clean``, ``correct`` and ``correct_noise``.
        epsilon: as the suite wrote it.
    """
    from scipy.stats import binomtest

    at = at[at["correct_clean"]]
    only_attack = int((at["correct_noise"] & ~at["correct"]).sum())
    only_noise = int((at["correct"] & ~at["correct_noise"]).sum())
    discordant = only_attack + only_noise
    return exact(
        "noise_p_value",
        float(binomtest(only_attack, discordant, alternative="greater").pvalue)
        if discordant
        else None,
        discordant,
        "images that only one of the two breaks",
        "a test has no interval" if discordant else "both break the same images",
        at=epsilon,
        unit="probability",
    )


def median_flip(rows: pd.DataFrame, epsilons: Sequence[str | int | float]) -> Metric:
    """Return the smallest epsilon of the sweep at which half of the right images are wrong."""
    clean = right_when_clean(rows)
    n, reason = len(clean), "a point of the sweep, not a sample"
    size = None
    for epsilon in sorted(epsilons, key=value):
        at = rows[rows["epsilon"] == str(epsilon)].set_index("image")["correct"]
        if n and (~at[clean]).mean() >= 0.5:
            size = value(epsilon)
            break
    if size is None:
        reason = "no image is right when clean" if not n else "half stand the whole sweep"
    return exact(
        "median_flip_epsilon", size, n, "images correct when clean", reason, unit="epsilon"
    )
