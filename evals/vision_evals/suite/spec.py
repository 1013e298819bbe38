"""What a measure declares, without torch: enough to check a suite and to read a table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Reference, WorstFirst
from vision_evals.log.rows import RowPlan

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class NumericError:
    """A bound on how far a metric moves where two paths were measured to differ."""

    by: Literal["decisions", "logits"]
    """What it is proportional to: the share of top-1 decisions that differ, or the largest
    difference of a logit."""
    times: float = 1.0
    """The factor."""


BY_DECISION = NumericError("decisions")
"""For a share that counts an image by its top-1 decision alone."""
BY_LOSS = NumericError("logits", 2)
"""-log p = log sum exp z - z_y: where no logit moves by more than e, neither of the two does."""
BY_PROBABILITY = NumericError("logits", 0.5)
"""A probability is the sigmoid of its logit less the log-sum-exp of the others, which moves by 2 e
at most, and a sigmoid is nowhere steeper than 1/4. The largest of several moves no further."""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric as declared by a measure."""

    name: str
    about: str
    unit: str = "fraction"
    higher_is_better: bool = True
    interval: Literal["wilson", "bootstrap"] | None = None
    """How the interval is made that an expectation with ``confidence`` uses."""
    axis: str | None = None
    """Parameter that lists the values of its axis; an expectation then says ``at``."""
    per_image: Callable[[pd.DataFrame, Any], pd.Series[float]] | None = None
    """Rows at one point of the axis, and parameters, to each image's value: the metric is their
    mean. None where it is not a mean over all images, and two runs cannot be compared in pairs."""
    range: tuple[float, float] = (0.0, 1.0)
    """Values that it can take: a threshold must be inside, or it could never fail."""
    source: str = ""
    """Paper and section, for the glossary of the report."""
    numeric_error: NumericError | None = None
    """Its bound where two paths differ, so that a gate can be decided across them.
    None where no bound is known: nothing measured bounds the five likeliest, a threshold on
    confidence, a share of those that were right when clean, a median, a calibration error, or what
    is inside a network."""
    needs: str | None = None
    """Key of the check without which it has no value, such as ``against``: an expectation of it
    would hold nothing."""
    counts: str | None = None
    """Which images it is a share of, counted once more by a validity check: ``image`` for all, else
    a boolean column of the rows. None where nothing recounts it."""
    refines: str | None = None
    """Metric that it is a variant of, such as after rounding: the report draws it dotted."""
    headline: Headline | None = None
    """How the card of a network shows it; None where it does not."""


COLUMNS: Mapping[str, str] = {
    "correct1": "the likeliest class is right",
    "correct_clean": "right before any pixel moved",
    "correct": "right after the attack",
    "correct_noise": "right after noise of the same size",
    "correct_fgsm": "right after one step of the same size",
    "broken_at": "radius of the ball whose point breaks the image: this one's or a smaller one's; "
    "-1 where it stands",
    "ever": "the attack broke the image somewhere on its path",
    "blind": "the attack met a gradient that is not finite",
    "already": "the target is a right answer",
    "confidence_clean": "probability of the target before any pixel moved",
    "confidence": "probability of the target after the attack",
    "steps": "steps that the attack took",
}
"""Meaning of columns that a measure may declare for validity checks."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Parameters and metrics of a measure."""

    name: str
    about: str
    parameters: type[Table]
    metrics: tuple[MetricSpec, ...]
    labels: bool
    """Whether it needs labels."""
    gradient: bool = False
    """Whether it needs the gradient with respect to the pixels."""
    images: bool = True
    """Whether it uses images; else a check names none."""
    subject: str | None = None
    """Its subject where it uses no classifier: ``quadratic``."""
    keys: tuple[str, ...] = ("image",)
    """Columns that identify a row; rows that do not identify images are joined by ``reduce``."""
    reduce: Mapping[str, Literal["sum", "min", "max"]] = field(default_factory=dict)
    """How rows of equal keys are joined over batches, by column; empty for rows of images."""
    axis: tuple[str, str] | None = None
    """Second key column of its rows, and the parameter that lists its values."""
    class_columns: tuple[str, ...] = ()
    """Columns of its rows that hold class indices: frames and exports add the names.
    Those of every labelled image, ``label`` and ``accepted``, need not be named."""
    against: bool = False
    """Whether a check may name a second image set to compare with."""
    compares: bool = False
    """Whether its metrics read the rows of the other classifiers of the same check."""
    iterated: bool = False
    """Whether its attack takes many steps: only then must it converge."""
    columns: tuple[str, ...] = ()
    """Columns of its rows with the meaning of `COLUMNS`: validity checks that read them then guard
    this measure."""
    worst_first: WorstFirst | None = None
    """How the report describes the pictures that come first; None for a general sentence."""
    gallery: bool = False
    """Whether the report shows every image of a small set."""
    aliases: Callable[[Any], Iterable[str]] = lambda _: ()
    """Classifiers that its parameters name, so that a typo is found at collection."""
    references: tuple[Reference, ...] = ()
    """Published numbers that the report shows next to its metrics."""

    @property
    def row_keys(self) -> tuple[str, ...]:
        """Columns that identify a row, that of the axis included."""
        return self.keys if self.axis is None else (*self.keys, self.axis[0])

    def values(self, parameters: Any) -> tuple[str, ...] | None:
        """Return the values of its axis as the suite wrote them; None without an axis."""
        return None if self.axis is None else tuple(map(str, getattr(parameters, self.axis[1])))

    def plan(self, parameters: Any, images: Collection[str] | None, classes: int | None) -> RowPlan:
        """Return what a table of its rows must hold.

        Args:
            parameters: of the check.
            images: ids of those that were measured; None for rows that name none.
            classes: how many the classifier has; None where it is unknown.
        """
        columns = (*self.columns, *self.class_columns)
        own = ("label", "accepted", *self.class_columns)
        if images is None or self.reduce:
            return RowPlan(self.row_keys, columns=columns, class_columns=own, classes=classes)
        return RowPlan(self.row_keys, images, self.values(parameters), columns, own, classes)

    def metric(self, name: str) -> MetricSpec:
        """Return the metric of this name; KeyError if there is none."""
        return {metric.name: metric for metric in self.metrics}[name]
