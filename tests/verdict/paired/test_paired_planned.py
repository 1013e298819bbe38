"""The margin that images decide, against the exact power of the gate that will use it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import multinomial, norm

from vision_evals.log import Verdict
from vision_evals.measures.intervals import generator
from vision_evals.verdict.paired.decide import decide
from vision_evals.verdict.paired.difference import paired
from vision_evals.verdict.paired.planned import images_for, margin_for
from vision_evals.verdict.paired.shares import score_interval


def power(n: int, discordance: float, margin: float) -> float:
    """Return how often an equal network passes: every pair of counts, by its probability."""
    most = min(n, math.ceil(n * discordance / 2 + 8 * math.sqrt(n * discordance) + 10))
    passes = 0.0
    for worse in range(most + 1):
        better = np.arange(min(most, n - worse) + 1)
        counts = np.stack([np.full_like(better, worse), better, n - worse - better], axis=1)
        share: Any = multinomial.pmf(counts, n, [discordance / 2, discordance / 2, 1 - discordance])
        passing = next(
            (b for b in better if score_interval(worse, int(b), n, 0.9).low >= -margin), None
        )
        passes += 0.0 if passing is None else float(share[passing:].sum())
    return passes


@pytest.mark.parametrize("n", [5, 20, 100])
@pytest.mark.parametrize("discordance", [0.05, 0.1])
def test_an_equal_network_passes_as_often_as_is_said(n: int, discordance: float) -> None:
    margin = margin_for(n, discordance)
    assert 0.8 <= power(n, discordance, margin) <= 0.93
    assert power(n, discordance, 0.5 * margin) < 0.8


def test_so_it_does_among_networks_that_are_drawn() -> None:
    rng, margin = np.random.default_rng(1), margin_for(500, 0.1)
    verdicts = []
    for _ in range(400):
        changes = rng.choice([-1, 0, 1], size=500, p=[0.05, 0.9, 0.05])
        before = np.where(changes == 0, True, changes < 0)
        difference = paired(
            before, np.where(changes == 0, True, changes > 0), generator(0, "x"), 0.9
        )
        verdicts.append(decide(difference, -margin, "at_least", 0.05))
    assert 0.76 <= verdicts.count(Verdict.PASSED) / 400 <= 0.88
    assert Verdict.FAILED not in verdicts


@pytest.mark.parametrize(("discordance", "images"), [(0.1, 6215), (0.05, 3162)])
def test_one_point_needs_what_the_normal_approximation_says(
    discordance: float, images: int
) -> None:
    """With z of both errors on one deviation: n = (z_a + z_b)^2 d / m^2."""
    approximate = (norm.isf(0.05) + norm.isf(0.2)) ** 2 * discordance / 0.01**2
    assert images_for(0.01, discordance) == images
    assert images == pytest.approx(approximate, rel=0.03)


@pytest.mark.parametrize("n", [50, 500, 5000])
def test_the_margin_is_the_root_rounded_up_to_a_tenth_of_a_point(n: int) -> None:
    root = brentq(lambda margin: images_for(margin, 0.1) - n - 0.5, 1e-3, 0.9, xtol=1e-7)
    assert margin_for(n, 0.1) == math.ceil(root * 1000) / 1000


def test_one_image_decides_only_the_whole_scale() -> None:
    assert 0.8 < margin_for(1, 0.1) <= 1
