"""Folders of class folders to train on. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vision_evals.core.errors import UserError
from vision_evals.images.folders import folder
from vision_evals.images.image_set import Image, natural
from vision_evals.models.recipe import Recipe
from vision_evals.models.training.split import held_out, refuse_gaps, smallest


@dataclass(frozen=True, slots=True)
class Listed:
    """The pictures of a folder, split; none is decoded."""

    classes: tuple[str, ...]
    """Names of the class folders in natural order."""
    train: tuple[Image, ...]
    validation: tuple[Image, ...]

    def labels(self, images: tuple[Image, ...]) -> list[int]:
        """Return the class of each image."""
        index = {name: i for i, name in enumerate(self.classes)}
        return [index[image.label or ""] for image in images]


def listed(root: Path, recipe: Recipe, where: str) -> Listed:
    """Find and split the pictures of ``root``; with ``train`` and ``val`` inside, those are used.

    Raises:
        UserError: fewer than two classes, pictures without a class, a class without images to
            train or to validate on, or another class in ``val``.
    """
    given = (root / "train").is_dir() and (root / "val").is_dir()
    train = _pictures(root / "train" if given else root, where)
    classes = tuple(sorted({image.label or "" for image in train}, key=natural))
    everything = Listed(classes, train, ())
    ids, labels = [image.id for image in train], everything.labels(train)
    if given:
        validation = _pictures(root / "val", where)
        strange = {image.label or "" for image in validation} - set(classes)
        if strange:
            raise UserError(f'{where}: val holds class "{min(strange)}", which train does not')
        kept = list(range(len(train)))
    else:
        kept, held = held_out(ids, labels, recipe.validation)
        validation = tuple(train[i] for i in held)
    if recipe.examples is not None:
        kept = smallest(ids, kept, recipe.examples, "examples")
    found = Listed(classes, tuple(train[i] for i in kept), validation)
    refuse_gaps(classes, found.labels(found.train), found.labels(validation), where)
    return found


def _pictures(root: Path, where: str) -> tuple[Image, ...]:
    try:
        images = folder(root)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    labels = {image.label for image in images}
    if None in labels:
        raise UserError(
            f"{where}: {root} holds pictures without a class; sort them into class folders"
        )
    for place in sorted(root.iterdir()):
        if place.is_dir() and not place.name.startswith(".") and place.name not in labels:
            raise UserError(f"{where}: class folder {place} holds no picture; fill it or remove it")
    return images
