"""What recipes train on: images with classes, split by hash, in batches of pixels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pictures
from torch import Tensor

from vision_evals.images.geometry import Geometry, Interpolation, pixels
from vision_evals.images.labels import ClassMap
from vision_evals.models.recipe import Recipe
from vision_evals.models.training import datasets
from vision_evals.models.training.pictures import FolderSubset
from vision_evals.models.training.split import (
    SplitFolder,
    held_out,
    refuse_gaps,
    smallest,
    split_folder,
)
from vision_evals.models.weights_file import sha256_of

Reader = Callable[[Tensor, int, torch.Generator], Iterator[tuple[Tensor, Tensor]]]
"""Takes an order of positions, a batch size and a generator for random crops; yields uint8 pixels
(n, 3, height, width) and classes (n,), both on the device."""


class Subset(Protocol):
    """Images to train on, or to validate on."""

    def __len__(self) -> int:
        """Return how many."""

    def reader(self, device: torch.device) -> Reader:
        """Return the function that reads them in batches."""


@dataclass(frozen=True)
class Data:
    """Images with classes, split."""

    classes: ClassMap
    train: Subset
    validation: Subset
    geometry: Geometry
    """From a picture to the pixels of validation, and of training without random crops."""
    fingerprint: str
    """Sha256 over classes, bytes and split."""


@dataclass(frozen=True)
class MemorySubset:
    """Small images of one size, held in memory."""

    levels: npt.NDArray[np.uint8]
    """(n, height, width) grey or (n, height, width, 3) RGB."""
    classes: npt.NDArray[np.int64]
    """(n,)."""
    geometry: Geometry

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def pixels(self) -> Tensor:
        """Uint8 (n, 1 or 3, height, width), resized as pictures are that networks judge."""
        channels = 1 if self.levels.ndim == 3 else 3
        return torch.stack(
            [
                pixels(Pictures.fromarray(level).convert("RGB"), self.geometry)[:channels]
                for level in self.levels
            ]
        )

    def reader(self, device: torch.device) -> Reader:
        """Return the function that reads them in batches."""
        held, classes = self.pixels.to(device), torch.from_numpy(self.classes).to(device)

        def read(
            order: Tensor,
            size: int,
            rng: torch.Generator,  # noqa: ARG001 - nothing is cropped at random
        ) -> Iterator[tuple[Tensor, Tensor]]:
            for chosen in torch.split(order.to(device), size):
                yield held[chosen].expand(-1, 3, -1, -1), classes[chosen]

        return read


def load(recipe: Recipe, base: Path, interpolation: Interpolation, where: str) -> Data:
    """Find and split what a recipe trains on.

    Args:
        recipe: names it, and says how it is split.
        base: what its paths are relative to.
        interpolation: of the resize.
        where: begins every message.

    Raises:
        UnavailableError: the data is not on this disk, or scikit-learn is missing.
        UserError: no such data, or none that a classifier can be trained on.
    """
    place = datasets.find(recipe, base, where)
    if isinstance(place, Path):
        return _folder(split_folder(place, recipe, where), recipe, interpolation)
    levels, classes, names = place
    size = recipe.size or 32
    geometry = Geometry(size, size, interpolation)
    ids = [str(i) for i in range(len(classes))]
    if recipe.data == "digits":  # the others are fixtures/digits
        ids = [i for i in ids if int(i) % datasets.HELD_OUT_EVERY]
        own = [int(i) for i in ids]
        levels, classes = levels[own], classes[own]
    training, held = held_out(ids, classes.tolist(), recipe.validation)
    if recipe.examples is not None:
        training = smallest(ids, training, recipe.examples, "examples")
    train, validation = (
        MemorySubset(levels[part], classes[part], geometry) for part in (training, held)
    )
    refuse_gaps(names, train.classes.tolist(), validation.classes.tolist(), where)
    content = [
        (part.classes.tolist(), hashlib.sha256(part.levels.tobytes()).hexdigest())
        for part in (train, validation)
    ]
    classes_of = ClassMap(recipe.data, tuple(names), None)
    return Data(classes_of, train, validation, geometry, _digest([names, content]))


def _folder(listed: SplitFolder, recipe: Recipe, interpolation: Interpolation) -> Data:
    size = recipe.size or 224
    geometry = Geometry(round(size * 256 / 224), size, interpolation)
    train, validation = (
        FolderSubset(images, tuple(listed.labels(images)), geometry, augment)
        for images, augment in ((listed.train, recipe.augment), (listed.validation, None))
    )
    content = [
        [
            (image.id, label, sha256_of(image.path))
            for image, label in zip(p.images, p.classes, strict=True)
        ]
        for p in (train, validation)
    ]
    names = ClassMap(Path(recipe.data).name, listed.classes, None)
    return Data(names, train, validation, geometry, _digest([listed.classes, content]))


def _digest(content: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
