"""What every measure is: a map from images to rows, and pure functions of the rows."""

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
"""Of one batch: name to (n, ...), or with an axis (n, axis, ...). Of a measure whose rows name no
images: every key and every column of its ``reduce``, each (rows,)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose rows they are, and how to summarise them."""

    alias: str
    classes: ClassMap | None
    """Of the classifier; None for a measure that asks none."""
    seed: int
    images: int = 0
    """How many images were looked at."""
    confidence: float = CONFIDENCE
    role: str = "images"
    """What the check calls its images."""
    against: pd.DataFrame | None = None
    """Rows of the second image set, for checks that compare."""
    against_role: str = "against"
    """What the check calls that one."""
    others: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Rows of the other classifiers with the same classes that were asked the same, by alias; for
    measures that say ``compares``."""


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
    plot: Plot | None = None
    """What the network says of it along an axis."""


def _looks_at_none(*_: Any) -> Any:
    raise AssertionError("a measure that looks at images says how")


@dataclass(frozen=True, kw_only=True)
class Measure(Spec):
    """A measure. Its module imports torch only inside these functions.

    One that looks at images has ``observe``, and ``badness`` and ``explain`` where its rows name
    images; one that does not has ``tabulate``.
    """

    summarise: Callable[[pd.DataFrame, Any, Subject], tuple[Metric, ...]]
    """All rows to every metric of the spec."""
    observe: Callable[[Probe, Any], Columns] = _looks_at_none
    """One batch to columns (n, ...), left on the device: no synchronisation inside a batch.

    Raises:
        NotApplicableError: the question does not apply to this network.
        InvalidError: the answer would be wrong for this network.
    """
    tabulate: Callable[[Classifier | None, Any], pd.DataFrame] = _looks_at_none
    """Classifier (none for a measure with a ``subject``) and parameters to rows."""
    badness: Callable[[pd.DataFrame], pd.Series[float]] | None = None
    """Rows to a number an image: the worst are shown first. None where there are no pictures."""
    explain: Callable[[Probe, pd.DataFrame, Any], tuple[Drawing, ...]] = _looks_at_none
    """A few images and their rows to pictures."""
    forwards: Callable[[Any], int] = lambda _: 1
    """Parameters to how often each image is looked at without a gradient: it decides which ways of
    computing are repaid."""
    attack: Callable[[Any], Attack] | None = None
    """Parameters to what moves the pixels, for measures that attack: validity checks ask it, too.
    """
    prepare: Callable[[ImageSet, ClassMap, str, Any], None] = lambda *_: None
    """Image set, classes, alias, parameters: raises UserError for what rows could not show."""
    vouch: Callable[[nn.Module, pd.DataFrame], tuple[Validity, ...]] = lambda *_: ()
    """Network and rows to evidence that the rows show what they claim."""
    plots: Callable[[pd.DataFrame, Any, Subject], tuple[Plot, ...]] = lambda *_: ()
    """All rows to what the report draws beside the numbers."""
