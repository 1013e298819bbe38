"""What a measure says of itself, without torch: enough to check a suite and to read a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Reference, WorstFirst

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class NumericError:
    """By how much a metric moves at most where two paths were measured to differ."""

    by: Literal["decisions", "logits"]
    """What it follows: the share of first answers that differ, or the largest gap of a logit."""
    times: float = 1.0
    """How steeply."""


BY_DECISION = NumericError("decisions")
"""Of a share that counts an image by its first answer alone."""
BY_LOSS = NumericError("logits", 2)
"""-log p = log sum exp z - z_y: where no logit moves by more than e, neither of the two does."""
BY_PROBABILITY = NumericError("logits", 0.5)
"""A probability is the sigmoid of its logit less the log-sum-exp of the others, which moves by 2 e
at most, and a sigmoid is nowhere steeper than 1/4. The largest of several moves no further."""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric as promised by a measure."""

    name: str
    about: str
    unit: str = "fraction"
    higher_is_better: bool = True
    interval: Literal["wilson", "bootstrap"] | None = None
    """How the interval is made that an expectation may ask for with ``confidence``."""
    axis: str | None = None
    """Parameter that lists the values of its axis; an expectation then says ``at``."""
    per_image: Callable[[pd.DataFrame, Any], pd.Series[float]] | None = None
    """Rows at one point of the axis, and parameters, to each image's value: the metric is their
    mean. None where it is no mean over all images, and two runs cannot be compared in pairs."""
    range: tuple[float, float] = (0.0, 1.0)
    """Values that it can take: a threshold must lie inside, or it could never fail."""
    source: str = ""
    """Paper and section, where it comes from one: the report's glossary names it."""
    numeric_error: NumericError | None = None
    """What it follows of a measured difference of two paths, so that a gate may hold across them.
    None where no bound is known: nothing measured bounds the five likeliest, a threshold on
    confidence, a share of those that were right when clean, a median, a calibration error, or what
    is inside a network."""
    counts: str | None = None
    """Which images it is a share of, counted once more by a validity check: ``image`` for all, else
    a boolean column of the rows. None where nothing recounts it."""
    refines: str | None = None
    """Metric that it is a variant of, such as after rounding: the report draws it dotted."""
    headline: Headline | None = None
    """How the card of a network leads with it; None where it does not."""


COLUMNS: Mapping[str, str] = {
    "correct1": "the likeliest class is right",
    "correct_clean": "right before any pixel moved",
    "correct": "right after the attack",
    "correct_noise": "right after noise of the same size",
    "correct_fgsm": "right after one step of the same size",
    "ever": "the attack broke the image somewhere on its path",
    "blind": "the attack met a gradient that is not finite",
    "already": "the target is a right answer",
    "confidence_clean": "probability of the target before any pixel moved",
    "confidence": "probability of the target after the attack",
    "steps": "steps that the attack took",
}
"""What validity checks take the columns of a measure for that declares them."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Parameters and metrics of a measure."""

    name: str
    about: str
    parameters: type[Table]
    metrics: tuple[MetricSpec, ...]
    labels: bool
    """Whether it means nothing without labels."""
    gradient: bool = False
    """Whether it asks the probe for the gradient with respect to the pixels."""
    images: bool = True
    """Whether it looks at images; without, a check names none."""
    subject: str | None = None
    """What it is about where it asks no classifier: ``quadratic``."""
    keys: tuple[str, ...] = ("image",)
    """What names one of its rows; rows that do not name images are joined by ``reduce``."""
    reduce: Mapping[str, Literal["sum", "min", "max"]] = field(default_factory=dict)
    """How rows of equal keys are joined over batches, by column; nothing for rows of images."""
    axis: tuple[str, str] | None = None
    """Second key column of its rows, and the parameter that lists its values."""
    class_columns: tuple[str, ...] = ()
    """Columns of its rows that hold class indices: frames and exports show the names beside them.
    Those of every labelled image, ``label`` and ``accepted``, need not be named."""
    against: bool = False
    """Whether a check may name a second image set to compare with."""
    compares: bool = False
    """Whether its metrics read the rows of the other classifiers that were asked the same."""
    iterated: bool = False
    """Whether its attack takes many steps: only then is it expected to arrive."""
    columns: tuple[str, ...] = ()
    """Columns of its rows that mean what `COLUMNS` says: validity checks that read them then guard
    this measure."""
    worst_first: WorstFirst | None = None
    """What the report says of the pictures that come first; None for a general sentence."""
    gallery: bool = False
    """Whether the report shows every image of a small set."""
    aliases: Callable[[Any], Iterable[str]] = lambda _: ()
    """Classifiers that its parameters name: a typo there is found at collection."""
    references: tuple[Reference, ...] = ()
    """Numbers from elsewhere that the report shows beside its metrics."""

    def metric(self, name: str) -> MetricSpec:
        """Return the metric of this name; KeyError if there is none."""
        return {metric.name: metric for metric in self.metrics}[name]
