"""What measures share that move pixels by several sizes: metrics, noise, and their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_evals.log import Metric, WorstFirst
from vision_evals.measures.binomial import at_least
from vision_evals.measures.epsilons import value
from vision_evals.measures.metrics import each, exact, fraction, resampled
from vision_evals.suite.spec import BY_DECISION, MetricSpec

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from vision_evals.measures.measure import Subject
    from vision_evals.measures.probe import Probe, Rows

at_each_epsilon = partial(MetricSpec, axis="epsilons")
"""A metric that is measured at each epsilon."""

ACCURACIES = {
    "robust_accuracy": "correct",
    "robust_accuracy_8bit": "correct_8bit",
    "fgsm_accuracy": "correct_fgsm",
    "noise_accuracy": "correct_noise",
}
"""Shares of images that are classified correctly after a change, and their columns of the rows."""

CONFIDENTLY_WRONG = WorstFirst(
    meaning="The worst are the images on which the network became most confident of a wrong class."
)
ATTACK_SUCCESS = at_each_epsilon(
    "attack_success",
    "Share of the images classified correctly when clean that the attack makes wrong.",
    source="Carlini et al. 2019, On Evaluating Adversarial Robustness",
    interval="wilson",
    counts="correct_clean",
    higher_is_better=False,
)
CONFIDENCE_ON_MISTAKES = at_each_epsilon(
    "confidence_on_mistakes",
    "Mean confidence of the wrong answers after the attack.",
    source="Goodfellow et al. 2015, section 4",
    interval="bootstrap",
    higher_is_better=False,
)
NOISE_P_VALUE = at_each_epsilon(
    "noise_p_value",
    "Exact McNemar test, one-sided: the probability of a lead over noise of the same size that is "
    "at least as large, if both break images equally often.",
    source="McNemar 1947",
    higher_is_better=False,
)
MEDIAN_FLIP_EPSILON = MetricSpec(
    "median_flip_epsilon",
    "Smallest epsilon of the sweep at which at least half of the images that are correct when "
    "clean are wrong.",
    source="Schott et al. 2019 (median distance)",
    unit="epsilon",
)


def accuracy_after(name: str, about: str, source: str, **more: Any) -> MetricSpec:
    """Return the share of images that are classified correctly after a change of each size.

    Args:
        name: one of `ACCURACIES`.
        about: what it is.
        source: paper and section.
        more: further fields of the metric.
    """
    return at_each_epsilon(
        name,
        about,
        source=source,
        interval="wilson",
        per_image=each(ACCURACIES[name]),
        numeric_error=BY_DECISION,
        **more,
    )


ROBUST_ACCURACY_8BIT = accuracy_after(
    "robust_accuracy_8bit",
    "Robust accuracy after rounding the same adversarial images to 8 bits, as a saved picture "
    "stores them.",
    "Goodfellow et al. 2015, section 3; Carlini & Wagner 2017 (discretisation)",
    refines="robust_accuracy",
)


def sweep_metrics(
    rows: pd.DataFrame,
    epsilons: Sequence[str | int | float],
    subject: Subject,
    accuracies: Iterable[str],
    more: Callable[[pd.DataFrame, str], Iterable[Metric]] = lambda *_: (),
) -> tuple[Metric, ...]:
    """Return the metrics at each epsilon, and the epsilon at which half of the images are wrong.

    Args:
        rows: with ``correct_clean``, ``confidence``, ``correct``, ``correct_noise`` and the
            columns of the accuracies; with ``carried`` where a smaller size may be the reason why
            an image is wrong, so that the confidence of the row is not that of the mistake.
        epsilons: as the suite wrote them.
        subject: whose rows they are.
        accuracies: names in `ACCURACIES`.
        more: the rows at one epsilon, and the epsilon, to further metrics of a measure.
    """
    # whether or not the sweep holds epsilon 0
    clean = list(dict.fromkeys(rows["image"][rows["correct_clean"]]))
    columns = {name: ACCURACIES[name] for name in accuracies}
    of, metrics = "images correct when clean", []
    for epsilon in map(str, epsilons):
        at = rows[rows["epsilon"] == epsilon].set_index("image")
        wrong = ~at["correct"] & ~at["carried"] if "carried" in at else ~at["correct"]
        mistakes = (at["confidence"][wrong].to_numpy(np.float64),)
        metrics += [
            *(fraction(name, at[c], subject, at=epsilon) for name, c in columns.items()),
            fraction("attack_success", ~at["correct"][clean], subject, at=epsilon, of=of),
            resampled(
                "confidence_on_mistakes", np.mean, mistakes, subject, at=epsilon, of="mistakes"
            ),
            *more(at, epsilon),
            _against_noise(at, epsilon),
        ]
    return (*metrics, _median_flip(rows, epsilons, clean))


def _against_noise(at: pd.DataFrame, epsilon: str) -> Metric:
    """Exact one-sided McNemar: does the attack break more images than noise of its size does?

    Only images that are correct when clean can be broken: noise that happens to correct another
    image is no success of the attack.
    """
    at = at[at["correct_clean"]]
    only_attack = int((at["correct_noise"] & ~at["correct"]).sum())
    only_noise = int((at["correct"] & ~at["correct_noise"]).sum())
    n, of = only_attack + only_noise, "images that only one of the two breaks"
    p = at_least(only_attack, n) if n else None
    reason = "a test has no interval" if n else "both break the same images"
    return exact("noise_p_value", p, n, of, reason, at=epsilon, unit="probability")


def _median_flip(
    rows: pd.DataFrame, epsilons: Sequence[str | int | float], clean: list[str]
) -> Metric:
    n, reason = len(clean), "a point of the sweep, not a sample"
    size = None
    for epsilon in sorted(epsilons, key=value):
        at = rows[rows["epsilon"] == str(epsilon)].set_index("image")["correct"]
        if n and (~at[clean]).mean() >= 0.5:
            size = value(epsilon)
            break
    if size is None:
        reason = "more than half stay correct throughout" if n else "no image is correct when clean"
    return exact(
        "median_flip_epsilon", size, n, "images correct when clean", reason, unit="epsilon"
    )


def confidence_where(wrong: pd.Series[bool], rows: pd.DataFrame) -> pd.Series[float]:
    """Return each image's highest confidence in the rows that are ``wrong``; 0 without any."""
    return rows["confidence"].where(wrong, 0.0).groupby(rows["image"], sort=False).max()


