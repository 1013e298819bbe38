"""Ordered images with stable ids, perhaps labels."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vision_evals.core.errors import UserError
from vision_evals.log import LeftOut

NaturalKey = tuple[tuple[str | tuple[int, str], ...], str]


@dataclass(frozen=True, slots=True)
class Image:
    """One picture of an image set, not yet decoded."""

    id: str
    """Path relative to the folder with ``/``, the file name of a single picture, or a manifest's
    ``id``."""
    path: Path
    """Where its bytes are."""
    label: str | None = None
    """A token: synset ``n02108422``, class name ``bull mastiff``, or index ``243``."""
    accepted: tuple[str, ...] = ()
    """Further tokens that are right too."""
    about: tuple[tuple[str, str], ...] = ()
    """Facts for the report: title, artist, year, shift, source."""
    where: str | None = field(default=None, compare=False)
    """Where a manifest lists it: ``line 3``."""


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images in their order, all labelled or none."""

    source: str
    """As the user named it."""
    images: tuple[Image, ...]
    """The images after the limit."""
    labels: tuple[str, ...]
    """Distinct labels of the whole source, before any limit, in natural order."""
    total: int
    """Images before the limit."""
    limit: int | None = None
    """At most so many images were wanted."""
    left_out: tuple[LeftOut, ...] = ()
    """What lies below the source and is no image of it."""
    sample_of: str | None = None
    """Class map of what they are declared to be a random sample of, such as ``imagenet``."""

    @property
    def labelled(self) -> bool:
        """Whether every image has a label."""
        return bool(self.labels)

    @property
    def cut(self) -> bool:
        """Whether the limit left images out."""
        return len(self.images) < self.total


def collect(
    source: str,
    images: tuple[Image, ...],
    sample_of: str | None = None,
    left_out: tuple[LeftOut, ...] = (),
) -> ImageSet:
    """Make the unlimited image set of a source."""
    labels = {image.label for image in images if image.label is not None}
    classes = tuple(sorted(labels, key=natural))
    return ImageSet(source, images, classes, len(images), None, left_out, sample_of)


def limited(image_set: ImageSet, limit: int) -> ImageSet:
    """Keep the ``limit`` images with the smallest sha256 of their id, in the set's own order.

    The choice depends on the ids alone, so it survives reordering, and a smaller limit keeps a
    subset of what a larger one keeps. A part of a sample so chosen is a sample.

    Raises:
        UserError: the limit is below 1.
    """
    if limit < 1:
        raise UserError(f"{image_set.source}: limit {limit} leaves no image; use 1 or more")
    ranked = sorted(image_set.images, key=lambda image: hashlib.sha256(image.id.encode()).digest())
    chosen = {image.id for image in ranked[:limit]}
    images = tuple(image for image in image_set.images if image.id in chosen)
    return replace(image_set, images=images, limit=limit)


def fingerprint(image_set: ImageSet, digests: Mapping[str, str]) -> str:
    """Return one sha256 over id, bytes, label and accepted labels of all images, in order.

    What the set is declared to be a sample of is no part of it: the images are the same.

    Args:
        image_set: the images of a pass.
        digests: sha256 of each image's bytes by id, from decoding; an unreadable image has none
            and counts as such.
    """
    whole = hashlib.sha256()
    for image in image_set.images:
        row = [image.id, digests.get(image.id), image.label, image.accepted]
        whole.update(json.dumps(row).encode() + b"\n")
    return whole.hexdigest()


def natural(text: str) -> NaturalKey:
    """Sort key under which ``2`` comes before ``10``; total, so equal numbers keep one order."""
    parts = re.split("([0-9]+)", text)
    # numbers as (length, digits): the order of integers, and any number of digits may come
    return tuple(
        (len(part.lstrip("0")), part.lstrip("0")) if place % 2 else part
        for place, part in enumerate(parts)
    ), text
