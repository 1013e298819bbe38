"""Plots and pictures of the report."""

from __future__ import annotations

from typing import Literal

from vision_evals.log.record import Record


class Line(Record):
    """One line of a plot."""

    name: str
    """What it is: ``validation loss``, ``airliner``."""
    seed: int | None = None
    """Of a recipe: the seed of its training."""
    x: tuple[float, ...]
    """In rising order."""
    y: tuple[float | None, ...]
    """As many as ``x``; null where there is none."""
    low: tuple[float | None, ...] = ()
    """Lower ends of intervals, as many as ``x``, or none at all."""
    high: tuple[float | None, ...] = ()
    """Upper ends of intervals, as many as ``low``."""
    n: tuple[int, ...] = ()
    """How many observations each ``y`` rests on, as many as ``x``, or none at all."""
    steps: bool = False
    """Whether each ``y`` extends from its ``x`` to the next, as in a histogram; the last ``x`` ends
    the line, and its ``y`` is null."""
    reference: bool = False
    """Whether it is not measured: a line to compare the others with, such as a bound."""

    @property
    def full(self) -> str:
        """Its name with its seed: ``seed 3 validation loss``."""
        return self.name if self.seed is None else f"seed {self.seed} {self.name}".strip()


class Mark(Record):
    """A marked place on the x axis."""

    x: float
    """Where on the axis."""
    label: str
    """Such as ``weights returned`` or ``crossing``."""


class Plot(Record):
    """Lines over one axis, drawn by the report as they stand here."""

    title: str
    """What is drawn: plots of several classifiers with one title share a frame."""
    about: str = ""
    """How to read it, in a sentence."""
    x_label: str
    """Quantity and unit of the x axis."""
    y_label: str
    """Quantity and unit of the y axis."""
    lines: tuple[Line, ...]
    """Drawn in this order."""
    ticks: tuple[str, ...] = ()
    """Names of x = 0, 1, 2, ... where these count things, such as layers."""
    marks: tuple[Mark, ...] = ()
    """Upright lines with a word."""
    share: bool = False
    """Whether y is a share, drawn from 0 to 1."""


class Panel(Record):
    """One of the parts of a picture that stand side by side, all of one width."""

    title: str
    """What it is: ``image``, ``perturbation x 36``, ``adversarial at 2/255``."""
    answer: str | None = None
    """The class that the network finds likeliest."""
    confidence: float | None = None
    """Its probability; null where that is not finite."""
    note: str = ""
    """A further remark."""
    original: bool = False
    """Whether it is the image before any change; the last panel is the image after it."""

    @property
    def heading(self) -> str:
        """The title, with the answer where there is a note below: ``eval mode: gibbon 0.99``."""
        return f"{self.title}: {self.answered}" if self.note and self.answer else self.title

    @property
    def subtitle(self) -> str:
        """The text below the title: ``gibbon 0.99``, or the note."""
        return self.note or self.answered

    @property
    def answered(self) -> str:
        """The answer in words; empty without one."""
        if self.answer is None:
            return ""
        return f"{self.answer} {'nan' if self.confidence is None else f'{self.confidence:.2f}'}"


class WorstFirst(Record):
    """Why a measure puts some pictures first."""

    word: str = "worst"
    """What they are called: ``worst``, ``most confident``."""
    meaning: str
    """Which they are, in a sentence."""


class Picture(Record):
    """One picture that the report shows."""

    image: str
    """Id of the image in its set."""
    file: str
    """Path below the run directory: ``pictures/...webp``."""
    sample: Literal["worst", "fair"]
    """Why it was picked: among the worst, or by hash of id."""
    caption: str
    """Label and prediction, for the alt text."""
    panels: tuple[Panel, ...] = ()
    """From left to right, where there are several."""
    plot: Plot | None = None
    """The network's answers along an axis, such as the logits over epsilon."""
