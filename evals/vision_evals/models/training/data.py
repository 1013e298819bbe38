"""What recipes train on: images with classes, split by hash, in batches of pixels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
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
from vision_evals.models.training.pictures import Batches, FolderSubset, Reader
from vision_evals.models.training.split import (
    SplitFolder,
    held_out,
    refuse_gaps,
    smallest,
    split_folder,
)


class Subset(Protocol):
    """Images to train on, or to validate on."""

    def __len__(self) -> int:
        """Return how many."""

    def reader(self, device: torch.device) -> Reader:
        """Return the function that reads them in batches."""

    def content(self) -> Sequence[object]:
        """Return classes, and hashes of the pixels or files, for the fingerprint."""


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
        """Uint8 (n, 1 or 3, height, width), resized as every picture here is."""
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

        def read(order: Tensor, size: int, _: torch.Generator) -> Batches:
            for chosen in torch.split(order.to(device), size):
                yield held[chosen].expand(-1, 3, -1, -1), classes[chosen]

        return read

    def content(self) -> Sequence[object]:
        """Return the classes, and a hash of the pixels."""
        return self.classes.tolist(), hashlib.sha256(self.levels.tobytes()).hexdigest()


def load(recipe: Recipe, base: Path, interpolation: Interpolation, where: str) -> Data:
    """Find and split what a recipe trains on.

    Args:
        recipe: names the data, and how they are split.
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
    return _data(ClassMap(recipe.data, tuple(names), None), train, validation, geometry)


def _folder(listed: SplitFolder, recipe: Recipe, interpolation: Interpolation) -> Data:
    size = recipe.size or 224
    geometry = Geometry(round(size * 256 / 224), size, interpolation)
    train, validation = (
        FolderSubset(images, tuple(listed.labels(images)), geometry, augment)
        for images, augment in ((listed.train, recipe.augment), (listed.validation, None))
    )
    names = ClassMap(Path(recipe.data).name, listed.classes, None)
    return _data(names, train, validation, geometry)


def _data(classes: ClassMap, train: Subset, validation: Subset, geometry: Geometry) -> Data:
    content = json.dumps([classes.names, [train.content(), validation.content()]])
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Data(classes, train, validation, geometry, digest)
