"""What may change no number: order, batches, shards, copies, names and indices of classes.

One tiny network, 12 pictures; every measure of images in one pass. Each property is stated of every
metric, but for those that it names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from torch import nn

from vision_evals.core.worker import Partition
from vision_evals.engine import tables
from vision_evals.engine.loop import run_loop
from vision_evals.engine.tasks import PassResult, Task, TaskGroup
from vision_evals.images.image_set import Image, ImageSet, collect
from vision_evals.images.labels import ClassMap, targets
from vision_evals.measures import lookup
from vision_evals.measures.measure import Subject
from vision_evals.measures.probe import answers
from vision_evals.models.card import Card, Input
from vision_evals.models.classifier import Classifier

COLORS = ("red", "green", "blue", "white", "black", "grey")
SIDE, IMAGES = 12, 12

ASKED: Mapping[str, dict[str, Any]] = {
    "accuracy": {},
    "adversarial": {"epsilons": [0, "8/255"], "attacks": [{"name": "pgd", "steps": 2}]},
    "dropout_gap": {"masks": 2},
    "fgsm": {"epsilons": [0, "8/255"]},
    "predictions": {},
    "targeted": {"target": "green", "budgets": ["16/255"], "steps": 2},
}
BY_ID = {"noise_accuracy", "noise_p_value"}
"""What a random number of each image's id decides, so that a copy's is another."""

Numbers = dict[tuple[str, str, str | None], tuple[float | None, int]]

quickly = settings(max_examples=4, deadline=None, derandomize=True, database=None)


class Network(nn.Module):
    """Sixteen rectified units, half of them dropped in training, and six classes in any order."""

    def __init__(self, order: tuple[int, ...]) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first, self.last = nn.Linear(3 * SIDE * SIDE, 16), nn.Linear(16, 6)
        self.dropout = nn.Dropout(0.5)
        with torch.no_grad():
            self.first.weight *= 4
            self.last.weight.copy_(4 * self.last.weight[list(order)])
            self.last.bias.copy_(self.last.bias[list(order)])

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        last: torch.Tensor = self.last(self.dropout(self.first(pixels.flatten(1)).relu()))
        return last


def classifier(order: tuple[int, ...] = tuple(range(6)), rename: str = "{}") -> Classifier:
    """Return the network with its outputs in this order, and their names so written."""
    card_input = Input(resize=SIDE, crop=SIDE, mean=(0, 0, 0), std=(1, 1, 1))
    names = tuple(rename.format(COLORS[index]) for index in order)
    return Classifier(
        alias="a",
        card=Card(network="tests:small", input=card_input),
        network=Network(order).eval(),
        input=card_input,
        classes=ClassMap("colors", names, None),
        fingerprint="0" * 64,
        weights="none",
        sha256=None,
        published={},
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Return noise; every other picture has two right answers."""
    folder, rng, images = tmp_path_factory.mktemp("properties"), np.random.default_rng(0), []
    for index in range(IMAGES):
        path = folder / f"{index:02d}.png"
        Picture.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
        further = (COLORS[(index + 2) % 6],) if index % 2 else ()
        images.append(Image(path.name, path, COLORS[index % 6], further))
    return collect("noise", tuple(images))


def observed(
    image_set: ImageSet,
    network: Classifier,
    folder: Path,
    *,
    batch: int = 5,
    part: Partition | None = None,
    target: str = "green",
    names: Iterable[str] = ASKED,
) -> tuple[dict[str, pd.DataFrame], PassResult]:
    """Return the rows of each measure, all of one pass."""
    tasks = []
    for name in names:
        measure = lookup(name, Path())
        asked = {**ASKED[name], **({"target": target} if name == "targeted" else {})}
        tasks.append(Task(measure, measure.parameters.model_validate(asked), name))
    known, result = answers(targets(image_set, network.classes)), PassResult()
    run_loop(
        image_set,
        (TaskGroup(network, known, tuple(tasks)),),
        device=torch.device("cpu"),
        batch_size=batch,
        seed=0,
        directory=folder,
        advance=lambda *_: None,
        result=result,
        partition=part,
    )
    assert (result.failures, result.not_applicable, result.invalid) == ({}, {}, {})
    merged = {task.table: tables.merge(folder, task.table, task.join) for task in tasks}
    return {name: rows for name, rows in merged.items() if rows is not None}, result


def numbers(
    rows: Mapping[str, pd.DataFrame], network: Classifier, target: str = "green"
) -> Numbers:
    """Return value and n of every metric."""
    found: Numbers = {}
    for name, table in rows.items():
        measure = lookup(name, Path())
        asked = {**ASKED[name], **({"target": target} if name == "targeted" else {})}
        parameters = measure.parameters.model_validate(asked)
        subject = Subject("a", network.classes, 0, images=table["image"].nunique())
        for metric in measure.summarise(table, parameters, subject):
            found[name, metric.name, metric.at] = (metric.value, metric.n)
    return found


def assert_equal(found: Numbers, expected: Numbers, *, times: int = 1) -> None:
    assert found.keys() == expected.keys()
    for key, (value, n) in expected.items():
        assert found[key][0] == pytest.approx(value, abs=2e-5), key
        assert found[key][1] == n * times, key


