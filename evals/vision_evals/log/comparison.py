"""Two runs side by side, image by image."""

from __future__ import annotations

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
    paths: str | None = None
    """By which paths the two were computed where those differ, and how far each was measured to be
    from the plain one; gates hold across it whose margin is larger. Null where they are one."""
    changes: tuple[Change, ...] = ()
    """One for each metric that both have."""
    flips: Flips | None = None
    """Of what the check is first about; null where its rows do not say who was right."""
