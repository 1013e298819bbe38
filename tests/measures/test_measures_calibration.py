"""The calibration error against its printed formula, and the coverage of its interval."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import foldnorm

from benchmarks.calibration import SHAPES, Case, covered
from vision_evals.measures.calibration import (
    bin_numbers,
    calibration_error,
    calibration_interval,
)

ANSWERS = st.lists(
    st.tuples(st.integers(0, 40).map(lambda k: k / 40), st.booleans()), min_size=1, max_size=60
)


def columns(answers: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([c for c, _ in answers]), np.array([float(right) for _, right in answers])


def slow(confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    """Kumar et al. 2019: what was measured, less by how much its mean is above it."""
    total, n = 0.0, len(confidence)
    below = np.array([(confidence < c).sum() for c in confidence])
    for index in range(bins):
        inside = below * bins // n == index
        if not inside.any():
            continue
        share, size = correct[inside].mean(), inside.sum()
        gap = abs(confidence[inside].mean() - share)
        deviation = np.sqrt(share * (1 - share) / size)
        mean = foldnorm(gap / deviation, scale=deviation).mean() if deviation else gap
        total += size / n * (gap - (mean - gap))
    return max(0.0, total)


@given(ANSWERS)
def test_the_error_equals_the_printed_formula(answers: list[tuple[float, bool]]) -> None:
    confidence, correct = columns(answers)
    assert calibration_error(confidence, correct) == pytest.approx(
        slow(confidence, correct, 10), abs=1e-9
    )


@pytest.mark.parametrize(("n", "bins"), [(499, 10), (500, 15)])
def test_bins_hold_equally_many_images(n: int, bins: int) -> None:
    rng = np.random.default_rng(n)
    confidence = rng.random(n)
    sizes = np.bincount(bin_numbers(confidence))
    assert len(sizes) == bins
    assert sizes.max() - sizes.min() <= 1
    correct = (rng.random(n) < confidence).astype(float)
    assert calibration_error(confidence, correct) == pytest.approx(
        slow(confidence, correct, bins), abs=1e-9
    )


@given(ANSWERS.filter(lambda answers: len(answers) > 1), st.randoms(use_true_random=False))
def test_the_order_of_images_changes_neither_error_nor_interval(
    answers: list[tuple[float, bool]], random: object
) -> None:
    before = columns(answers)
    random.shuffle(answers)  # type: ignore[attr-defined]
    after = columns(answers)
    assert calibration_error(*after) == pytest.approx(calibration_error(*before), abs=1e-12)
    first, second = (
        calibration_interval(*these, np.random.default_rng(1), resamples=5)
        for these in (before, after)
    )
    assert first == second


@given(ANSWERS)
def test_every_image_twice_changes_the_bias_alone(answers: list[tuple[float, bool]]) -> None:
    """The same gaps in the same bins, whose accuracies are surer: the error is not smaller."""
    once, twice = columns(answers), columns(answers * 2)
    assert bin_numbers(once[0]).tolist() * 2 == bin_numbers(twice[0]).tolist()
    assert calibration_error(*twice) >= calibration_error(*once) - 1e-12


def test_equal_confidences_are_one_bin() -> None:
    assert calibration_error(np.ones(4), np.ones(4)) == 0
    assert calibration_error(np.full(400, 0.9), np.zeros(400)) == pytest.approx(0.9)


def test_the_estimate_is_nearly_unbiased_where_the_plain_one_is_not() -> None:
    """A network that is calibrated: the plain error of 200 images is 0.08 on average."""
    rng, plain, ours = np.random.default_rng(0), [], []
    for _ in range(200):
        confidence = rng.uniform(0.4, 1, 200)
        correct = (rng.random(200) < confidence - 0.05).astype(float)
        ours.append(calibration_error(confidence, correct))
        bins = bin_numbers(confidence)
        plain.append(np.abs(np.bincount(bins, confidence - correct)).sum() / 200)
    assert abs(np.mean(ours) - 0.05) < 0.015
    assert np.mean(plain) - 0.05 > 0.03


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@pytest.mark.parametrize(("images", "error"), [(100, 0.0), (100, 0.1), (500, 0.05)])
def test_the_interval_covers(shape: Any, images: int, error: float) -> None:
    """A quick form of `benchmarks/calibration.py`, which has many more tables and resamples."""
    quick = partial(calibration_interval, resamples=200)
    assert covered(Case(shape, images, error), quick, 50) >= 0.9
