"""PIL's antialiased resize and the centre crop as two matrix products, for a batch on a device.

Pillow blends 8-bit pixels with weights of 22 binary digits, along the width, then along the height
(some tall pictures the other way round), and rounds after each. The same whole numbers come out
here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import PIL
import torch

from vision_evals.core.errors import UnreadableError
from vision_evals.images.geometry import Geometry, Interpolation

MAX_GROUP_ELEMENTS = 2**27
"""Elements of the largest array of a group of pictures; one picture alone may exceed it."""

_DIGITS = 22
_LOBES: dict[Interpolation, int] = {"nearest": 0, "bilinear": 1, "bicubic": 2, "lanczos": 3}


@dataclass(frozen=True, slots=True)
class _Axis:
    old: int
    """Pixels of the picture."""
    new: int
    """Pixels after the resize."""
    offset: int
    """The one at which the crop starts; below zero: black before the picture."""
    needed: range
    """Pixels of the picture that the crop depends on, and one or two more."""


@dataclass(frozen=True, slots=True)
class _Resampling:
    rows: _Axis
    """The axis that is blended second."""
    columns: _Axis
    """The axis that is blended first."""
    turned: bool
    """Whether rows and columns are swapped, as where the height is blended first."""


def supports(geometry: Geometry) -> bool:
    """Return whether `resample` supports the geometry; PIL does all others.

    It supports those that smooth and that give all pictures the same size.
    """
    return geometry.antialias and (geometry.crop is not None or isinstance(geometry.resize, tuple))


def resample(pictures: Sequence[torch.Tensor], geometry: Geometry) -> torch.Tensor:
    """Return what the geometry leaves of each picture, as `images.geometry.pixels` would.

    Args:
        pictures: n of uint8 (3, h, w), RGB, at least one, each of its own size, on one device.
        geometry: one that it `supports`.

    Returns:
        uint8 (n, 3, H, W) on that device.

    Raises:
        UnreadableError: a picture does not fit, see `Geometry.fits`.
    """
    assert supports(geometry), f"{geometry}: only PIL can"
    plans = [_plan(picture, geometry) for picture in pictures]
    shape = len(pictures), 3, *geometry.size
    resized = torch.empty(shape, dtype=torch.uint8, device=pictures[0].device)
    for group in _groups(plans, max(geometry.size)):
        levels = _resampled([pictures[i] for i in group], [plans[i] for i in group], geometry)
        resized[torch.tensor(group, device=resized.device)] = levels
    return resized


def _plan(picture: torch.Tensor, geometry: Geometry) -> _Resampling:
    _, height, width = picture.shape
    if not geometry.fits(height, width):
        raise UnreadableError(f"{width} x {height} pixels at {geometry}: too oblong; crop it")
    new = height, width
    if isinstance(geometry.resize, tuple):
        new = geometry.resize
    elif geometry.resize is not None:
        short = min(new)  # the long side is truncated, as torchvision does
        new = int(geometry.resize * height / short), int(geometry.resize * width / short)
    crop = new if geometry.crop is None else geometry.size
    lobes = _LOBES[geometry.interpolation]
    down, across = _axis(height, new[0], crop[0], lobes), _axis(width, new[1], crop[1], lobes)
    turned = _height_first(down, across)
    return _Resampling(across, down, turned) if turned else _Resampling(down, across, turned)


def _height_first(down: _Axis, across: _Axis) -> bool:
    # read from the behaviour of each release; where it is not known to differ, the last rule
    release = tuple(int(part) for part in PIL.__version__.split(".")[:2])
    if down.new >= down.old or release < (12, 2):
        return False
    if release < (13, 0):
        return down.old > 100 * across.old
    return down.old - down.new > 2 * (across.old - across.new)


def _axis(old: int, new: int, crop: int, lobes: int) -> _Axis:
    offset = -((crop - new) // 2) if crop > new else round((new - crop) / 2)
    scale = old / new
    reach = lobes * max(scale, 1) + 1
    first = int((max(offset, 0) + 0.5) * scale - reach)
    last = int((min(offset + crop, new) - 0.5) * scale + reach)
    return _Axis(old, new, offset, range(max(first, 0), min(last + 1, old)))


def _groups(plans: Sequence[_Resampling], width: int) -> Iterator[list[int]]:
    # pictures of similar size share an array, of which at most half is padding
    sizes = [(len(plan.rows.needed), max(len(plan.columns.needed), 2 * width)) for plan in plans]
    group: list[int] = []
    tallest = widest = own = 0
    for i in sorted(range(len(plans)), key=lambda i: (plans[i].turned, sizes[i])):
        tallest, widest = max(tallest, sizes[i][0]), max(widest, sizes[i][1])
        own += math.prod(sizes[i])
        padded = (len(group) + 1) * tallest * widest
        turn = bool(group) and plans[group[0]].turned != plans[i].turned
        if group and (turn or padded > 2 * own or 3 * padded > MAX_GROUP_ELEMENTS):
            yield group
            group, (tallest, widest), own = [], sizes[i], math.prod(sizes[i])
        group.append(i)
    yield group


def _resampled(
    pictures: Sequence[torch.Tensor], plans: Sequence[_Resampling], geometry: Geometry
) -> torch.Tensor:
    device, n, turned = pictures[0].device, len(pictures), plans[0].turned
    height, width = reversed(geometry.size) if turned else geometry.size
    rows = max(len(plan.rows.needed) for plan in plans)
    columns = max(len(plan.columns.needed) for plan in plans)
    levels = torch.zeros((n, 3, rows, columns), device=device)
    for into, picture, plan in zip(levels, pictures, plans, strict=True):
        down, across = plan.rows.needed, plan.columns.needed
        part = picture.mT if turned else picture
        part = part[:, down.start : down.stop, across.start : across.stop]
        into[:, : len(down), : len(across)] = part
    method = geometry.interpolation
    blend = _weights([plan.columns for plan in plans], width, columns, method, device)
    levels = levels.view(n, 3 * rows, columns) @ blend.flatten(1, 2).mT
    levels = _rounded(levels.view(n, 3, rows, 2, width), 3).float()
    blend = _weights([plan.rows for plan in plans], height, rows, method, device)
    levels = blend.flatten(1, 2)[:, None] @ levels
    levels = _rounded(levels.view(n, 3, 2, height, width), 2).byte()
    return levels.mT if turned else levels


def _rounded(sums: torch.Tensor, parts: int) -> torch.Tensor:
    high, low = sums.int().unbind(parts)
    whole = (high << _DIGITS // 2 + 1) + low + (1 << _DIGITS - 1)
    return (whole >> _DIGITS).clamp_(0, 255)


def _weights(
    axes: Sequence[_Axis], count: int, extent: int, method: Interpolation, device: torch.device
) -> torch.Tensor:
    """Return the weights of ``extent`` old pixels in ``count`` new ones, for n pictures.

    Returns:
        float32 (n, 2, count, extent): whole numbers, of which the first is worth 2**-10 and the
        second 2**-22. They are split so that neither exceeds 2**11 in size: even TF32 holds them
        exactly, 8-bit pixels too, and their sums are below 2**24, whatever the process allows.
    """
    table = [(axis.old, axis.new, axis.offset, axis.needed.start) for axis in axes]
    old, new, offset, start = torch.tensor(table, device=device).mT[..., None]
    places_in_new = offset + torch.arange(count, device=device)
    at = places_in_new.clamp(min=0).minimum(new - 1)
    if method == "nearest":
        first = _nearest(axes, at.cpu()).to(device)
        kernel = torch.ones((*first.shape, 1), dtype=torch.float64, device=device)
    else:
        lobes = _LOBES[method]
        scale = old.double() / new
        stretch = scale.clamp(min=1)
        centre = (at + 0.5).double() * scale
        first = (centre - lobes * stretch + 0.5).long().clamp(min=0)
        last = (centre + lobes * stretch + 0.5).long().minimum(old)
        taps = math.ceil(lobes * max(1.0, *(axis.old / axis.new for axis in axes))) * 2 + 1
        x = first[..., None] + torch.arange(taps, device=device)
        kernel = _kernel((x - centre[..., None] + 0.5) / stretch[..., None], method)
        kernel = kernel.where(x < last[..., None], 0.0)
        kernel = kernel / kernel.sum(2, keepdim=True)
    kernel = kernel * ((places_in_new >= 0) & (places_in_new < new))[..., None]
    whole = (kernel * 2**_DIGITS + kernel.sign() * 0.5).trunc()
    step = 2 ** (_DIGITS // 2 + 1)
    high = (whole / step).round()
    parts = torch.stack([high, whole - high * step], 1).float()
    # space for a kernel beyond the last pixel, so that no place is written twice
    weights = torch.zeros((len(axes), 2, count, extent + parts.shape[3]), device=device)
    places = (first - start)[..., None] + torch.arange(parts.shape[3], device=device)
    return weights.scatter_(3, places[:, None].expand_as(parts), parts)[..., :extent]


def _kernel(x: torch.Tensor, method: Interpolation) -> torch.Tensor:
    size = x.abs()
    if method == "bilinear":
        return (1 - size).clamp(min=0)
    if method == "bicubic":
        near = (1.5 * size - 2.5) * size * size + 1
        far = (((size - 5) * size + 8) * size - 4) * -0.5
        return near.where(size < 1, far.where(size < 2, 0.0))
    return (x.sinc() * (x / 3).sinc()).where(size < 3, 0.0)


def _nearest(axes: Sequence[_Axis], at: torch.Tensor) -> torch.Tensor:
    # Pillow adds the step up, with its rounding errors; only a processor adds in that order
    steps = torch.tensor([[axis.old / axis.new] for axis in axes], dtype=torch.float64)
    steps = steps.repeat(1, int(at.max()) + 1)
    steps[:, 0] /= 2
    return steps.cumsum(1).long().gather(1, at)
