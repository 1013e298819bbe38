"""What every measure is: a map from images to rows, and pure functions of the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from evals.log import Metric, Panel
from evals.spec import Spec

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from evals.images.image_set import ImageSet
    from evals.images.labels import ClassMap
    from evals.probe import Probe


Columns: TypeAlias = "Mapping[str, torch.Tensor]"
"""Of one batch: name to (n, ...), or with an axis (n, axis, ...)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose rows they are, and how to summarise them."""

    alias: str
    classes: ClassMap
    seed: int
    confidence: float = 0.95
    against: pd.DataFrame | None = None
    """Rows of the second image set, for checks that compare."""
    others: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Rows of the other classifiers with the same classes that were asked the same, by alias."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture for the report, still in memory."""

    image: str
    """Id of the image."""
    pixels: torch.Tensor
    """(3, H, W) in [0, 1], RGB; panels stand side by side."""
    caption: str
    """What is seen, in words."""
    panels: tuple[Panel, ...] = ()
    """From left to right, all of one width."""
    adversarial: torch.Tensor | None = None
    """(3, H, W) in [0, 1], where there is one to keep."""


@dataclass(frozen=True, kw_only=True)
class Measure(Spec):
    """A measure. Its module imports torch only inside these functions."""

    observe: Callable[[Probe, Any], Columns]
    """One batch to columns (n, ...), left on the device: no synchronisation inside a batch."""
    summarise: Callable[[pd.DataFrame, Any, Subject], tuple[Metric, ...]]
    """All rows to every metric of the spec."""
    badness: Callable[[pd.DataFrame], pd.Series[float]]
    """Rows to a number an image: the worst are shown first."""
    explain: Callable[[Probe, pd.DataFrame, Any], tuple[Drawing, ...]]
    """A few images and their rows to pictures."""
    prepare: Callable[[ImageSet, ClassMap, str, Any], None] = lambda *_: None
    """Image set, classes, alias, parameters: raises UserError for what rows could not show."""
