"""The digits that no recipe trains on are scikit-learn's, every fifth of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from vision_evals.images.sources import load


def test_every_fifth_digit_of_scikit_learn() -> None:
    images = load("digits_test", Path("/nowhere")).images
    digits = load_digits()
    wanted = set(range(0, len(digits.target), 5))
    assert {int(image.path.stem) for image in images} == wanted
    assert len(images) == len(wanted) == 360
    for image in images:
        index = int(image.path.stem)
        assert image.label == str(digits.target[index])
        with Image.open(image.path) as picture:
            assert picture.mode == "L"
            grey = np.asarray(picture)
        assert np.abs(grey / 255 - digits.images[index] / 16).max() <= 0.5 / 255


def test_its_classes_are_the_digits_in_order() -> None:
    assert load("digits_test", Path("/nowhere")).labels == tuple("0123456789")
