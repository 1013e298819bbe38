"""Files to pixels by the device: decoded and resized, and joined with those of PIL.

JPEGs are decoded a batch at once: by nvJPEG on CUDA, by libjpeg on a processor.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from PIL import ImageFile

from vision_evals.images.geometry import Geometry
from vision_evals.images.gpu.jpeg import Header, header, plain
from vision_evals.images.gpu.resample import resample, supports

MAX_GROUP_BYTES = 2**30
"""Bytes of pictures that are decoded at once; one alone may exceed it."""

_USUAL_HEADER_BYTES = 2**14
"""Bytes in which most headers end: a short text is faster to search."""


@dataclass(frozen=True, slots=True)
class DevicePixels:
    """The pictures of n files that the device decoded."""

    oriented: Mapping[int, bool] = field(default_factory=dict)
    """Which of the m <= n files it decoded, in their order, and whether an EXIF orientation was
    ignored."""
    pixels: Mapping[Geometry, torch.Tensor] = field(default_factory=dict)
    """uint8 (m, 3, H, W) for each geometry that `resample` knows."""
    decode: float = 0.0
    """Seconds."""
    preprocess: float = 0.0
    """Seconds, as far as the host waited."""


def device_pixels(
    datas: Sequence[bytes | None], geometries: Collection[Geometry], device: torch.device
) -> DevicePixels:
    """Decode and resize the files that the device can; PIL does all others.

    Args:
        datas: n files; None where there is none.
        geometries: all that are wanted. A picture that one of them refuses is for PIL, which says
            why; geometries that only PIL can are left out.
        device: where the pixels stay.

    Returns:
        No pictures where the device fails, for want of memory or another reason.
    """
    # where PIL would fill up damaged pictures, PIL must read them, which is an error
    if not any(map(supports, geometries)) or ImageFile.LOAD_TRUNCATED_IMAGES:
        return DevicePixels()
    abouts = {
        i: about
        for i, data in enumerate(datas)
        if data and (about := _header(data)) and _fits(about, geometries)
    }
    try:
        return _made(datas, abouts, [g for g in geometries if supports(g)], device)
    except Exception:  # noqa: BLE001 - PIL does it, and says what is wrong if it cannot either
        return DevicePixels()


def joined(
    hosted: Sequence[Mapping[Geometry, torch.Tensor]],
    files: Sequence[int],
    made: DevicePixels,
    geometry: Geometry,
) -> torch.Tensor:
    """Return the pixels of k pictures, from the device where it has them, else from PIL.

    Args:
        hosted: PIL's of each, uint8 (3, H, W); needed only where the device has none.
        files: number of each among the n files.
        made: by the device.
        geometry: which of them.

    Returns:
        uint8 (k, 3, H, W), on the device if it made any of them.
    """
    if geometry not in made.pixels or not made.oriented.keys() & set(files):
        return torch.stack([pixels[geometry] for pixels in hosted])
    rows = {i: row for row, i in enumerate(made.oriented)}
    theirs = made.pixels[geometry]
    others = [pixels[geometry] for i, pixels in zip(files, hosted, strict=True) if i not in rows]
    next_row = iter(range(len(theirs), len(theirs) + len(others)))
    order = [rows[i] if i in rows else next(next_row) for i in files]
    if order == list(range(len(theirs))):
        return theirs
    if others:
        theirs = torch.cat([theirs, torch.stack(others).to(theirs.device)])
    return theirs[torch.tensor(order, device=theirs.device)]


def _header(data: bytes) -> Header | None:
    # the decoder itself checks whether the file is complete
    return header(data[:_USUAL_HEADER_BYTES]) or header(data)


def _fits(about: Header, geometries: Collection[Geometry]) -> bool:
    sides = about.height, about.width
    return min(sides) > 0 and all(geometry.fits(*sides) for geometry in geometries)


def _made(
    datas: Sequence[bytes | None],
    abouts: Mapping[int, Header],
    geometries: Sequence[Geometry],
    device: torch.device,
) -> DevicePixels:
    parts: dict[Geometry, list[torch.Tensor]] = {geometry: [] for geometry in geometries}
    oriented: dict[int, bool] = {}
    decode = preprocess = 0.0
    for group in _groups(abouts):
        start = time.perf_counter()
        if device.type == "cuda":
            # torchvision decodes on a stream of its own, which does not wait for this one before
            # it writes to memory that the last group was resized from
            torch.cuda.current_stream(device).synchronize()
        by_file = dict(zip(group, decoded([datas[i] or b"" for i in group], device), strict=True))
        pictures = {i: picture for i, picture in by_file.items() if picture is not None}
        middle = time.perf_counter()
        if pictures:
            for geometry, part in parts.items():
                part.append(resample(list(pictures.values()), geometry))
        oriented |= {i: abouts[i].orientation != 1 for i in pictures}
        decode += middle - start
        preprocess += time.perf_counter() - middle
    pixels = {geometry: torch.cat(part) for geometry, part in parts.items() if part}
    return DevicePixels(oriented, pixels, decode, preprocess)


def _groups(abouts: Mapping[int, Header]) -> Iterator[list[int]]:
    group: list[int] = []
    space = MAX_GROUP_BYTES
    for i, about in abouts.items():
        size = 3 * about.height * about.width
        if group and size > space:
            yield group
            group, space = [], MAX_GROUP_BYTES
        group.append(i)
        space -= size
    if group:
        yield group


def decoded(datas: Sequence[bytes], device: torch.device | str) -> list[torch.Tensor | None]:
    """Decode the files that all decoders read alike, as stored (EXIF orientation not applied).

    Args:
        datas: n files.
        device: where to decode and where the pixels stay.

    Returns:
        For each file uint8 (3, h, w), RGB, on the device; None where PIL has to read it, be it no
        plain JPEG or one of a batch that the device gave up.
    """
    decoded_files: list[torch.Tensor | None] = [None] * len(datas)
    sizes = {
        i: (3, about.height, about.width)
        for i, data in enumerate(datas)
        if (about := header(data)) is not None and plain(about)
    }
    pictures = _decoded([datas[i] for i in sizes], torch.device(device))
    for (i, size), picture in zip(sizes.items(), pictures, strict=False):
        if picture.shape == size:
            decoded_files[i] = picture
    return decoded_files


def _decoded(datas: Sequence[bytes], device: torch.device) -> Sequence[torch.Tensor]:
    if not datas:
        return []
    from torchvision.io import ImageReadMode

    # copied, as torch warns of memory that cannot be written
    files = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in datas]
    mode = ImageReadMode.RGB.value
    try:
        # what torchvision.io.decode_jpeg calls, which since 0.29 warns at each call
        if device.type == "cuda":
            pictures: Sequence[torch.Tensor] = torch.ops.image.decode_jpegs_cuda(
                files, mode, device
            )
            return pictures
        return [torch.ops.image.decode_jpeg(file, mode, False).to(device) for file in files]
    except (RuntimeError, AttributeError):  # a broken file among them, or a build without either
        return []
