"""Pictures from disk to batches of pixels: decoded once, ahead of the networks, by threads."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from evals.errors import UnreadableError
from evals.images.decode import read
from evals.images.geometry import Geometry, pixels

if TYPE_CHECKING:
    from evals.images.image_set import Image

AHEAD = 3
"""Batches decoded or decoding while the networks look at one: memory stays constant."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Images ``span`` of a set; those that could not be read are named and left out."""

    span: range
    """Positions in the image set, the unreadable ones included."""
    positions: tuple[int, ...]
    """Positions of the n readable images."""
    ids: tuple[str, ...]
    """Their ids."""
    pixels: Mapping[Geometry, torch.Tensor]
    """For each geometry uint8 (n, 3, H, W)."""
    digests: Mapping[str, str]
    """Id to sha256 of the file; of those that could be read."""
    hashes: tuple[str, ...]
    """sha256 of each file of the span, the unreadable ones included; empty without a file."""
    unreadable: Mapping[str, str]
    """Id to reason."""
    oriented: int
    """How many have an EXIF orientation, which is ignored."""
    seconds: float
    """Of reading, decoding and resizing, added over threads."""


@dataclass(frozen=True, slots=True)
class _Look:
    image: str
    pixels: Mapping[Geometry, torch.Tensor]
    sha256: str
    oriented: bool
    unreadable: str | None
    seconds: float


def batches(
    images: Sequence[Image], spans: Sequence[range], geometries: Collection[Geometry]
) -> Iterator[Batch]:
    """Yield a batch a span, in order.

    Args:
        images: of the whole set.
        spans: positions of each batch.
        geometries: every way in which the classifiers want them resized and cropped.
    """
    pool = ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1))
    coming: deque[tuple[range, list[Future[_Look]]]] = deque()
    todo = iter(spans)
    try:
        while True:
            while len(coming) <= AHEAD and (span := next(todo, None)) is not None:
                coming.append((span, [pool.submit(_look, images[i], geometries) for i in span]))
            if not coming:
                return
            span, futures = coming.popleft()
            yield _batch(span, [future.result() for future in futures])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def digests(images: Sequence[Image]) -> list[str]:
    """Return the sha256 of each file, empty where there is none; read by threads."""
    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        return list(pool.map(digest, images))


def digest(image: Image) -> str:
    """Return the sha256 of a picture's file, or nothing where it cannot be read."""
    try:
        with image.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _look(image: Image, geometries: Collection[Geometry]) -> _Look:
    start = time.perf_counter()
    decoded = None
    try:
        decoded = read(image.path)
        cut = {geometry: pixels(decoded.picture, geometry) for geometry in geometries}
    except UnreadableError as error:
        reason = str(error).removeprefix(f"{image.path.name}: ")
        # what the system or one classifier's geometry refused says nothing of the file: without a
        # hash nothing is kept under it
        refused = decoded is not None or reason.startswith("cannot be read")
        sha256 = "" if refused else digest(image)
        return _Look(image.id, {}, sha256, False, reason, time.perf_counter() - start)
    seconds = time.perf_counter() - start
    return _Look(image.id, cut, decoded.sha256, decoded.oriented, None, seconds)


def _batch(span: range, looks: Sequence[_Look]) -> Batch:
    seen = [(i, look) for i, look in zip(span, looks, strict=True) if look.unreadable is None]
    geometries = seen[0][1].pixels.keys() if seen else ()
    return Batch(
        span=span,
        positions=tuple(i for i, _ in seen),
        ids=tuple(look.image for _, look in seen),
        pixels={g: torch.stack([look.pixels[g] for _, look in seen]) for g in geometries},
        digests={look.image: look.sha256 for _, look in seen},
        hashes=tuple(look.sha256 for look in looks),
        unreadable={look.image: look.unreadable for look in looks if look.unreadable is not None},
        oriented=sum(look.oriented for look in looks),
        seconds=sum(look.seconds for look in looks),
    )
