"""The pixels that a network sees: resized and cropped by PIL, with antialias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vision_evals.core.errors import UnreadableError
from vision_evals.images.decode import MAX_PIXELS

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Resize, then centre crop, in pixels."""

    resize: int | tuple[int, int] | None
    """New length of the shorter side, or (height, width)."""
    crop: int | tuple[int, int] | None
    """Side of the square in the middle, or (height, width); black beyond a smaller picture."""
    interpolation: Interpolation = "bilinear"
    """How the resize blends."""
    antialias: bool = True
    """Whether the resize smooths first. Only the self-test sets it to false."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what is left."""
        sides = self.crop if self.crop is not None else self.resize
        assert sides is not None, "a card gives a crop, or both sides of the resize"
        return (sides, sides) if isinstance(sides, int) else sides

    @property
    def area(self) -> int:
        """Height times width of what is left."""
        height, width = self.size
        return height * width

    def fits(self, height: int, width: int) -> bool:
        """Return whether a picture is not so oblong that the resize would fill the memory."""
        short, long = sorted((height, width))
        return not isinstance(self.resize, int) or self.resize**2 * long // short <= MAX_PIXELS

    def __str__(self) -> str:
        resize = "no resize"
        if self.resize:
            resize = f"resize {_sides(self.resize)} {self.interpolation}"
        if not self.antialias:
            resize += " without antialias"
        crop = f"crop {_sides(self.crop)}" if self.crop else "no crop"
        return f"{resize}, {crop}"


def pixels(picture: Image, geometry: Geometry) -> torch.Tensor:
    """Return what the geometry leaves of an RGB picture.

    Returns:
        uint8 of shape (3, height, width), RGB, from 0 to 255.

    Raises:
        UnreadableError: the picture is so oblong that resizing would fill the memory.
    """
    from vision_evals.images.light_torchvision import functional

    if geometry.resize is not None:
        if not geometry.fits(*picture.size):
            raise UnreadableError(
                f"{picture.width} x {picture.height} pixels at {geometry}: resized it would have "
                f"more than {MAX_PIXELS:,} pixels; crop it"
            )
        size = [geometry.resize] if isinstance(geometry.resize, int) else [*geometry.resize]
        mode = functional.InterpolationMode(geometry.interpolation)
        if geometry.antialias:
            picture = functional.resize(picture, size, mode)
        else:  # PIL always smooths; tensors need not
            levels = functional.pil_to_tensor(picture)
            rough = functional.resize(levels, size, mode, antialias=False)
            picture = functional.to_pil_image(rough)
    if geometry.crop is not None:
        crop = [geometry.crop] if isinstance(geometry.crop, int) else [*geometry.crop]
        picture = functional.center_crop(picture, crop)
    tensor: torch.Tensor = functional.pil_to_tensor(picture)
    return tensor


def to_unit(pixels: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return uint8 pixels of any shape as fp32 in [0, 1] on the device."""
    return pixels.to(device, non_blocking=True).float().div_(255)


def _sides(size: int | tuple[int, int]) -> str:
    return str(size) if isinstance(size, int) else f"{size[0]}x{size[1]}"
