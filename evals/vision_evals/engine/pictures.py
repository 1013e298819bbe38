"""Pictures of the report: a few images per check and classifier, drawn after the pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vision_evals.log import Picture

if TYPE_CHECKING:
    import pandas as pd
    import PIL.Image
    import torch

    from vision_evals.measures.measure import Drawing

WEBP_QUALITY = 65
"""Of WebP: about 9 kB for a photograph of 224 x 224 pixels, 50 kB for a noisy triptych."""

MAX_GALLERY = 32
"""Images of the largest set that a gallery shows whole."""

ADVERSARIALS = "adversarials"
"""Folder of `--evals-keep-adversarials`, below the run directory."""

Sample = Literal["worst", "fair"]


def pick(badness: pd.Series[float], count: int, *, gallery: bool = False) -> dict[str, Sample]:
    """Choose images: half of them the worst, half by hash of id, which is a fair sample.

    Args:
        badness: image id to a number, highest first.
        count: how many at most.
        gallery: whether a small set is shown whole, whatever the count is.
    """
    count = len(badness) if gallery and len(badness) <= MAX_GALLERY else count
    ranked = badness.sort_values(ascending=False, kind="stable")
    picked: dict[str, Sample] = {str(image): "worst" for image in ranked.index[: count // 2]}
    for image in sorted(map(str, badness.index), key=_hash):
        if len(picked) >= count:
            break
        picked.setdefault(image, "fair")
    return picked


def save(
    drawings: Iterable[Drawing], samples: Mapping[str, Sample], directory: Path, prefix: str
) -> tuple[Picture, ...]:
    """Write drawings as WebP below ``directory/pictures``; return them in the order of ``samples``.

    The worst come first: a report that cannot hold all pictures leaves out the last ones.
    """
    (directory / "pictures").mkdir(exist_ok=True)
    pictures = []
    for drawing in drawings:
        file = directory / file_name(prefix, drawing.image)
        to_picture(drawing.pixels).save(file, quality=WEBP_QUALITY)
        pictures.append(
            Picture(
                image=drawing.image,
                file=f"pictures/{file.name}",
                sample=samples[drawing.image],
                caption=drawing.caption,
                panels=drawing.panels,
                plot=drawing.plot,
            )
        )
    order = list(samples)
    return tuple(sorted(pictures, key=lambda picture: order.index(picture.image)))


def file_name(prefix: str, image: str) -> str:
    """Return the path of a picture, below the run directory."""
    return f"pictures/{prefix}-{_hash(image)[:12]}.webp"


def save_adversarials(drawings: Iterable[Drawing], folder: Path) -> None:
    """Write each adversarial image as an 8-bit PNG, without loss."""
    for drawing in drawings:
        if drawing.adversarial is not None:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{Path(drawing.image).stem}-{_hash(drawing.image)[:8]}.png"
            to_picture(drawing.adversarial).save(folder / name)


def to_picture(pixels: torch.Tensor) -> PIL.Image.Image:
    """Return (3, H, W) in [0, 1] as the nearest 8-bit picture: rounded, never truncated."""
    from vision_evals.images.light_torchvision import functional

    picture: PIL.Image.Image = functional.to_pil_image(
        pixels.detach().cpu().clamp(0, 1).mul(255).round().byte()
    )
    return picture


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
