"""Mistakes around a network: channels, normalisation, geometry, and names of classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vision_evals.cli.selftest.mutant import SEED, mutant, step, with_step
from vision_evals.images.geometry import Geometry
from vision_evals.images.image_set import ImageSet
from vision_evals.models.card import Input
from vision_evals.models.classifier import Classifier, Normalise
from vision_evals.validity.normalisation import CAFFE, IMAGENET

LEVELS = 255
"""Steps between black and white in an 8-bit picture."""


class SwapChannels(nn.Module):
    """A layer that reverses the order of the channels."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (n, 3, H, W) with red and blue swapped."""
        return pixels.flip(1)


class RoundPixels(nn.Module):
    """A layer that rounds pixels to 8 bits: the same pictures, and a gradient of 0."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (n, 3, H, W) in [0, 1]."""
        return (pixels * LEVELS).round() / LEVELS


@mutant("bgr", "red and blue swapped on the way in")
def bgr(classifier: Classifier) -> Classifier:
    """Swap red and blue on the way in."""
    return with_step(classifier, nn.Sequential(SwapChannels(), Normalise(classifier.input)))


@mutant("wrong-mean-std", "mean and std of ImageNet, or Caffe's where ImageNet's are right")
def wrong_mean_std(classifier: Classifier) -> Classifier:
    """Normalise with ImageNet's numbers, or with Caffe's where ImageNet's are right."""
    mean, std = CAFFE if _imagenet(classifier.input) else IMAGENET
    scale, turn = classifier.input.range, -1 if classifier.input.channels == "bgr" else 1
    return _normalised(
        classifier,
        mean=tuple(scale * x for x in mean[::turn]),
        std=tuple(scale * x for x in std[::turn]),
    )


def not_normalised(classifier: Classifier) -> str | None:
    """Say why normalisation cannot be forgotten."""
    card = classifier.input
    plain = (card.mean, card.std, card.range) == ((0, 0, 0), (1, 1, 1), 1)
    return "its pixels are fed as they are" if plain else None


@mutant("no-normalisation", "mean and std forgotten", not_normalised)
def no_normalisation(classifier: Classifier) -> Classifier:
    """Feed pixels in [0, 1] as they are."""
    return _normalised(classifier, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), range=1)


@mutant("wrong-range", "pixels from 0 to 255 where 0 to 1 is right, or the other way round")
def other_range(classifier: Classifier) -> Classifier:
    """Scale white to 255 before mean and std that want 1, or the other way round."""
    return _normalised(classifier, range=1 if classifier.input.range == 255 else 255)


@mutant("rounding", "pixels rounded to 8 bits in the forward, so that the gradient is 0")
def rounding(classifier: Classifier) -> Classifier:
    """Round pixels to 8 bits inside the forward pass."""
    return with_step(classifier, nn.Sequential(RoundPixels(), Normalise(classifier.input)))


def no_margin(classifier: Classifier) -> str | None:
    """Say why the margin of the crop cannot be wrong."""
    sides = (classifier.input.resize, classifier.input.crop)
    return None if all(isinstance(side, int) for side in sides) else "it has no resize and crop"


@mutant("wrong-crop", "no margin around the crop", no_margin)
def wrong_crop(classifier: Classifier) -> Classifier:
    """Resize to the crop itself, or leave a margin where there is none."""
    card = classifier.input
    assert isinstance(card.resize, int)
    assert isinstance(card.crop, int)
    # 256 to 224 is the margin of most networks
    resize = card.crop if card.resize != card.crop else round(card.crop * 256 / 224)
    return _with_geometry(classifier, replace(card.geometry, resize=resize))


def not_smoothed(classifier: Classifier) -> str | None:
    """Say why antialias cannot be left out."""
    if classifier.input.resize is None:
        return "its pictures are not resized"
    by = classifier.input.interpolation
    return None if by in {"bilinear", "bicubic"} else f"{by} is the same, or has no other way"


@mutant("no-antialias", "resized without antialias", not_smoothed)
def no_antialias(classifier: Classifier) -> Classifier:
    """Resize by picking neighbours, without antialias, as tensors and video decoders do."""
    return _with_geometry(classifier, replace(classifier.input.geometry, antialias=False))


@mutant("cv2-resize", "the whole picture resized without antialias, as cv2.resize does", no_margin)
def cv2_resize(classifier: Classifier) -> Classifier:
    """Squeeze the whole picture into the crop, bilinear and without antialias: cv2's default."""
    card = classifier.input
    assert isinstance(card.crop, int)
    return _with_geometry(classifier, Geometry((card.crop, card.crop), None, antialias=False))


def every_second(images: ImageSet) -> ImageSet:
    """Return an image set without every second picture."""
    return replace(images, images=images.images[::2], total=len(images.images[::2]))


def lone_class(classifier: Classifier) -> str | None:
    """Say why the classes cannot be mixed up."""
    return "it has one class" if len(classifier.classes) == 1 else None


@mutant("shuffled-labels", "outputs under one another's names", lone_class)
def shuffled_labels(classifier: Classifier) -> Classifier:
    """Give the outputs one another's names."""
    n = len(classifier.classes)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(SEED)).tolist()
    return _renamed(classifier, [*order[1:], order[0]] if order == sorted(order) else order)


def few_classes(classifier: Classifier) -> str | None:
    """Say why folders cannot be in another order: the numbers up to 9 sort alike as text."""
    return lone_class(classifier) or (
        "it has ten classes or fewer" if len(classifier.classes) <= 10 else None
    )


@mutant("labels-by-folder-order", "labels sorted as text: 0, 1, 10, 100, 2", few_classes)
def labels_by_folder_order(classifier: Classifier) -> Classifier:
    """Give the outputs the names of folders in the order of their numbers as text."""
    return _renamed(classifier, sorted(range(len(classifier.classes)), key=str))


@mutant("labels-shifted", "labels counted from 1", lone_class)
def labels_shifted(classifier: Classifier) -> Classifier:
    """Give each output the name of the next one."""
    n = len(classifier.classes)
    return _renamed(classifier, [*range(1, n), 0])


def _renamed(classifier: Classifier, order: list[int]) -> Classifier:
    classes = classifier.classes
    synsets = classes.synsets and tuple(classes.synsets[i] for i in order)
    renamed = replace(classes, names=tuple(classes.names[i] for i in order), synsets=synsets)
    return with_step(replace(classifier, classes=renamed), step(classifier))


@mutant("every-second-picture-missing", "every second picture is not there", pictures=every_second)
def every_second_picture_missing(classifier: Classifier) -> Classifier:
    """Leave the classifier as it is: its pictures are the mistake."""
    return with_step(classifier, step(classifier))


def _with_geometry(classifier: Classifier, other: Geometry) -> Classifier:
    """Return the classifier with another geometry; the rest of its preprocessing stays the same."""

    class Other(Input):
        @property
        def geometry(self) -> Geometry:
            return other

    card = Other.model_construct(**dict(classifier.input))
    return with_step(replace(classifier, input=card), step(classifier))


def _normalised(classifier: Classifier, **numbers: Any) -> Classifier:
    # not validated: a card would refuse these mistakes
    return with_step(classifier, Normalise(classifier.input.model_copy(update=numbers)))


def _imagenet(card: Input) -> bool:
    numbers = torch.tensor([card.mean, card.std]) / card.range
    return torch.allclose(numbers.sort().values, torch.tensor(IMAGENET).sort().values, atol=0.01)
