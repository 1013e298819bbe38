"""Two runs side by side, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from vision_evals.log.record import Record


class Paired(Record):
    """The difference of a metric on the same images: this run less the one it is compared with."""

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
    """A threshold that another network sets, held against the paired difference."""

    of: str
    """``baseline``, or the alias of a classifier of this run."""
    margin: float
    """The difference that just passes, in the metric's unit: -0.01 allows a drop of one point."""
    paired: Paired
    """What was found."""
    needed: int | None = None
    """Of an inconclusive gate: how many images in all give it a power of 80 %."""


class Seen(Record):
    """What a network says of an image."""

    name: str
    """Likeliest class."""
    confidence: float | None = None
    """Its probability; null where the rows do not hold it."""


class Flip(Record):
    """An image that one network names rightly and the other does not."""

    image: str
    """Its id."""
    label: str
    """A right answer."""
    before: Seen
    """What the run compared with says."""
    now: Seen
    """What this run says."""
    file: str | None = None
    """Thumbnail, below the run directory; null where the picture was not at hand."""


class Flips(Record):
    """Images on which two networks are not both right or both wrong."""

    metric: str
    """Right by this metric."""
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
    """A metric then and now."""

    metric: str
    """Its name."""
    at: str | None = None
    """Value of its axis."""
    before: float | None
    """In the run compared with."""
    now: float | None
    """In this run."""
    paired: Paired | None = None
    """On the same images; null where the metric is no mean over images."""


class PathSide(Record):
    """One side of a step in which two paths differ."""

    words: str
    """How it was computed there: ``bf16, folded on cuda (channels_last)``."""
    n: int | None = None
    """Decisions that were held against the plain path's; 0 where none were, null where it is the
    plain path."""
    changed: int = 0
    """Of those, how many differed."""
    logit_error: float | None = None
    """Largest difference of a logit; null where it was not measured."""

    @property
    def sentence(self) -> str:
        """The words, with what was measured."""
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
    """Return in which steps two paths differ, with what was measured of each."""
    said = (f"{p.step}: {p.before.sentence} there, {p.now.sentence} here" for p in paths)
    return f"computed on different paths, {'; '.join(said)}"


class Comparison(Record):
    """An item beside the same item of another run."""

    run: str
    """Id of the run compared with."""
    alias: str
    """Its classifier there."""
    refused: str | None = None
    """Why the two cannot be compared: what differs."""
    differs: tuple[str, ...] = ()
    """What is not equal beside the network, though the images are: no gate holds across it."""
    paths: tuple[PathDifference, ...] = ()
    """By which paths the two were computed where those differ, and how far each was measured to be
    from the plain one; gates hold across it whose margin is larger."""
    changes: tuple[Change, ...] = ()
    """One for each metric that both have."""
    flips: Flips | None = None
    """Of what the check is first about; null where its rows do not say who was right."""

    @property
    def different_paths(self) -> str | None:
        """What differs in the paths, in a sentence without a full stop; None where nothing does."""
        return path_sentence(self.paths) if self.paths else None
