"""Rows of made-up networks with every column of the measures, in their order and types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vision_evals.measures.intervals import generator

CLASSES = 1000
TARGET = 404
"""The airliner."""

LAYERS = ((64, 12544), (192, 3136), (384, 784), (256, 784), (256, 196), (4096, 1), (4096, 1))
"""Units and positions of the rectifiers, as of a network of AlexNet's kind."""


@dataclass(frozen=True, slots=True)
class Network:
    """What decides the rows of one made-up network."""

    alias: str
    skill: float
    """About its accuracy."""
    sure: float
    """From 1 on: how far its confidence is above that."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One network asked one question about some images."""

    network: Network
    images: tuple[str, ...]
    parameters: Mapping[str, Any]

    def random(self, *names: str) -> np.random.Generator:
        """Return the same numbers whatever else was drawn."""
        return generator(0, self.network.alias, *names)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Return (n,) the classes of the images, each as often as the others."""
        return np.arange(len(self.images)) % CLASSES


def _answers(asked: Asked) -> dict[str, Any]:
    """Return what a network says of clean images; the same for every measure."""
    rng, n, labels = asked.random("clean"), len(asked.images), asked.labels
    skill = asked.network.skill
    honest = rng.beta(5 * skill, 5 * (1 - skill), n)
    right = rng.random(n) < honest
    confidence = np.clip(1 - (1 - honest) / asked.network.sure, 0.01, 0.9999)
    order = (labels[:, None] + rng.integers(1, CLASSES // 5, (n, 1)) * np.arange(5)) % CLASSES
    place = np.where(right, 0, rng.integers(1, 8, n))  # of the label; from 5 on not among five
    first = (order + (place >= 5)[:, None] * 7) % CLASSES
    swapped = first.copy()
    for k in range(1, 5):
        mine = place == k
        swapped[mine, 0], swapped[mine, k] = first[mine, k], first[mine, 0]
    powers, sure = np.arange(1, 5), confidence[:, None]
    rest = np.minimum((1 - sure) * 0.5**powers, sure * 0.9**powers)
    probabilities = np.concatenate([confidence[:, None], rest], axis=1).astype(np.float32)
    given = np.where(place < 5, probabilities[np.arange(n), np.minimum(place, 4)], 1e-4)
    return {
        "top5": swapped, "top5_confidence": probabilities, "right": right, "place": place,
        "confidence": probabilities[:, 0], "given": given,
    }  # fmt: skip


def accuracy(asked: Asked) -> pd.DataFrame:
    said = _answers(asked)
    return _labelled(asked).assign(
        top5=list(said["top5"]),
        top5_confidence=list(said["top5_confidence"]),
        confidence=said["confidence"],
        correct1=said["right"],
        correct5=said["place"] < 5,
        nll=-np.log(said["given"]).astype(np.float32),
        competing=CLASSES,
    )


def predictions(asked: Asked) -> pd.DataFrame:
    said, rng = _answers(asked), asked.random("predictions")
    shifted = rng.random(len(asked.images)) < 0.6 + 0.4 * said["confidence"]
    reencoded = rng.random(len(asked.images)) < 0.8 + 0.2 * said["confidence"]
    return pd.DataFrame({"image": asked.images}).assign(
        top5=list(said["top5"]),
        top5_confidence=list(said["top5_confidence"]),
        confidence=said["confidence"],
        entropy=(6 * (1 - said["confidence"])).astype(np.float32),
        max_logit=(8 + 20 * said["confidence"]).astype(np.float32),
        shifted=shifted,
        reencoded=reencoded,
        stable=shifted & reencoded,
    )


def fgsm(asked: Asked) -> pd.DataFrame:
    """Each image stands up to an epsilon of its own, and thirty times as much noise."""
    said, rng, n = _answers(asked), asked.random("fgsm"), len(asked.images)
    epsilons = [str(epsilon) for epsilon in asked.parameters["epsilons"]]
    sizes = np.array([float(Fraction(epsilon)) for epsilon in epsilons])
    clean, count = said["right"][:, None], len(epsilons)
    stands = rng.lognormal(np.log(2 / 1020), 1, (n, 1))
    correct = clean & (sizes < stands)
    other = (asked.labels[:, None] + rng.integers(1, CLASSES, (n, count))) % CLASSES
    moved = np.clip(said["confidence"][:, None] * np.exp(-200 * sizes), 0.05, 1)
    confidence = np.where(correct, moved, np.clip(0.3 + 8 * sizes + 0 * moved, 0, 0.9))
    return _along(asked, "epsilon", epsilons).assign(
        top1=np.where(correct, asked.labels[:, None], other).ravel(),
        confidence=confidence.astype(np.float32).ravel(),
        margin=(np.where(correct, 1, -1) * 4 * confidence).astype(np.float32).ravel(),
        correct_clean=np.repeat(said["right"], count),
        correct=correct.ravel(),
        correct_8bit=(clean & (sizes < 1.1 * stands)).ravel(),
        correct_noise=(clean & (sizes < 30 * stands)).ravel(),
        outside=np.zeros(n * count, dtype=np.float32),
    )


def targeted(asked: Asked) -> pd.DataFrame:
    rng, n = asked.random("targeted"), len(asked.images)
    budgets = [str(budget) for budget in asked.parameters["budgets"]]
    sizes = np.array([float(Fraction(budget)) for budget in budgets])
    confidence = 1 - rng.beta(1, 2, (n, 1)) * np.exp(-60 * sizes)
    done = confidence >= asked.parameters["until"]
    steps = np.where(done, np.clip(24 - 2000 * sizes, 3, 20).astype(np.int64), -1)

    def each(values: NDArray[Any]) -> NDArray[Any]:
        return np.broadcast_to(values, (n, len(budgets))).ravel()

    return _along(asked, "budget", budgets).assign(
        already=each((asked.labels == TARGET)[:, None]),
        success=each(confidence > 0.8),
        success_8bit=each(confidence > 0.82),
        confidence_clean=np.float32(1e-5),
        confidence=each(confidence).astype(np.float32),
        steps=each(steps),
        linf=each(sizes).astype(np.float32),
        l2=each(sizes * 300).astype(np.float32),
        ssim=each(1 - 0.8 * sizes),
        low=np.float32(0),
        high=np.float32(1),
    )


def dead_relu(asked: Asked) -> pd.DataFrame:
    rng, parts = asked.random("dead_relu"), []
    for rank, (units, positions) in enumerate(LAYERS):
        dead = rng.random(units) < (0.02 + 0.03 * rank) * asked.network.sure
        fired = rng.integers(1, positions * len(asked.images) + 1, units)
        parts.append(
            pd.DataFrame(
                {
                    "layer": f"features.{3 * rank}.relu",
                    "call": 1,
                    "family": "rectifier",
                    "unit": np.arange(units),
                    "positive": np.where(dead, 0, fired),
                    "positions": positions,
                    "highest": np.where(dead, 0, rng.gamma(2, 2, units)).astype(np.float32),
                    "lowest": np.float32(0),
                    "saturated": -1,
                    "finite": 1,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


MAKERS: Mapping[str, Callable[[Asked], pd.DataFrame]] = {
    "accuracy": accuracy,
    "predictions": predictions,
    "fgsm": fgsm,
    "targeted": targeted,
    "dead_relu": dead_relu,
}
"""Measure to its rows."""


def _labelled(asked: Asked) -> pd.DataFrame:
    labels = asked.labels
    return pd.DataFrame({"image": asked.images, "label": labels, "accepted": list(labels[:, None])})


def _along(asked: Asked, axis: str, points: list[str]) -> pd.DataFrame:
    """Return the rows of each image at each point, image by image."""
    every = _labelled(asked)
    rows = every.loc[every.index.repeat(len(points))].reset_index(drop=True)
    rows.insert(1, axis, points * len(every))
    return rows
