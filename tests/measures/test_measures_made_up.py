"""The rows of the made-up run against those that the measures leave of real pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from tests.large.rows import MAKERS, Asked, Network
from vision_evals.core.paths import data_folder
from vision_evals.core.tables import Table
from vision_evals.images import sources
from vision_evals.images.image_set import ImageSet
from vision_evals.measures import lookup
from vision_evals.measures.measure import Measure
from vision_evals.models.classifier import Classifier

Rows = Callable[[Measure, Table, Classifier, ImageSet], pd.DataFrame]
NETWORK = Network("a", 0.7, 1.5)
IMAGES = tuple(f"{i}.jpg" for i in range(3000))


class Rectified(nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.relu(pixels.mean(dim=(2, 3)) - 0.4) * 10


@pytest.fixture
def image_set(tmp_path: Path) -> ImageSet:
    """Return twelve pictures of noise in the folders of their classes."""
    rng = np.random.default_rng(0)
    for index in range(12):
        folder = tmp_path / ("red", "green", "blue")[index % 3]
        folder.mkdir(exist_ok=True)
        noise = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{index:02d}.png")
    return sources.load(str(tmp_path), Path())


def made_up(name: str, parameters: dict[str, object]) -> pd.DataFrame:
    return MAKERS[name](Asked(NETWORK, IMAGES, parameters))


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_made_up_rows_have_the_columns_of_the_measure(
    name: str, small: Callable[..., Classifier], rows_of: Rows, image_set: ImageSet
) -> None:
    measure = lookup(name, data_folder("suites"))
    given = {"target": "red"} if name == "targeted" else {}
    parameters = measure.parameters.model_validate(given)
    real = rows_of(measure, parameters, small(Rectified()), image_set)
    made = made_up(name, parameters.model_dump())
    extra = {"label", "accepted"} if name == "predictions" else set()
    kept = real.drop(columns=list(extra & set(real)))
    assert list(made) == list(kept)
    numbers = [column for column in kept if kept[column].dtype != object]
    kinds = {column: (made[column].dtype.kind, kept[column].dtype.kind) for column in numbers}
    assert all(mine == theirs for mine, theirs in kinds.values()), kinds


def test_made_up_answers_agree_with_each_other() -> None:
    rows = made_up("accuracy", {})
    place = [list(top).index(label) if label in top else 5 for label, top in zip(
        rows["label"], rows["top5"], strict=True)]  # fmt: skip
    assert (rows["correct1"] == (np.array(place) == 0)).all()
    assert (rows["correct5"] == (np.array(place) < 5)).all()
    assert all(len(set(top)) == 5 for top in rows["top5"])
    given = np.stack(rows["top5_confidence"].tolist())
    assert (np.diff(given, axis=1) < 0).all()
    assert given.sum(axis=1).max() <= 1 + 1e-6
    named = rows["correct5"].to_numpy()
    nll = -np.log(given[np.arange(len(rows)), np.minimum(place, 4)])
    assert rows["nll"].to_numpy()[named] == pytest.approx(nll[named], abs=1e-5)
    assert rows["correct1"].mean() == pytest.approx(0.7, abs=0.03)
    sweep = made_up("fgsm", {"epsilons": (0, "1/255")})
    at_0 = sweep[sweep["epsilon"] == "0"]
    assert at_0["correct"].tolist() == rows["correct1"].tolist()
