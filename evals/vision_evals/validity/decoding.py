"""Whether a network sees the pixels that its card describes: decoded once more by other means."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from vision_evals.validity.check import (
    CheckResult,
    Evidence,
    ValidityCheck,
    every,
    failed,
    passed,
    undecided,
)
from vision_evals.validity.parity import declared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vision_evals.images.image_set import Image
    from vision_evals.models.card import Input

MAX_PICTURES = 4
"""Pictures that are decoded a second time."""
MAX_LEVEL_DIFFERENCE = 0.6
"""Mean difference of pixels, of 255 levels, that rounding may make."""


def same_pixels(evidence: Evidence) -> CheckResult:
    """Decode, resize and crop a few pictures once more, by other means."""
    said = declared(evidence)
    places = {name: i for i, name in enumerate(evidence.probe.ids)}
    differences: list[float] = []
    for image in evidence.images:
        if len(differences) == MAX_PICTURES:
            break
        picture = _opened(image)
        if picture is None or image.id not in places:
            continue
        by_hand = _cropped(_resized(picture, said), said)
        seen = evidence.probe.pixels[places[image.id]].cpu().numpy().transpose(1, 2, 0) * 255.0
        if seen.shape != by_hand.shape:
            return failed(f"{image.id} is {seen.shape[:2]}, by hand {by_hand.shape[:2]}")
        differences.append(float(np.abs(seen - by_hand).mean()))
    if not differences:
        return undecided("no picture is plain RGB or grey")
    text = (
        f"{len(differences)} pictures, prepared once more by hand, differ by at most "
        f"{max(differences):.2g} of 255 on the mean of their pixels"
    )
    return passed(text) if max(differences) <= MAX_LEVEL_DIFFERENCE else failed(text)


def _opened(image: Image) -> NDArray[np.uint8] | None:
    """Return (height, width, 3), or None where it takes more than PIL to make it RGB."""
    from PIL import Image as pil

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pil.open(image.path) as file:
            if file.mode not in ("RGB", "L") or "transparency" in file.info:
                return None
            return np.asarray(file.convert("RGB"))


def _resized(picture: NDArray[np.uint8], said: Input) -> NDArray[np.uint8]:
    from PIL import Image as pil

    if said.resize is None:
        return picture
    height, width = picture.shape[:2]
    if isinstance(said.resize, tuple):
        tall, wide = said.resize
    else:
        # the longer side is cut to whole pixels, as torchvision does
        short, side = min(height, width), said.resize
        tall, wide = int(side * height / short), int(side * width / short)
    kind = pil.Resampling[said.interpolation.upper()]
    return np.asarray(pil.fromarray(picture).resize((wide, tall), kind))


def _cropped(picture: NDArray[np.uint8], said: Input) -> NDArray[np.float64]:
    if said.crop is None:
        return picture.astype(np.float64)
    tall, wide = (said.crop, said.crop) if isinstance(said.crop, int) else said.crop
    height, width = picture.shape[:2]
    above, left = max(tall - height, 0) // 2, max(wide - width, 0) // 2
    canvas = np.zeros((max(tall, height), max(wide, width), 3))
    canvas[above : above + height, left : left + width] = picture
    top, start = round((len(canvas) - tall) / 2), round((canvas.shape[1] - wide) / 2)
    return canvas[top : top + tall, start : start + wide]


CHECKS = (
    ValidityCheck(
        id="S3", name="pictures as the card says",
        meaning="Another crop, or a resize without antialiasing, shows the network other pixels.",
        source="Parmar et al. 2022, section 3; resize libraries that do not antialias",
        scope="images", guards=every, run=same_pixels,
    ),
)  # fmt: skip
