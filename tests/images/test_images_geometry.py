"""Geometry against the transforms that torchvision publishes with its weights."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import (
    AlexNet_Weights,
    EfficientNet_B0_Weights,
    Inception_V3_Weights,
    ResNet50_Weights,
    WeightsEnum,
)
from torchvision.transforms.functional import normalize

from vision_evals.core.errors import UnreadableError
from vision_evals.images.decode import read
from vision_evals.images.geometry import Geometry, pixels

PUBLISHED = [
    (AlexNet_Weights.IMAGENET1K_V1, Geometry(256, 224)),
    (Inception_V3_Weights.IMAGENET1K_V1, Geometry(342, 299)),
    (EfficientNet_B0_Weights.IMAGENET1K_V1, Geometry(256, 224, "bicubic")),
    (ResNet50_Weights.IMAGENET1K_V2, Geometry(232, 224)),
]


def package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def pictures() -> Iterator[Image.Image]:
    for path in sorted((package("foolbox") / "data").glob("imagenet_0*.jpg")):
        yield read(path).picture
    for name in ("chelsea.png", "rocket.jpg", "camera.png", "logo.png"):
        yield read(package("skimage") / "data" / name).picture
    noise = np.random.default_rng(0).integers(0, 256, (900, 61, 3)).astype(np.uint8)
    yield Image.fromarray(noise)
    yield Image.fromarray(noise.transpose(1, 0, 2).copy())
    yield Image.fromarray(noise[:1, :1])
    yield Image.fromarray(noise[:256, :])


@pytest.mark.parametrize(("weights", "geometry"), PUBLISHED)
def test_equals_the_published_transforms(weights: WeightsEnum, geometry: Geometry) -> None:
    transform = weights.transforms()
    for picture in pictures():
        ours = pixels(picture, geometry)
        assert ours.dtype == torch.uint8
        assert ours.shape == (3, geometry.crop, geometry.crop)
        ours = normalize(ours.float() / 255, transform.mean, transform.std)
        assert torch.equal(ours, transform(picture))


def test_no_resize_and_no_crop_change_no_pixel() -> None:
    levels = np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    got = pixels(Image.fromarray(levels), Geometry(None, None))
    assert (got.numpy() == levels.transpose(2, 0, 1)).all()


def test_crop_is_in_the_middle_and_black_beyond_the_picture() -> None:
    levels = np.full((4, 6, 3), 9, np.uint8)
    got = pixels(Image.fromarray(levels), Geometry(None, (2, 8))).numpy()
    assert got.shape == (3, 2, 8)
    assert got[0].tolist() == [[0, 9, 9, 9, 9, 9, 9, 0]] * 2


def test_sides_are_height_and_width() -> None:
    got = pixels(Image.new("RGB", (50, 40)), Geometry((10, 20), None))
    assert got.shape == (3, 10, 20)


@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        (Geometry(256, 224), "resize 256 bilinear, crop 224"),
        (Geometry((10, 20), None, "nearest"), "resize 10x20 nearest, no crop"),
        (Geometry(None, (3, 4)), "no resize, crop 3x4"),
    ],
)
def test_in_words(geometry: Geometry, words: str) -> None:
    assert str(geometry) == words


def test_an_oblong_picture_does_not_fill_the_memory() -> None:
    with pytest.raises(UnreadableError, match=r"1 x 90000 pixels at resize 256 .*; crop it"):
        pixels(Image.new("RGB", (1, 90000)), Geometry(256, 224))


def test_the_room_is_imported_without_torch() -> None:
    code = (
        "import sys, vision_evals.images.decode, vision_evals.images.geometry\n"
        "import vision_evals.images.sources\n"
        "sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
