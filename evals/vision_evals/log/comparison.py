"""Two runs side by side, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from vision_evals.log.record import Record


class Paired(Record):
    """The difference of a metric on the same images: this run minus the run compared with."""

    n: int
    """Images that both saw."""
    difference: float
    """In the metric's unit."""
    low: float
    """Lower end of its interval."""
    high: float
    """Upper end of its interval."""
    confidence: float
    """Two-sided confidence of the interval."""
    method: str
    """How the interval was made: ``score`` (Tango 1998), ``paired t``, ``bootstrap``."""
    worse: int | None = None
    """Of a share: images right before and wrong now; null for means."""
    better: int | None = None
    """Of a share: images wrong before and right now; null for means."""
    p_value: float | None = None
    """Of a share: exact McNemar test, one-sided, that it got worse; null for means."""


class Gate(Record):
    """A threshold set by another network, compared with the paired difference."""

    of: str
    """``baseline``, or the alias of a classifier of this run."""
    margin: float
    """The difference that just passes, in the metric's unit: -0.01 allows a drop of one point."""
    paired: Paired
    """The difference that was measured."""
    needed: int | None = None
    """Of an inconclusive gate: how many images in total give it a power of 80 %."""


class Seen(Record):
    """The answer of a network for an image."""

    name: str
    """Likeliest class."""
    confidence: float | None = None
    """Its probability; null where the rows do not hold it."""


class Flip(Record):
    """An image that exactly one of two networks classifies correctly."""

    image: str
    """Its id."""
    label: str
    """A right answer."""
    before: Seen
    """The answer in the run compared with."""
    now: Seen
    """The answer in this run."""
    file: str | None = None
    """Thumbnail, below the run directory; null where the picture was not available."""


class Flips(Record):
    """Images on which exactly one of two networks is right."""

    metric: str
    """Metric that decides what is right."""
    at: str | None = None
    """Value of its axis."""
    n: int
    """Images that both saw."""
    worse: int
    """Right before and wrong now: over ``n`` it is the negative flip rate (Yan et al. 2021)."""
    better: int
    """Wrong before and right now."""
    lost: tuple[Flip, ...] = ()
    """Of the worse, those that are now wrong with the highest confidence."""
    won: tuple[Flip, ...] = ()
    """Of the better, those that are now right with the highest confidence."""


class Change(Record):
    """A metric in two runs."""

    metric: str
    """Its name."""
    at: str | None = None
    """Value of its axis."""
    before: float | None
    """In the run compared with."""
    now: float | None
    """In this run."""
    paired: Paired | None = None
    """On the same images; null where the metric is not a mean over images."""


class PathSide(Record):
    """One side of a step in which two paths differ."""

    words: str
    """How it was computed there: ``bf16, folded on cuda (channels_last)``."""
    n: int | None = None
    """Decisions that were compared with the plain path's; 0 where none were, null where this is the
    plain path."""
    changed: int = 0
    """Of those, how many differed."""
    logit_error: float | None = None
    """Largest difference of a logit; null where it was not measured."""

    @property
    def sentence(self) -> str:
        """The words, and the measured differences."""
        if self.n is None:
            return self.words
        if not self.n:
            return f"{self.words} (not measured)"
        by = "" if self.logit_error is None else f", logits by up to {self.logit_error:.2g}"
        return f"{self.words} ({self.changed:,} of {self.n:,} decisions changed{by})"


class PathDifference(Record):
    """A step from picture to logits in which two runs differ."""

    step: Literal["decoder", "device", "forwards"]
    """Which."""
    before: PathSide
    """In the run compared with."""
    now: PathSide
    """In this run."""


def path_sentence(paths: Sequence[PathDifference]) -> str:
    """Return in which steps two paths differ, and the measured differences of each."""
    steps = (f"{p.step}: {p.before.sentence} there, {p.now.sentence} here" for p in paths)
    return f"computed on different paths, {'; '.join(steps)}"


class Comparison(Record):
    """An item compared with the same item of another run."""

    run: str
    """Id of the run compared with."""
    alias: str
    """Its classifier there."""
    refused: str | None = None
    """Why the two cannot be compared: what differs."""
    differs: tuple[str, ...] = ()
    """What differs besides the network, on the same images: no gate can be decided across it."""
    paths: tuple[PathDifference, ...] = ()
    """Where the two were computed on different paths, and the measured error of each against the
    plain path; only gates with a larger margin can be decided across it."""
    changes: tuple[Change, ...] = ()
    """One for each metric of both."""
    flips: Flips | None = None
    """Of the first metric of the check; null where its rows do not say which answers are right."""

    @property
    def different_paths(self) -> str | None:
        """How the paths differ, in a sentence without a full stop; None where they do not."""
        return path_sentence(self.paths) if self.paths else None