def logits_along(
    probe: Probe, sizes: Sequence[float], moves: Sequence[Callable[[float, Rows], torch.Tensor]]
) -> list[list[torch.Tensor]]:
    """Return for each size the logits (n, classes) after each move; at 0 they are the clean ones.

    Args:
        probe: of labelled images.
        sizes: of the moves.
        moves: from a size and rows of the batch to their moved pixels.
    """
    places = [partial(move, size) for size in sizes if size for move in moves]
    outputs = iter(probe.looks(places, probe.right.accepted))
    return [[next(outputs) if size else probe.logits for _ in moves] for size in sizes]


def stacked(parts: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the columns (n, points, ...) of one mapping (n, ...) for each point of an axis."""
    import torch

    return {name: torch.stack([part[name] for part in parts], dim=1) for name in parts[0]}


def shown(
    found: Mapping[float, tuple[torch.Tensor, torch.Tensor]], otherwise: float
) -> torch.Tensor:
    """Return (n, 3, H, W) each image's point of the smallest size that breaks it, for its picture.

    Args:
        found: by size, points (n, 3, H, W) and whether they break their image (n,).
        otherwise: size of the points of images that none breaks.
    """
    import torch

    result, _ = found[otherwise]
    for size in sorted(found, reverse=True):
        points, broken = found[size]
        result = torch.where(broken[:, None, None, None], points, result)
    return result


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
