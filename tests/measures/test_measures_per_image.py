"""What a metric says of each image, on rows of a walk: its mean is the metric, over as many."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from vision_evals.images import sources
from vision_evals.images.image_set import ImageSet
from vision_evals.images.labels import ClassMap
from vision_evals.measures import MEASURES, lookup
from vision_evals.measures.measure import Measure, Subject
from vision_evals.models.classifier import Classifier

Rows = Callable[..., pd.DataFrame]

COLORS = ("red", "green", "blue", "white", "black", "grey", "pink", "brown")

ASKED: Mapping[str, dict[str, Any]] = {
    "accuracy": {},
    "adversarial": {"epsilons": [0, "8/255"], "attacks": [{"name": "pgd", "steps": 2}]},
    "dropout_gap": {"masks": 3},
    "fgsm": {"epsilons": [0, "8/255"]},
    "predictions": {"overconfident": 0.2},
    "targeted": {"target": "green", "budgets": ["4/255", "16/255"], "steps": 2},
}
SHARES: Mapping[str, set[str]] = {
    "accuracy": {"top1_accuracy", "top5_accuracy"},
    "adversarial": {"robust_accuracy", "robust_accuracy_8bit", "fgsm_accuracy", "noise_accuracy"},
    "dropout_gap": {"eval_accuracy", "ensemble_accuracy"},
    "fgsm": {"robust_accuracy", "robust_accuracy_8bit", "noise_accuracy"},
    "predictions": {"overconfident_fraction", "shift_stability"},
    "targeted": {"target_success", "target_success_8bit"},
}
MEANS: Mapping[str, set[str]] = {
    "accuracy": {"nll", "overconfidence"},
    "dropout_gap": {"train_accuracy_mean", "accuracy_gap", "disagreement", "logit_shift"},
    "predictions": {"confidence_mean"},
    "targeted": {"target_confidence", "l2", "ssim"},
}


@pytest.fixture
def image_set(tmp_path: Path) -> ImageSet:
    """Return 24 noisy pictures of eight classes."""
    rng = np.random.default_rng(0)
    for index in range(24):
        folder = tmp_path / "images" / COLORS[index % 8]
        folder.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{index:02d}.png")
    return sources.load(str(tmp_path / "images"), Path())


@pytest.fixture
def classifier(small: Callable[..., Classifier]) -> Classifier:
    torch.manual_seed(1)
    # half of what comes out is dropped: masks differ
    first = nn.Linear(768, 32)
    with torch.no_grad():
        first.weight *= 4
    network = nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 8))
    return dataclasses.replace(small(network), classes=ClassMap("colors", COLORS, None))


@pytest.mark.parametrize("name", sorted(ASKED))
def test_the_mean_over_images_is_the_metric(
    name: str, classifier: Classifier, image_set: ImageSet, rows_of: Rows
) -> None:
    measure = lookup(name, Path())
    parameters = measure.parameters.model_validate(ASKED[name])
    rows = rows_of(measure, parameters, classifier, image_set, 7)
    found = {
        (metric.name, metric.at): metric
        for metric in measure.summarise(rows, parameters, Subject("a", classifier.classes, 0))
    }
    ids, moving = {image.id for image in image_set.images}, 0
    for (metric_name, at), metric in found.items():
        spec = measure.metric(metric_name)
        if spec.per_image is None:
            continue
        here = at_point(measure, spec.axis, at, rows)
        values = spec.per_image(here, parameters)
        assert values.dtype == (bool if metric_name in SHARES[name] else np.float64)
        assert values.index.is_unique
        assert set(values.index) <= ids
        assert len(values) == metric.n
        assert metric.value == pytest.approx(float(values.mean()), abs=1e-12)
        # order is nothing: values find their image by its id
        shuffled = spec.per_image(here.sample(frac=1, random_state=3), parameters)
        assert shuffled.sort_index().equals(values.sort_index())
        moving += values.nunique() > 1
    assert moving >= 2  # not every image says the same
    declared = {spec.name for spec in measure.metrics if spec.per_image is not None}
    assert declared <= {metric_name for metric_name, _ in found}
    assert declared == SHARES[name] | MEANS.get(name, set())


def at_point(measure: Measure, axis: str | None, at: str | None, rows: pd.DataFrame) -> Any:
    """Return the rows at one point of a metric's axis; all, where it has none."""
    if axis is None:
        return rows
    assert measure.axis is not None
    return rows[rows[measure.axis[0]] == at]


@pytest.mark.parametrize("name", sorted(set(MEASURES) - set(ASKED)))
def test_other_measures_compare_nothing_in_pairs(name: str) -> None:
    assert all(metric.per_image is None for metric in lookup(name, Path()).metrics)


def test_images_of_the_target_do_not_count_in_pairs(
    classifier: Classifier, image_set: ImageSet, rows_of: Rows
) -> None:
    measure = lookup("targeted", Path())
    parameters = measure.parameters.model_validate(ASKED["targeted"])
    rows = rows_of(measure, parameters, classifier, image_set)
    per_image = measure.metric("target_success").per_image
    assert per_image is not None
    counted = per_image(rows[rows["budget"] == "4/255"], parameters).index
    greens = {image.id for image in image_set.images if image.label == "green"}
    assert len(greens) == 3
    assert set(counted) == {image.id for image in image_set.images} - greens
