"""What a measure is: a function from images to rows, and pure functions of the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from vision_evals.log import Metric, Panel, Plot, Validity
from vision_evals.measures.intervals import CONFIDENCE
from vision_evals.suite.spec import Spec

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from vision_evals.attacks.attack import Attack
    from vision_evals.images.image_set import ImageSet
    from vision_evals.images.labels import ClassMap
    from vision_evals.measures.probe import Probe
    from vision_evals.models.classifier import Classifier


Columns: TypeAlias = "Mapping[str, torch.Tensor | NDArray[Any]]"
"""Columns of one batch by name: (n, ...), or with an axis (n, axis, ...). Where rows do not name
images: every key and every column of the measure's ``reduce``, each (rows,). A column `MOVED` is no
part of the rows: (n, 3, H, W), the point of each image that its picture shows (`Probe.moved`)."""

MOVED = "moved pixels"


@dataclass(frozen=True, slots=True)
class Subject:
    """What the rows belong to, and how to summarise them."""

    alias: str
    classes: ClassMap | None
    """Of the classifier; None for a measure without a classifier."""
    seed: int
    images: int = 0
    """Number of images."""
    confidence: float = CONFIDENCE
    role: str = "images"
    """Name of the image set in the check."""
    against: pd.DataFrame | None = None
    """Rows of the second image set, for checks that compare."""
    against_role: str = "against"
    """Name of the second image set in the check."""
    others: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """By alias the rows of the other classifiers of this check with the same classes; for measures
    with ``compares``."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture for the report, still in memory."""

    image: str
    """Id of the image."""
    pixels: torch.Tensor
    """(3, H, W) in [0, 1], RGB; panels are side by side."""
    caption: str
    """What the picture shows."""
    panels: tuple[Panel, ...] = ()
    """From left to right, all equally wide."""
    adversarial: torch.Tensor | None = None
    """(3, H, W) in [0, 1], the adversarial image, if any."""
    plot: Plot | None = None
    """The network's outputs along an axis."""


def _not_implemented(*_: Any) -> Any:
    raise AssertionError("a measure defines `observe` (images) or `tabulate` (no images)")


@dataclass(frozen=True, kw_only=True)
class Measure(Spec):
    """A measure. Its module imports torch only inside these functions.

    A measure on images has ``observe``, and ``badness`` and ``explain`` where its rows name images;
    a measure without images has ``tabulate``.
    """

    summarise: Callable[[pd.DataFrame, Any, Subject], tuple[Metric, ...]]
    """All rows to every metric of the spec."""
    observe: Callable[[Probe, Any], Columns] = _not_implemented
    """One batch to columns (n, ...) that stay on the device: no synchronisation inside a batch.

    Raises:
        NotApplicableError: the measure does not apply to this network.
        InvalidError: the numbers would be wrong for this network.
    """
    tabulate: Callable[[Classifier | None, Any], pd.DataFrame] = _not_implemented
    """Classifier (None for a measure with a ``subject``) and parameters to rows."""
    badness: Callable[[pd.DataFrame], pd.Series[float]] | None = None
    """Rows to a number per image: the report shows the largest first. None without pictures."""
    explain: Callable[[Probe, pd.DataFrame, Any], tuple[Drawing, ...]] = _not_implemented
    """A few images and their rows to pictures."""
    forwards: Callable[[Any], int] = lambda _: 1
    """Parameters to the number of forwards of each image without a gradient: it decides which fast
    paths are worth their calibration."""
    attack: Callable[[Any], Attack] | None = None
    """Parameters to the attack, for measures that attack: validity checks run it, too."""
    prepare: Callable[[ImageSet, ClassMap, str, Any], None] = lambda *_: None
    """Image set, classes, alias, parameters: raises UserError before anything is measured."""
    vouch: Callable[[nn.Module, pd.DataFrame], tuple[Validity, ...]] = lambda *_: ()
    """Network and rows to the measure's own validity checks."""
    plots: Callable[[pd.DataFrame, Any, Subject], tuple[Plot, ...]] = lambda *_: ()
    """All rows to what the report draws next to the numbers."""
