"""Network, preprocessing and class names as one value that takes pixels and gives logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vision_evals.core.errors import UserError
from vision_evals.log.profiling.stages import timed
from vision_evals.models.card import Card, Input
from vision_evals.models.layout import Layout, layout_of
from vision_evals.models.normalise import Normalise

if TYPE_CHECKING:
    from vision_evals import log
    from vision_evals.images.geometry import Geometry
    from vision_evals.images.labels import ClassMap

_CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False, slots=True)
class Classifier:
    """What is judged. The network is in eval mode and every parameter is frozen."""

    alias: str
    """Its name in ids, thresholds and colours."""
    card: Card
    """What it was built from."""
    network: nn.Module
    """Takes normalised pixels."""
    input: Input
    """The preprocessing that is in force."""
    classes: ClassMap
    """Names of the logits, in their order."""
    fingerprint: str
    """Of everything that changes its numbers."""
    weights: str
    """Where they came from, without folders."""
    sha256: str | None = None
    """Of the weights' file."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Published metrics of exactly these weights and this preprocessing, as fractions."""
    training: log.Training | None = None
    """How it was trained here; None for a network that came trained."""
    device: torch.device = _CPU
    """Where the network computes. It is stated, because a network may have no parameters."""
    layout: Layout = field(init=False)
    """How its weights lie in memory, and so its activations."""
    _normalise: nn.Module = field(init=False, repr=False)

    def __post_init__(self) -> None:
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

    def logits(self, pixels: Tensor) -> Tensor:
        """Return logits (n, classes), differentiable with respect to the pixels.

        Args:
            pixels: floats (n, 3, height, width) in [0, 1], RGB, after resize and crop.

        Raises:
            UserError: the network returns anything else than one row of logits for each picture.
        """
        with timed("forward"):
            return self.checked(self.network(self.prepared(pixels)), len(pixels))

    def prepared(self, pixels: Tensor) -> Tensor:
        """Return what the bare network takes: pixels normalised, in its layout."""
        normalised: Tensor = self._normalise(pixels)
        if self.layout == "channels_last":
            return normalised.contiguous(memory_format=torch.channels_last)
        return normalised

    def checked(self, output: object, n: int) -> Tensor:
        """Return what the bare network said of n pictures as logits (n, classes).

        Raises:
            UserError: it is anything else than one row of logits for each picture.
        """
        wanted = (n, len(self.classes))
        if not isinstance(output, Tensor) or output.shape != wanted:
            raise UserError(
                f"{self.alias}: for {n} pictures the network returns "
                f"{_shape(output)}, not logits of shape {wanted}; make it return one row for each "
                f"picture and one column for each of the {len(self.classes)} classes of "
                f'"{self.classes.name}" in eval mode, or name other classes in its card'
            )
        # bf16 ends here: no metric is computed in it
        return output if output.dtype == torch.float64 else output.float()

    def to(self, device: torch.device | str) -> Classifier:
        """Return the classifier on a device; its network is moved, not copied."""
        device = torch.device(device)
        return replace(self, network=self.network.to(device), device=device)


def _shape(output: object) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    if isinstance(output, tuple | list):
        return f"{type(output).__name__} of {', '.join(map(_shape, output)) or 'nothing'}"
    return f"a {type(output).__name__}"
