"""Pictures on disk to batches of pixels, which threads decode ahead of the network."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vision_evals.core.errors import UnreadableError, UserError
from vision_evals.images.decode import read
from vision_evals.images.geometry import Geometry
from vision_evals.images.image_set import Image
from vision_evals.images.reader import BATCHES_AHEAD, batches, cores
from vision_evals.models.recipe import Augment
from vision_evals.models.weights_file import sha256_of

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from torchvision.transforms import v2


Batches = Iterator[tuple[Tensor, Tensor]]
"""Uint8 pixels (n, 3, height, width) and classes (n,), both on the device."""

Reader = Callable[[Tensor, int, torch.Generator], Batches]
"""Takes an order of positions, a batch size and a generator for random crops."""


@dataclass(frozen=True)
class FolderSubset:
    """Pictures of a folder."""

    images: tuple[Image, ...]
    classes: tuple[int, ...]
    """Of each picture."""
    geometry: Geometry
    """Without random crops."""
    augment: Augment | None
    """How they are cropped and flipped at random, if they are."""

    def __len__(self) -> int:
        return len(self.images)

    def reader(self, device: torch.device) -> Reader:
        """Return the function that reads them in batches.

        Raises:
            UserError: while it reads, at a picture that cannot be decoded.
        """
        classes = torch.tensor(self.classes)

        def batched(order: Tensor, size: int, rng: torch.Generator) -> Batches:
            chosen = torch.split(order, size)
            images = self._whole(chosen) if self.augment is None else self._cropped(chosen, rng)
            for positions, pixels in zip(chosen, images, strict=True):
                yield pixels.to(device), classes[positions].to(device)

        return batched

    def content(self) -> list[object]:
        """Return id, class and hash of the file of each picture."""
        pictures = zip(self.images, self.classes, strict=True)
        return [(image.id, label, sha256_of(image.path)) for image, label in pictures]

    def _whole(self, chosen: tuple[Tensor, ...]) -> Iterator[Tensor]:
        order = [self.images[i] for positions in chosen for i in positions.tolist()]
        ends = torch.tensor([0, *map(len, chosen)]).cumsum(0).tolist()
        spans = [range(start, end) for start, end in itertools.pairwise(ends)]
        for batch in batches(order, spans, {self.geometry}):
            for image, reason in batch.unreadable.items():
                raise UserError(f"{_unreadable(image)}: {reason}")
            yield batch.pixels[self.geometry]

    def _cropped(self, chosen: tuple[Tensor, ...], rng: torch.Generator) -> Iterator[Tensor]:
        crop = _random_crop(self.augment or Augment(), self.geometry)
        for pictures in self._decoded(chosen):
            # torchvision draws from the global generator: here, in one thread, with our seed
            with torch.random.fork_rng(devices=[]):
                seed = int(torch.randint(2**62, (), generator=rng))
                torch.default_generator.manual_seed(seed)
                cropped = torch.stack([crop(picture) for picture in pictures])
            yield cropped

    def _decoded(self, chosen: tuple[Tensor, ...]) -> Iterator[list[Picture]]:
        pool = ThreadPoolExecutor(cores())
        coming: deque[list[Future[Picture]]] = deque()
        todo = iter(chosen)
        try:
            while True:
                while len(coming) <= BATCHES_AHEAD and (positions := next(todo, None)) is not None:
                    images = [self.images[i] for i in positions.tolist()]
                    coming.append([pool.submit(_picture, image) for image in images])
                if not coming:
                    return
                yield [future.result() for future in coming.popleft()]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _picture(image: Image) -> Picture:
    try:
        return read(image.path).picture
    except UnreadableError as error:
        raise UserError(f"{_unreadable(image.id)}: {error}") from None


def _unreadable(image: str) -> str:
    return f'picture "{image}" cannot be trained on; repair or remove it'


def _random_crop(augment: Augment, geometry: Geometry) -> v2.Compose:
    from torchvision.transforms import v2  # its import takes torch's compiler along, two seconds

    size = geometry.crop
    assert isinstance(size, int)
    return v2.Compose(
        [
            v2.RandomResizedCrop(
                size,
                scale=augment.scale,
                ratio=augment.ratio,
                interpolation=v2.InterpolationMode(geometry.interpolation),
            ),
            v2.RandomHorizontalFlip(0.5 if augment.flip else 0.0),
            v2.PILToTensor(),
        ]
    )