@pytest.fixture(scope="module")
def expected(pictures: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Numbers:
    rows, _ = observed(pictures, classifier(), tmp_path_factory.mktemp("expected"))
    found = numbers(rows, classifier())
    values = [value for value, _ in found.values() if value is not None]
    assert len(values) > 25
    assert sum(0 < value < 1 for value in values) > 12  # a constant would have every property
    return found


def reordered(image_set: ImageSet, order: Iterable[int]) -> ImageSet:
    return dataclasses.replace(image_set, images=tuple(image_set.images[k] for k in order))


@quickly
@given(order=st.permutations(range(IMAGES)), batch=st.integers(1, IMAGES))
def test_order_and_batch_size(
    order: list[int],
    batch: int,
    pictures: ImageSet,
    expected: Numbers,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("order")
    rows, _ = observed(reordered(pictures, order), classifier(), folder, batch=batch)
    assert_equal(numbers(rows, classifier()), expected)


@pytest.mark.parametrize("count", [2, 3])
def test_parts_of_the_images_are_the_rows_of_all(
    count: int, pictures: ImageSet, expected: Numbers, tmp_path: Path
) -> None:
    """Shards of one batch of three images: each part has some of them, and none is lost."""
    parts = []
    for k in range(1, count + 1):
        folder = tmp_path / str(k)
        folder.mkdir()
        part = Partition(k, count)
        parts.append(observed(pictures, classifier(), folder, batch=3, part=part)[0])
    joined = {
        name: pd.concat([part[name] for part in parts if name in part], ignore_index=True)
        for name in ASKED
    }
    assert sorted(joined["accuracy"]["image"]) == [image.id for image in pictures.images]
    assert_equal(numbers(joined, classifier()), expected)


@quickly
@given(order=st.permutations(range(6)))
def test_a_class_may_have_any_index(
    order: list[int],
    pictures: ImageSet,
    expected: Numbers,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The network's outputs in another order, their names with them."""
    network = classifier(tuple(order))
    rows, _ = observed(pictures, network, tmp_path_factory.mktemp("index"))
    assert_equal(numbers(rows, network), expected)


def test_a_class_may_have_any_name(pictures: ImageSet, expected: Numbers, tmp_path: Path) -> None:
    renamed = collect(
        "noise",
        tuple(
            dataclasses.replace(
                image,
                label=f"0 {image.label}, é",
                accepted=tuple(f"0 {token}, é" for token in image.accepted),
            )
            for image in pictures.images
        ),
    )
    network = classifier(rename="0 {}, é")
    rows, _ = observed(renamed, network, tmp_path, target="0 green, é")
    assert_equal(numbers(rows, network, "0 green, é"), expected)


def test_every_picture_twice_doubles_n_alone(pictures: ImageSet, tmp_path: Path) -> None:
    """Of what is no chance; a bin of `ece` then knows more, so its bias is smaller."""
    copies = tuple(
        dataclasses.replace(image, id=f"copy of {image.id}") for image in pictures.images
    )
    names = ("accuracy", "fgsm", "predictions", "targeted")
    both = collect("noise", (*pictures.images, *copies))
    found = []
    for image_set in (pictures, both):
        folder = tmp_path / str(len(image_set.images))
        folder.mkdir()
        rows, _ = observed(image_set, classifier(), folder, names=names)
        known = numbers(rows, classifier())
        found.append({key: v for key, v in known.items() if key[1] not in {"ece", *BY_ID}})
    assert_equal(found[1], found[0], times=2)


@pytest.mark.parametrize("place", [0, 7, IMAGES])
def test_an_unreadable_picture_changes_nothing(
    place: int, pictures: ImageSet, expected: Numbers, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    images = list(pictures.images)
    images.insert(place, Image("broken.png", broken, "red"))
    folder = tmp_path / "rows"
    folder.mkdir()
    rows, result = observed(collect("noise", tuple(images)), classifier(), folder)
    assert list(result.unreadable) == ["broken.png"]
    assert_equal(numbers(rows, classifier()), expected)


WITHOUT_LOSS = ("accuracy", "dropout_gap", "predictions", "targeted")
"""The others follow the gradient of the loss of the label, the first of the accepted answers."""


def with_accepted(image_set: ImageSet, index: int, tokens: tuple[str, ...]) -> ImageSet:
    images = list(image_set.images)
    images[index] = dataclasses.replace(images[index], label=tokens[0], accepted=tokens[1:])
    return dataclasses.replace(image_set, images=tuple(images))


@quickly
@given(tokens=st.permutations(COLORS[:3]), twice=st.booleans(), index=st.integers(0, IMAGES - 1))
def test_the_order_of_accepted_answers(
    tokens: list[str],
    twice: bool,
    index: int,
    pictures: ImageSet,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Nor does it matter whether one is named twice."""
    found = []
    for accepted in (COLORS[:3], (*tokens, *tokens[: int(twice)])):
        image_set, folder = (
            with_accepted(pictures, index, accepted),
            tmp_path_factory.mktemp("sets"),
        )
        rows, _ = observed(image_set, classifier(), folder, names=WITHOUT_LOSS)
        found.append(numbers(rows, classifier()))
    assert_equal(*found)


@quickly
@given(index=st.integers(0, IMAGES - 1), further=st.sampled_from(COLORS))
def test_a_further_accepted_answer_makes_no_image_wrong(
    index: int,
    further: str,
    pictures: ImageSet,
    expected: Numbers,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    image = pictures.images[index]
    more = with_accepted(pictures, index, (str(image.label), *image.accepted, further))
    rows, _ = observed(more, classifier(), tmp_path_factory.mktemp("more"), names=("accuracy",))
    found = numbers(rows, classifier())

    def value(numbers: Numbers, name: str) -> float:
        number = numbers["accuracy", name, None][0]
        assert number is not None
        return number

    gained = value(found, "top1_accuracy") - value(expected, "top1_accuracy")
    lost = value(expected, "nll") - value(found, "nll")
    surer = value(expected, "overconfidence") - value(found, "overconfidence")
    assert 0 <= gained <= 1 / IMAGES + 1e-9
    assert surer == pytest.approx(gained, abs=1e-6)
    assert (lost > 1e-7) is (further not in (image.label, *image.accepted))
    assert lost > -1e-6
