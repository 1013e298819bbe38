"""Which images train and which validate: by hash, the same for every seed. Imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_evals.core.errors import UserError
from vision_evals.images.folders import EMPTY, folder
from vision_evals.images.image_set import Image, natural
from vision_evals.models.recipe import Recipe


@dataclass(frozen=True, slots=True)
class SplitFolder:
    """The pictures of a folder, split; none is decoded."""

    classes: tuple[str, ...]
    """Names of the class folders in natural order."""
    train: tuple[Image, ...]
    validation: tuple[Image, ...]

    def labels(self, images: tuple[Image, ...]) -> list[int]:
        """Return the class of each image."""
        index = {name: i for i, name in enumerate(self.classes)}
        return [index[image.label or ""] for image in images]


def split_folder(root: Path, recipe: Recipe, where: str) -> SplitFolder:
    """Find and split the pictures of ``root``; folders ``train`` and ``val`` in it are the split.

    Raises:
        UserError: fewer than two classes, pictures without a class, a class without images to
            train or to validate on, or another class in ``val``.
    """
    presplit = (root / "train").is_dir() and (root / "val").is_dir()
    train = _pictures(root / "train" if presplit else root, where)
    classes = tuple(sorted({image.label or "" for image in train}, key=natural))
    everything = SplitFolder(classes, train, ())
    ids, labels = [image.id for image in train], everything.labels(train)
    if presplit:
        validation = _pictures(root / "val", where)
        strange = {image.label or "" for image in validation} - set(classes)
        if strange:
            raise UserError(f'{where}: val holds class "{min(strange)}", which train does not')
        training = list(range(len(train)))
    else:
        training, held = held_out(ids, labels, recipe.validation)
        validation = tuple(train[i] for i in held)
    if recipe.examples is not None:
        training = smallest(ids, training, recipe.examples, "examples")
    split = SplitFolder(classes, tuple(train[i] for i in training), validation)
    refuse_gaps(classes, split.labels(split.train), split.labels(validation), where)
    return split


def _pictures(root: Path, where: str) -> tuple[Image, ...]:
    try:
        found = folder(root)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if found.images[0].label is None:
        raise UserError(
            f"{where}: {root} holds pictures without a class; sort them into class folders"
        )
    for group in found.left_out:
        if group.reason == EMPTY:
            place = root / group.names[0]
            raise UserError(f"{where}: class folder {place} holds no picture; fill it or remove it")
    return found.images


def held_out(
    ids: Sequence[str], labels: Sequence[int], share: float
) -> tuple[list[int], list[int]]:
    """Return the positions to train on and those to validate on, each in rising order.

    Of each class the ``share`` with the smallest hashes validates, rounded to one image at least;
    a class of two images or more keeps one to train on.
    """
    validation: list[int] = []
    for label in sorted(set(labels)):
        own = [i for i, other in enumerate(labels) if other == label]
        count = max(1, min(round(len(own) * share), len(own) - 1))
        validation += smallest(ids, own, count, "validation")
    held = set(validation)
    return [i for i in range(len(ids)) if i not in held], sorted(held)


def smallest(ids: Sequence[str], positions: Sequence[int], count: int, purpose: str) -> list[int]:
    """Return the ``count`` positions whose ids have the smallest hashes, in rising order."""

    def rank(position: int) -> bytes:
        return hashlib.sha256(f"{purpose}\0{ids[position]}".encode()).digest()

    return sorted(sorted(positions, key=rank)[:count])


def refuse_gaps(
    classes: Sequence[str], train: Sequence[int], validation: Sequence[int], where: str
) -> None:
    """Raise a UserError where fewer than two classes are there, or one lacks images."""
    if len(classes) < 2:
        raise UserError(
            f"{where} has {len(classes)} class ({', '.join(classes)}); a classifier needs two "
            "at least, each a folder of pictures"
        )
    for part, labels in (("training", train), ("validation", validation)):
        missing = sorted(set(range(len(classes))) - set(labels))
        if missing:
            raise UserError(
                f'{where}: class "{classes[missing[0]]}" is left without a {part} image; '
                "add pictures to it, or change validation or examples"
            )
