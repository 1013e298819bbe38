"""The packaged networks and their photographs, once for all measures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from vision_evals.core.tables import Table
from vision_evals.engine import tables
from vision_evals.engine.loop import run_loop
from vision_evals.engine.tasks import PassResult, Task, TaskGroup
from vision_evals.images import sources
from vision_evals.images.image_set import ImageSet
from vision_evals.images.labels import targets
from vision_evals.measures.measure import Measure
from vision_evals.measures.probe import answers
from vision_evals.models.build import build
from vision_evals.models.classifier import Classifier
from vision_evals.models.registry import Registry

Rows = Callable[..., pd.DataFrame]


@pytest.fixture(scope="session", params=["efficientnet_lite0", "squeezenet1_1_caffe"])
def packaged(request: pytest.FixtureRequest) -> Classifier:
    """Return a real network."""
    card, base = Registry.read({}, None, Path()).card(request.param)
    return build(request.param, card, base, download=False)


@pytest.fixture(scope="session")
def samples() -> ImageSet:
    """Return foolbox's twenty photographs."""
    return sources.load("imagenet_samples", Path())


@pytest.fixture
def rows_of(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Return a function that shows images to a classifier and gives its rows."""

    def rows(
        measure: Measure,
        parameters: Table,
        classifier: Classifier,
        image_set: ImageSet,
        batch_size: int = 10,
    ) -> pd.DataFrame:
        directory = tmp_path_factory.mktemp("rows")
        done: list[int] = []
        known = answers(targets(image_set, classifier.classes)) if image_set.labelled else None
        result, task = PassResult(), Task(measure, parameters, "rows")
        run_loop(
            image_set,
            (TaskGroup(classifier, known, (task,)),),
            device=torch.device("cpu"),
            batch_size=batch_size,
            seed=0,
            directory=directory,
            advance=lambda n, _="": done.append(n),
            result=result,
        )
        assert (result.failures, result.not_applicable, result.invalid) == ({}, {}, {})
        table = tables.merge(directory, "rows", task.join)
        assert table is not None
        return table

    return rows
