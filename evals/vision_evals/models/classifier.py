"""Network, preprocessing and class names as one value, from pixels to logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vision_evals.core.errors import UserError, contained
from vision_evals.log.profiling.stages import timed
from vision_evals.models.card import Card, Input
from vision_evals.models.layout import Layout, layout_of

if TYPE_CHECKING:
    from vision_evals import log
    from vision_evals.images.geometry import Geometry
    from vision_evals.images.labels import ClassMap

_CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Classifier:
    """The network that is judged, in eval mode with frozen parameters, and how it is fed."""

    alias: str
    """Its name in ids, thresholds and colours."""
    card: Card
    """Its model card."""
    network: nn.Module
    """From normalised pixels to logits."""
    input: Input
    """Its preprocessing."""
    classes: ClassMap
    """Names of the logits, in their order."""
    fingerprint: str
    """Of everything that changes its numbers."""
    weights: str
    """Where its weights come from, without folders."""
    sha256: str | None = None
    """Of the weights' file."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Published metrics of exactly these weights and this preprocessing, as fractions."""
    training: log.Training | None = None
    """How its recipe trained it; None without a recipe."""
    answers: log.ProbeAnswers | None = None
    """To fixed inputs; None where nobody asked."""
    hidden: str | None = "nobody asked what it answers"
    """Why nobody can tell what it computes, so that nothing of it is kept; None where one can."""
    device: torch.device = _CPU
    """Where the network computes; a network may have no parameters to show it."""
    taken_off: str = ""
    """What was taken off the names in its file, in words."""
    changed: tuple[str, ...] = ()
    """Parts of its network that its answers to the fixed inputs changed: every pass of it is
    invalid."""
    layout: Layout = field(init=False)
    """Memory format of its weights and activations."""
    dtype: torch.dtype = field(init=False)
    """What its input is turned into: the type of its first weight."""
    _normalise: nn.Module = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", _dtype(self.network))
        object.__setattr__(self, "_normalise", Normalise(self.input).to(self.device))
        object.__setattr__(self, "layout", layout_of(self.network))

    @property
    def name(self) -> str:
        """Its alias, with the seed if a recipe trained it."""
        return self.alias if self.training is None else f"{self.alias}, seed {self.training.seed}"

    @property
    def parameters(self) -> int:
        """How many numbers its weights have."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def geometry(self) -> Geometry:
        """What happens to a picture before it becomes pixels in [0, 1]."""
        return self.input.geometry

    @cached_property
    def climbed(self) -> Classifier:
        """The copy on which attacks climb, which is faster to differentiate; or itself."""
        from vision_evals.models.fast_path.climbing import climbable

        copy = climbable(self.network, self.geometry.size, self.device)
        return self if copy is None else replace(self, network=copy)

    def logits(self, pixels: Tensor) -> Tensor:
        """Return logits (n, classes), differentiable with respect to the pixels.

        Args:
            pixels: floats (n, 3, height, width) in [0, 1], RGB, after resize and crop.

        Raises:
            UserError: the output is not one row of logits for each picture.
        """
        with timed("forward"), contained():
            return self.checked(self.network(self.prepared(pixels)), len(pixels))

    def prepared(self, pixels: Tensor) -> Tensor:
        """Return the network's input: normalised pixels in its memory format."""
        normalised: Tensor = self._normalise(pixels).to(self.dtype)
        if self.layout == "channels_last":
            return normalised.contiguous(memory_format=torch.channels_last)
        return normalised

    def checked(self, output: object, n: int) -> Tensor:
        """Return the network's output for n pictures as logits (n, classes).

        Raises:
            UserError: the output is not one row of logits for each picture.
        """
        shape = (n, len(self.classes))
        if not isinstance(output, Tensor) or output.shape != shape:
            raise UserError(
                f"{self.alias}: for {n} pictures the network returns "
                f"{_shape(output)}, not logits of shape {shape}; make it return one row for each "
                f"picture and one column for each of the {len(self.classes)} classes of "
                f'"{self.classes.name}" in eval mode, or name other classes in its card'
            )
        # half precision ends here: no metric is computed in it
        return output if output.dtype == torch.float64 else output.float()

    def to(self, device: torch.device | str) -> Classifier:
        """Return the classifier on a device; its network is moved, not copied."""
        device = torch.device(device)
        return replace(self, network=self.network.to(device), device=device)


def _dtype(network: nn.Module) -> torch.dtype:
    """Return the type of a network's first weight; float32 where it computes in no such type."""
    types = (weight.dtype for weight in network.parameters() if weight.is_floating_point())
    first = next(types, torch.float32)
    return first if first in {torch.float16, torch.bfloat16, torch.float64} else torch.float32


def _shape(output: object) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    if isinstance(output, tuple | list):
        return f"{type(output).__name__} of {', '.join(map(_shape, output)) or 'nothing'}"
    return f"a {type(output).__name__}"


class Normalise(nn.Module):
    """``(pixels * range - mean) / std`` in the network's order of channels.

    The same operations as torchvision's ``Normalize``, so that the numbers are equal bit for bit.
    Differentiable with respect to pixels. bfloat16 and float16 pixels are promoted to float32.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, input: Input) -> None:  # noqa: A002 - the key of the card
        super().__init__()
        self.range = input.range
        self.bgr = input.channels == "bgr"
        self.register_buffer("mean", torch.tensor(input.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(input.std).view(3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return floats (n, 3, height, width) from pixels of that shape in [0, 1], RGB."""
        pixels = pixels.to(torch.promote_types(pixels.dtype, self.mean.dtype))
        if self.bgr:
            pixels = pixels.flip(1)
        if self.range != 1:
            pixels = pixels * self.range
        centred = pixels - self.mean
        # in place unless a gradient needs it: one copy of the pixels less
        return centred / self.std if centred.requires_grad else centred.div_(self.std)
