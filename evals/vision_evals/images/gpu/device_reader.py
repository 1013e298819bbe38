"""Pictures from disk to batches of pixels on a device, ahead of the networks.

Processes read the files, the device decodes and resizes what it can, and PIL does the rest exactly
as `vision_evals.images.reader` does. One thread in the background leads, on a stream of its own;
whoever computes does not wait for it on the host.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
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
    Spent,
    cores,
    gather,
    load_timed,
    look,
)

if TYPE_CHECKING:
    from vision_evals.images.image_set import Image

READERS = min(4, os.cpu_count() or 1)
"""Processes that read: one gives some 7,000 files of 90 kB a second."""
FILES_AHEAD = READERS + 2
"""Batches whose files are read or reading before anybody decodes them."""


def device_batches(
    images: Sequence[Image],
    spans: Sequence[range],
    geometries: Collection[Geometry],
    device: torch.device | str,
    plain: int = 0,
) -> Iterator[Batch]:
    """Yield a batch a span, in order, its pixels on the device.

    A picture whose geometry only PIL can is decoded by PIL for that geometry, by the device for
    the others. A batch that the device gives up, for want of memory or whatever else, goes through
    PIL as a whole.

    Args:
        images: of the whole set.
        spans: positions of each batch.
        geometries: every way in which the classifiers want them resized and cropped.
        device: where the pixels are wanted. What the current stream does after a batch was yielded
            finds them there; another stream has to wait for that one.
        plain: batches with one of the first so many images of the walk have PIL's pixels too.

    Raises:
        UserError: PIL was told to fill up truncated pictures, or the processes that read died.
    """
    device = torch.device(device)
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
    background, decoders = ThreadPoolExecutor(1), ThreadPoolExecutor(cores())
    readers = Readers(READERS)
    maker = _Maker(images, tuple(geometries), stream.device if stream else device, stream, decoders)
    reading: deque[tuple[range, Future[LoadedFiles], bool]] = deque()
    making: deque[Future[_Made]] = deque()
    todo, asked = iter(spans), 0
    try:
        while True:
            while len(reading) < FILES_AHEAD and (span := next(todo, None)) is not None:
                paths = [images[i].path for i in span]
                reading.append((span, readers.submit(paths), asked < plain))
                asked += len(span)
            while reading and len(making) <= BATCHES_AHEAD:
                making.append(background.submit(maker.make, *reading.popleft()))
            if not making:
                return
            yield _received(making.popleft().result())
    finally:
        # who waits for others ends first
        background.shutdown(wait=True, cancel_futures=True)
        decoders.shutdown(wait=True, cancel_futures=True)
        readers.close()


@dataclass(frozen=True, slots=True)
class _Made:
    batch: Batch
    done: torch.cuda.Event | None
    """Recorded on the stream that makes the pixels, after them."""


@dataclass(frozen=True, slots=True)
class _Maker:
    images: Sequence[Image]
    geometries: tuple[Geometry, ...]
    device: torch.device
    stream: torch.cuda.Stream | None
    decoders: ThreadPoolExecutor

    def make(self, span: range, reading: Future[LoadedFiles], compare: bool) -> _Made:
        """Make a batch, with PIL's pixels beside the device's if they are to be compared."""
        files = reading.result()
        if self.stream is None:
            return _Made(self._batch(span, files, compare), None)
        # autocast and inference mode are matters of each thread: neither reaches this one
        with torch.cuda.stream(self.stream):
            batch = self._batch(span, files, compare)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(self.stream)
        return _Made(batch, done)

    def _batch(self, span: range, files: LoadedFiles, compare: bool) -> Batch:
        images = [self.images[i] for i in span]
        datas = [None if data is None else bytes(data) for data in files.datas]
        made = device_pixels(datas, self.geometries, self.device)
        looks = self._looks(images, files, datas, made, compare)
        seen = [i for i, one in enumerate(looks) if one.unreadable is None]
        batch = gather(span, [replace(one, pixels={}) for one in looks])
        wanted = self.geometries if seen else ()
        pixels = {g: joined([looks[i].pixels for i in seen], seen, made, g) for g in wanted}
        plain = {g: torch.stack([looks[i].pixels[g] for i in seen]) for g in wanted if compare}
        return replace(
            batch,
            pixels={g: tensor.to(self.device) for g, tensor in pixels.items()},
            plain={g: tensor.to(self.device) for g, tensor in plain.items()} if compare else None,
            by_device=tuple(row for row, i in enumerate(seen) if i in made.oriented),
            spent=batch.spent + Spent(files.seconds, made.decode, made.preprocess),
        )

    def _looks(
        self,
        images: Sequence[Image],
        files: LoadedFiles,
        datas: Sequence[bytes | None],
        made: DevicePixels,
        compare: bool,
    ) -> list[ReadImage]:
        rest = [g for g in self.geometries if not supports(g)]
        looks: list[ReadImage | Future[ReadImage]] = []
        for i, (image, data, error) in enumerate(zip(images, datas, files.errors, strict=True)):
            by_device = i in made.oriented
            if by_device and not rest and not compare:
                sha256, oriented = files.hashes[i], made.oriented[i]
                looks.append(ReadImage(image.id, {}, sha256, oriented, None, Spent()))
            else:
                wanted = rest if by_device and not compare else self.geometries
                looks.append(self.decoders.submit(_look, image, data, error, wanted))
        return [one.result() if isinstance(one, Future) else one for one in looks]


def _look(
    image: Image, data: bytes | None, error: str | None, geometries: Collection[Geometry]
) -> ReadImage:
    if error is not None:
        loaded = LoadedFile(UnreadableError(f"{image.path.name}: {error}"), 0.0)
    elif data is not None:
        loaded = LoadedFile(data, 0.0)
    else:  # the processes left it out for want of space
        loaded = load_timed(image)
    return look(image, loaded, geometries)


def _received(made: _Made) -> Batch:
    if made.done is None:
        return made.batch
    for tensor in (*made.batch.pixels.values(), *(made.batch.plain or {}).values()):
        current = torch.cuda.current_stream(tensor.device)
        current.wait_event(made.done)
        # else the other stream may write there as soon as nobody here holds it
        tensor.record_stream(current)
    return made.batch
