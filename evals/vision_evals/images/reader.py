"""Pictures from disk to batches of pixels: decoded once, by threads, in turns with the networks."""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import TYPE_CHECKING, NamedTuple

import torch

from vision_evals.core.errors import UnreadableError
from vision_evals.images.decode import MAX_BYTES, decode, load
from vision_evals.images.geometry import Geometry, pixels

if TYPE_CHECKING:
    from vision_evals.images.image_set import Image

MIN_IMAGES_PER_TURN = 64
"""Images that are decoded before the networks run, and files that are read ahead while they run:
memory stays constant."""
READER_THREADS = 4
"""Threads that wait for files."""
BATCHES_AHEAD = 3
"""Batches decoded or decoding while a device looks at one."""


class Room:
    """Memory that the pictures which are decoded at once may take together."""

    def __init__(self, size: int = MAX_BYTES) -> None:
        """Begin with all of it free."""
        self._size = self._free = size
        self._changed = Condition()

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that takes bytes, and waits for them; they are free after the block."""
        taken = 0

        def take(wanted: int) -> None:
            nonlocal taken
            wanted = min(wanted, self._size)
            with self._changed:
                self._changed.wait_for(lambda: self._free >= wanted)
                self._free -= wanted
            taken += wanted

        try:
            yield take
        finally:
            with self._changed:
                self._free += taken
                self._changed.notify_all()


class Spent(NamedTuple):
    """Seconds of work on pictures."""

    read: float = 0.0
    decode: float = 0.0
    preprocess: float = 0.0

    def __add__(self, other: tuple[float, ...]) -> Spent:  # type: ignore[override]
        """Add up, kind by kind."""
        return Spent(*map(sum, zip(self, other, strict=True)))


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
    spent: Spent
    """Added over threads."""
    plain: Mapping[Geometry, torch.Tensor] | None = None
    """The same by PIL, where a device made ``pixels`` and the two are compared."""
    by_device: tuple[int, ...] = ()
    """Pictures that the device decoded."""


@dataclass(frozen=True, slots=True)
class ReadImage:
    """One picture after reading, or why it is unreadable."""

    image: str
    pixels: Mapping[Geometry, torch.Tensor]
    sha256: str
    oriented: bool
    unreadable: str | None
    spent: Spent


def batches(
    images: Sequence[Image], spans: Sequence[range], geometries: Collection[Geometry]
) -> Iterator[Batch]:
    """Yield a batch a span, in order.

    Decoding and networks take turns, each with every core: at the same time they wait for one
    another's threads, and reach 0.78 to 0.89 of the capacity of the cores, where turns reach 0.90
    to 0.94 (alexnet, resnet18, two cores). Files are read ahead while the networks work.

    Args:
        images: of the whole set.
        spans: positions of each batch.
        geometries: every way in which the classifiers want them resized and cropped.
    """
    decoders, readers = ThreadPoolExecutor(cores()), ThreadPoolExecutor(READER_THREADS)
    room = Room()

    def read_ahead(turn: Sequence[range]) -> list[list[tuple[Image, Future[LoadedFile]]]]:
        return [[(images[i], readers.submit(load_timed, images[i])) for i in span] for span in turn]

    try:
        turns = _turns(spans)
        coming = read_ahead(turns[0]) if turns else []
        for number, turn in enumerate(turns):
            looks = [
                [
                    decoders.submit(_read_image, image, file, geometries, room)
                    for image, file in span
                ]
                for span in coming
            ]
            ready = deque([look.result() for look in span] for span in looks)
            del looks
            coming = read_ahead(turns[number + 1]) if number + 1 < len(turns) else []
            for span in turn:
                yield gather(span, ready.popleft())
    finally:
        for pool in (decoders, readers):
            pool.shutdown(wait=True, cancel_futures=True)


def _turns(spans: Sequence[range]) -> list[list[range]]:
    """Gather batches into turns of at least ``MIN_IMAGES_PER_TURN`` images."""
    turns: list[list[range]] = []
    for span in spans:
        if turns and sum(map(len, turns[-1])) < MIN_IMAGES_PER_TURN:
            turns[-1].append(span)
        else:
            turns.append([span])
    return turns


def cores() -> int:
    """Return how many threads decode."""
    return min(16, os.cpu_count() or 1)


def digests(images: Sequence[Image]) -> list[str]:
    """Return the sha256 of each file, empty where there is none; read by threads."""
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(digest, images))


def digest(image: Image) -> str:
    """Return the sha256 of a picture's file, or nothing where it cannot be read."""
    try:
        with image.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


class LoadedFile(NamedTuple):
    """The bytes of a file, or why it cannot be read."""

    data: bytes | UnreadableError
    seconds: float


def load_timed(image: Image) -> LoadedFile:
    """Read a picture's file."""
    started = time.perf_counter()
    try:
        data: bytes | UnreadableError = load(image.path)
    except UnreadableError as error:
        data = error
    return LoadedFile(data, time.perf_counter() - started)


def _read_image(
    image: Image, file: Future[LoadedFile], geometries: Collection[Geometry], room: Room
) -> ReadImage:
    return read_image(image, file.result(), geometries, room)


def read_image(
    image: Image, loaded: LoadedFile, geometries: Collection[Geometry], room: Room
) -> ReadImage:
    """Decode a file, and resize and crop the picture in every way; all by PIL."""
    with room.share() as take:
        return _decoded(image, loaded, geometries, take)


def _decoded(
    image: Image,
    loaded: LoadedFile,
    geometries: Collection[Geometry],
    take: Callable[[int], None],
) -> ReadImage:
    data, reading = loaded
    times, decoded = [time.perf_counter()], None
    try:
        if isinstance(data, UnreadableError):
            raise data
        decoded = decode(image.path, data, take)
        times.append(time.perf_counter())
        cut = {geometry: pixels(decoded.picture, geometry) for geometry in geometries}
    except UnreadableError as error:
        reason = str(error).removeprefix(f"{image.path.name}: ")
        # a refusal by the system or by one geometry is not a property of the file: without a hash
        # nothing is cached under it
        refused = decoded is not None or reason.startswith("cannot be read")
        sha256 = "" if refused else digest(image)
        spent = Spent(reading, time.perf_counter() - times[0])
        return ReadImage(image.id, {}, sha256, False, reason, spent)
    times.append(time.perf_counter())
    spent = Spent(reading, *(after - before for before, after in itertools.pairwise(times)))
    return ReadImage(image.id, cut, decoded.sha256, decoded.oriented, None, spent)


def gather(span: range, pictures: Sequence[ReadImage]) -> Batch:
    """Make a batch of the pictures of a span."""
    readable = [(i, p) for i, p in zip(span, pictures, strict=True) if p.unreadable is None]
    geometries = readable[0][1].pixels.keys() if readable else ()
    return Batch(
        span=span,
        positions=tuple(i for i, _ in readable),
        ids=tuple(picture.image for _, picture in readable),
        pixels={g: torch.stack([p.pixels[g] for _, p in readable]) for g in geometries},
        digests={picture.image: picture.sha256 for _, picture in readable},
        hashes=tuple(picture.sha256 for picture in pictures),
        unreadable={p.image: p.unreadable for p in pictures if p.unreadable is not None},
        oriented=sum(picture.oriented for picture in pictures),
        spent=sum((picture.spent for picture in pictures), Spent()),
    )
