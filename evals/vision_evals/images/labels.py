"""Class maps, and the labels of an image set as class indices of a classifier."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vision_evals.core.errors import UserError, cut, did_you_mean
from vision_evals.core.paths import data_folder
from vision_evals.images.class_files import read_classes
from vision_evals.images.files import resolve
from vision_evals.images.image_set import ImageSet

BUILT_IN = "imagenet"

_SYNSET = re.compile("n[0-9]{8}")
_NUMBER = re.compile("[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class ClassMap:
    """The classes of a classifier by index."""

    name: str
    """``imagenet``, or the file name of a user's own map."""
    names: tuple[str, ...]
    """Name of each class."""
    synsets: tuple[str, ...] | None
    """WordNet synset of each class, if known."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def fingerprint(self) -> str:
        """Sha256 over names and synsets: what the map is, not where it was found."""
        return hashlib.sha256(json.dumps([self.names, self.synsets]).encode()).hexdigest()

    def index(self, token: str) -> int:
        """Return the index of the class that a label token means.

        A token is a synset, a class name, or a decimal index. Another case will do where it leaves
        one class (ImageNet has the dog ``Cardigan`` and the garment ``cardigan``). Where names are
        numbers, a number must be a name, and its index must not be another class.

        Raises:
            UserError: no class matches the token, or several do.
        """
        lookup = _lookup(self)
        if token in lookup.synset:
            return lookup.synset[token]
        matches = set(lookup.name.get(token) or lookup.any_case.get(token.casefold()) or ())
        number = _NUMBER.fullmatch(token) and (matches or not lookup.numbered)
        if number and int(token) < len(self):
            matches.add(int(token))
        if len(matches) == 1:
            return matches.pop()
        if matches:
            raise UserError(
                f'"{token}" could mean any of the classes {sorted(matches)} of {self.name}; '
                "use synsets, or give each class a name of its own"
            )
        if number:
            raise UserError(
                f'"{token}" is outside the classes 0 to {len(self) - 1} of {self.name}; '
                "use the map of the classes that the labels number"
            )
        choices = self.synsets if self.synsets and _SYNSET.fullmatch(token) else self.names
        shown = cut(token, 60)
        raise UserError(f'"{shown}" is not a class of {self.name}{did_you_mean(token, choices)}')


@dataclass(frozen=True, slots=True)
class Targets:
    """The right answers for each image, as class indices of one classifier."""

    label: npt.NDArray[np.int64]
    """(n,) the image's own class."""
    accepted: tuple[frozenset[int], ...]
    """Every class that counts as right, the image's own included."""
    among: npt.NDArray[np.int64]
    """Sorted classes of the whole source, for sets that hold only some of the classifier's."""


def class_map(spec: str, base: Path) -> ClassMap:
    """Return the class map called ``imagenet``, or the one in a user's file.

    Args:
        spec: ``imagenet``, or a path (see `read_classes` for the format).
        base: what a relative path starts from.

    Raises:
        UserError: no such file, or a line in it that is not a class.
    """
    if spec == BUILT_IN:
        return ClassMap(spec, *read_classes(data_folder("fixtures") / "labels" / "imagenet.csv"))
    path = resolve(spec, base, BUILT_IN)
    return ClassMap(path.name, *read_classes(path))


def targets(image_set: ImageSet, classes: ClassMap) -> Targets:
    """Translate the labels of an image set into class indices.

    A number is the index of a class (see `ClassMap.index`), never a place among the folders.

    Raises:
        UserError: the set has no labels, or one that is not a class.
    """
    if not image_set.labelled:
        raise UserError(
            f"{image_set.source}: the images have no labels; sort them into class folders, "
            'or list them in a manifest with a column "label"'
        )
    own = [(image.label or "", *image.accepted) for image in image_set.images]
    indices: dict[str, int] = {}
    for image, tokens in zip(image_set.images, own, strict=True):
        columns = ["label", *["accepted"] * len(image.accepted)]
        for column, token in zip(columns, tokens, strict=True):
            if token not in indices:
                listed = image.where and f'{image.where}, column "{column}"'
                place = listed or f'image "{image.id}"'
                indices[token] = _index(classes, token, f"{place}, label", image_set)
    for token in image_set.labels:
        if token not in indices:
            indices[token] = _index(classes, token, "label", image_set)
    return Targets(
        label=np.array([indices[tokens[0]] for tokens in own], dtype=np.int64),
        accepted=tuple(frozenset(indices[token] for token in tokens) for tokens in own),
        among=np.array(sorted({indices[token] for token in image_set.labels}), dtype=np.int64),
    )


def _index(classes: ClassMap, token: str, where: str, image_set: ImageSet) -> int:
    try:
        return classes.index(token)
    except UserError as error:
        from_one = token == str(len(classes)) and "0" not in image_set.labels
        hint = ", or subtract 1: the labels seem to count from 1" if from_one else ""
        raise UserError(f"{image_set.source}: {where} {error}{hint}") from None


class _Lookup(NamedTuple):
    synset: dict[str, int]
    name: dict[str, list[int]]
    any_case: dict[str, list[int]]
    numbered: bool


@cache
def _lookup(classes: ClassMap) -> _Lookup:
    lookup = _Lookup({}, {}, {}, any(map(_NUMBER.fullmatch, classes.names)))
    for index, name in enumerate(classes.names):
        lookup.name.setdefault(name, []).append(index)
        lookup.any_case.setdefault(name.casefold(), []).append(index)
    lookup.synset.update((synset, index) for index, synset in enumerate(classes.synsets or ()))
    return lookup
