"""The matrix products against PIL, whose pixels they have to repeat."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vision_evals.core.errors import UnreadableError
from vision_evals.images.decode import read
from vision_evals.images.geometry import Geometry, Interpolation, pixels
from vision_evals.images.gpu import resample as module
from vision_evals.images.gpu.resample import resample, supports
from vision_evals.images.sources import load

FILTERS: tuple[Interpolation, ...] = ("nearest", "bilinear", "bicubic", "lanczos")

side = st.one_of(st.integers(1, 12), st.integers(13, 90), st.integers(91, 700))
sides = st.tuples(side, side)
short = st.integers(1, 120)
crops = st.one_of(st.integers(1, 260), st.tuples(short, st.integers(1, 260)))
geometries = st.one_of(
    st.builds(Geometry, st.one_of(st.none(), short), crops, st.sampled_from(FILTERS)),
    st.builds(
        Geometry,
        st.tuples(short, st.integers(1, 300)),
        st.one_of(st.none(), crops),
        st.sampled_from(FILTERS),
    ),
)


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Levels of every kind, the extremes often: what overshoots is clipped."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(-100, 356, (*size, 3)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(levels)


def tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def assert_equal(pictures: list[Image.Image], geometry: Geometry) -> None:
    got = resample([tensor(picture) for picture in pictures], geometry)
    want = torch.stack([pixels(picture, geometry) for picture in pictures])
    assert got.dtype == torch.uint8
    assert got.shape == want.shape
    difference = (got.int() - want.int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).double().mean() <= 0.001


@settings(max_examples=200)
@given(st.lists(sides, min_size=1, max_size=5), geometries, st.integers(0, 9))
def test_pixels_of_pil(sizes: list[tuple[int, int]], geometry: Geometry, seed: int) -> None:
    assert_equal([noise(size, seed) for size in sizes], geometry)


@pytest.mark.parametrize("method", FILTERS)
@pytest.mark.parametrize(
    "size",
    [(3, 5), (1, 1), (256, 300), (256, 256), (900, 61), (61, 900), (520, 256), (1300, 11), (20, 7)],
)
@pytest.mark.parametrize("resize", [256, (128, 400), (30, 9), None])
def test_sizes_at_the_edges(
    size: tuple[int, int], resize: int | tuple[int, int] | None, method: Interpolation
) -> None:
    assert_equal([noise(size)], Geometry(resize, 224, method))


@pytest.mark.parametrize("method", FILTERS)
def test_photographs(method: Interpolation) -> None:
    paths = [image.path for image in load("imagenet_samples", Path()).images]
    assert_equal([read(path).picture for path in paths], Geometry(256, 224, method))


def test_groups_keep_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_GROUP_ELEMENTS", 100_000)
    pictures = [
        noise(size) for size in [(90, 30), (40, 50), (300, 20), (40, 50), (7, 200), (90, 31)]
    ]
    assert_equal(pictures, Geometry(40, 32))


@pytest.mark.parametrize("method", FILTERS)
def test_weights_are_whole_numbers_that_tf32_holds(method: Interpolation) -> None:
    axes = [module._axis(old, 60, 60, 3) for old in (7, 59, 60, 61, 900)]
    found = module._weights(axes, 60, 900, method, torch.device("cpu"))
    assert (found == found.round()).all()
    assert found.abs().max() <= 2**11
    assert ((found[:, 0] * 2**12 + found[:, 1]).sum(2) - 2**22).abs().max() < 900


def test_pictures_stay_as_they_were() -> None:
    picture = tensor(noise((50, 60)))
    before = picture.clone()
    resample([picture, picture.contiguous()], Geometry(None, (50, 60)))
    assert torch.equal(picture, before)


def test_what_is_left_to_pil() -> None:
    assert supports(Geometry(256, 224))
    assert supports(Geometry(None, 224))
    assert supports(Geometry((30, 40), None))
    assert not supports(Geometry(256, 224, antialias=False))
    assert not supports(Geometry(256, None))
    assert not supports(Geometry(None, None))


@pytest.mark.parametrize("size", [(1, 90000), (90000, 1), (1, 1000), (2731, 1), (2730, 1)])
def test_oblong_pictures_are_refused_as_by_pixels(size: tuple[int, int]) -> None:
    geometry = Geometry(256, 224)
    try:
        pixels(Image.new("RGB", size), geometry)
    except UnreadableError:
        assert not geometry.fits(*size)
        with pytest.raises(UnreadableError, match="too oblong"):
            resample([torch.zeros((3, *size), dtype=torch.uint8)], geometry)
    else:
        assert geometry.fits(*size)
    assert Geometry((256, 256), 224).fits(*size)
