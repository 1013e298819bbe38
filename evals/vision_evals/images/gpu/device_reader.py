"""Pictures from disk to batches of pixels on a device, ahead of the networks.

Processes read the files, the device decodes and resizes what it can, and PIL does the rest exactly
as `vision_evals.images.reader` does. One thread in the background leads, on a stream of its own;
the computation does not wait for it on the host.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from vision_evals.core.errors import UnreadableError
from vision_evals.images.geometry import Geometry
from vision_evals.images.gpu.device_pixels import DevicePixels, device_pixels, joined
from vision_evals.images.gpu.file_reading import LoadedFiles, Readers
from vision_evals.images.gpu.resample import supports
from vision_evals.images.reader import (
    BATCHES_AHEAD,
    Batch,
    LoadedFile,
    ReadImage,
    Room,
    Spent,
    cores,
    gather,
    load_timed,
    read_image,
)

if TYPE_CHECKING:
    from vision_evals.images.image_set import Image

READERS = min(4, os.cpu_count() or 1)
"""Processes that read: one gives some 7,000 files of 90 kB a second."""
FILES_AHEAD = READERS + 2
"""Batches whose files are read before they are decoded."""


def device_batches(
    images: Sequence[Image],
    spans: Sequence[range],
    geometries: Collection[Geometry],
    device: torch.device | str,
    plain: int = 0,
) -> Iterator[Batch]:
    """Yield a batch a span, in order, its pixels on the device.

    A picture whose geometry only PIL can is decoded by PIL for that geometry, by the device for
    the others. PIL also decodes a whole batch that the device refuses, as for want of memory.

    Args:
        images: of the whole set.
        spans: positions of each batch.
        geometries: every way in which the classifiers want them resized and cropped.
        device: where the pixels are wanted. What the current stream does after a batch was yielded
            finds them there; another stream has to wait for that one.
        plain: batches with one of the first so many images of the pass have PIL's pixels too.

    Raises:
        UserError: PIL was told to fill up truncated pictures, or the processes that read died.
    """
    device = torch.device(device)
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
    background, decoders = ThreadPoolExecutor(1), ThreadPoolExecutor(cores())
    readers = Readers(READERS)
    maker = _Maker(images, tuple(geometries), stream.device if stream else device, stream, decoders)
    reading: deque[tuple[range, Future[LoadedFiles], bool]] = deque()
    making: deque[Future[tuple[Batch, torch.cuda.Event | None]]] = deque()
    todo, submitted = iter(spans), 0
    try:
        while True:
            while len(reading) < FILES_AHEAD and (span := next(todo, None)) is not None:
                paths = [images[i].path for i in span]
                reading.append((span, readers.submit(paths), submitted < plain))
                submitted += len(span)
            while reading and len(making) <= BATCHES_AHEAD:
                making.append(background.submit(maker.make, *reading.popleft()))
            if not making:
                return
            yield _received(*making.popleft().result())
    finally:
        # a pool that waits for another ends first
        background.shutdown(wait=True, cancel_futures=True)
        decoders.shutdown(wait=True, cancel_futures=True)
        readers.close()


@dataclass(frozen=True, slots=True)
class _Maker:
    images: Sequence[Image]
    geometries: tuple[Geometry, ...]
    device: torch.device
    stream: torch.cuda.Stream | None
    decoders: ThreadPoolExecutor
    room: Room = field(default_factory=Room)

    def make(
        self, span: range, reading: Future[LoadedFiles], compare: bool
    ) -> tuple[Batch, torch.cuda.Event | None]:
        """Make a batch, with PIL's pixels in addition if they are compared.

        Returns:
            The batch, and what is recorded after it on the stream that makes the pixels.
        """
        files = reading.result()
        if self.stream is None:
            return self._batch(span, files, compare), None
        # autocast and inference mode are matters of each thread: neither reaches this one
        with torch.cuda.stream(self.stream):
            batch = self._batch(span, files, compare)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(self.stream)
        return batch, done

    def _batch(self, span: range, files: LoadedFiles, compare: bool) -> Batch:
        images = [self.images[i] for i in span]
        datas = [None if data is None else bytes(data) for data in files.datas]
        made = device_pixels(datas, self.geometries, self.device)
        pictures = self._pictures(images, files, datas, made, compare)
        readable = [i for i, picture in enumerate(pictures) if picture.unreadable is None]
        batch = gather(span, [replace(picture, pixels={}) for picture in pictures])
        geometries = self.geometries if readable else ()
        hosted = [pictures[i].pixels for i in readable]
        pixels = {g: joined(hosted, readable, made, g) for g in geometries}
        plain = {g: torch.stack([by_pil[g] for by_pil in hosted]) for g in geometries if compare}
        return replace(
            batch,
            pixels={g: tensor.to(self.device) for g, tensor in pixels.items()},
            plain={g: tensor.to(self.device) for g, tensor in plain.items()} if compare else None,
            by_device=tuple(row for row, i in enumerate(readable) if i in made.oriented),
            spent=batch.spent + Spent(files.seconds, made.decode, made.preprocess),
        )

    def _pictures(
        self,
        images: Sequence[Image],
        files: LoadedFiles,
        datas: Sequence[bytes | None],
        made: DevicePixels,
        compare: bool,
    ) -> list[ReadImage]:
        rest = [g for g in self.geometries if not supports(g)]
        pictures: list[ReadImage | Future[ReadImage]] = []
        for i, (image, data, error) in enumerate(zip(images, datas, files.errors, strict=True)):
            by_device = i in made.oriented
            if by_device and not rest and not compare:
                sha256, oriented = files.hashes[i], made.oriented[i]
                pictures.append(ReadImage(image.id, {}, sha256, oriented, None, Spent()))
            else:
                by_pil = rest if by_device and not compare else self.geometries
                pictures.append(
                    self.decoders.submit(_read_image, image, data, error, by_pil, self.room)
                )
        return [p.result() if isinstance(p, Future) else p for p in pictures]


def _read_image(
    image: Image,
    data: bytes | None,
    error: str | None,
    geometries: Collection[Geometry],
    room: Room,
) -> ReadImage:
    if error is not None:
        loaded = LoadedFile(UnreadableError(f"{image.path.name}: {error}"), 0.0)
    elif data is not None:
        loaded = LoadedFile(data, 0.0)
    else:  # the processes left it out for want of space
        loaded = load_timed(image)
    return read_image(image, loaded, geometries, room)


def _received(batch: Batch, done: torch.cuda.Event | None) -> Batch:
    if done is None:
        return batch
    for tensor in (*batch.pixels.values(), *(batch.plain or {}).values()):
        current = torch.cuda.current_stream(tensor.device)
        current.wait_event(done)
        # else the other stream may reuse the memory as soon as it is free here
        tensor.record_stream(current)
    return batch
