"""Two runs side by side: what changed in each check, and the images that flipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_evals.log import Baseline, Change, Comparison, Flip, Item, Run, Seen
from vision_evals.report import picture_budget, rounding, words
from vision_evals.report.addresses import Addresses
from vision_evals.report.checks import metric_of
from vision_evals.report.picture_budget import Shown, Wanted

NO_PAIRS = "not a mean over images, so the difference has no interval"
"""Why a change has none."""

MAX_OPEN_CHANGES = 6
"""Changes of a check that stand in the open; those of a longer axis are folded."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A metric then and now."""

    metric: str
    at: str | None
    before: str
    now: str
    difference: str
    interval: str | None
    reason: str | None
    """Why there is no interval."""
    n: str
    tone: str
    """``worse`` or ``better`` where the interval leaves no doubt, else ``open``."""


@dataclass(frozen=True, slots=True)
class FlippedImage:
    """An image that flipped."""

    image: str
    label: str
    before: str
    now: str
    shown: Shown | None

    @property
    def alt(self) -> str:
        """What is seen and predicted."""
        return f"{self.label or self.image}, seen as {self.before} before and {self.now} now"


@dataclass(frozen=True, slots=True)
class FlippedImages:
    """The images of a check that changed flipped."""

    measured: str
    rate: str
    lost: tuple[FlippedImage, ...]
    won: tuple[FlippedImage, ...]


@dataclass(frozen=True, slots=True)
class ComparedCheck:
    """One check next to that of the other run."""

    item: Item
    colour: str
    comparison: Comparison
    shifts: tuple[Shift, ...]
    folded: tuple[Shift, ...]
    flipped: FlippedImages | None


@dataclass(frozen=True, slots=True)
class Compared:
    """All of them."""

    baseline: Baseline
    date: str
    gates: str | None
    entries: tuple[ComparedCheck, ...]
    headline: str
    """How many images turned wrong, without a full stop."""
    without_picture: int
    """Flips that are shown without their picture, to keep the page small."""


def compared(
    run: Run, colours: Mapping[str, str], directory: Path, addresses: Addresses
) -> Compared | None:
    """Return what changed since the run that this one is held against; None without one."""
    items = [item for item in run.items if item.comparison is not None]
    if run.baseline is None or not items:
        return None
    wanted = [(flip, wish) for item in items for flip, wish in _wanted(item)]
    selection = picture_budget.select(
        [wish for _, wish in wanted], directory, addresses, picture_budget.MAX_FLIP_BYTES
    )
    pictures = {flip: selection.shown[wish] for flip, wish in wanted if wish in selection.shown}
    entries = tuple(_compared_check(item, colours[item.classifier], pictures) for item in items)
    return Compared(
        baseline=run.baseline,
        date=words.date(run.baseline.started),
        gates=gates(run),
        entries=entries,
        headline=_headline(entries),
        without_picture=sum(wish in selection.left_out for _, wish in wanted),
    )


def _headline(entries: Sequence[ComparedCheck]) -> str:
    """Return the count of the one check, or the largest of several: they share their images."""
    flips = [entry.comparison.flips for entry in entries]
    worse = [counted.worse for counted in flips if counted is not None]
    if not worse:
        return "No check knows which answers were right"
    if not any(worse):
        return "No image turned wrong"
    images = words.plural(max(worse), "image")
    return f"{images} turned wrong" if len(worse) == 1 else f"In one check {images} turned wrong"


def gates(run: Run) -> str | None:
    """Return how many paired gates were held, and how many false alarms to expect of them."""
    if not run.gates:
        return None
    written = sum(suite.gates for suite in run.suites)
    familywise = " Gates of a familywise suite share one error rate for each classifier."
    shared = any(suite.familywise for suite in run.suites)
    gates = words.plural(len(run.gates), "paired gate")
    return (
        f"{gates} applied, of {written} written in the suites. If every network had lost exactly "
        f"what its gate allows, {run.false_alarms:.3g} of them would fail by chance "
        "in a run like this, and far fewer if no network had lost anything."
        + (familywise if shared else "")
    )


def _wanted(item: Item) -> Iterator[tuple[Flip, Wanted]]:
    """Yield the images that turned wrong, and those that turned right, which give way to them."""
    flips = item.comparison.flips if item.comparison is not None else None
    if flips is not None:
        for flip in (*flips.lost, *flips.won):
            if flip.file is not None:
                yield flip, Wanted(flip.file, flip.image, item.id, fair=flip not in flips.lost)


def _compared_check(item: Item, colour: str, pictures: Mapping[Flip, Shown]) -> ComparedCheck:
    comparison = item.comparison
    assert comparison is not None
    shifts = tuple(shift(change, item) for change in comparison.changes)
    judged = {(j.metric, j.at) for j in item.judgements}
    # of many: what is judged, and what the interval leaves no doubt of
    open_shifts = tuple(
        shift
        for shift in shifts
        if len(shifts) <= MAX_OPEN_CHANGES
        or (shift.metric, shift.at) in judged
        or shift.tone != "open"
    )
    return ComparedCheck(
        item=item,
        colour=colour,
        comparison=comparison,
        shifts=open_shifts,
        folded=tuple(shift for shift in shifts if shift not in open_shifts),
        flipped=_flipped(comparison, pictures),
    )


def _flipped(comparison: Comparison, pictures: Mapping[Flip, Shown]) -> FlippedImages | None:
    flips = comparison.flips
    if flips is None:
        return None
    return FlippedImages(
        measured=words.with_point(flips.metric, flips.at),
        rate=f"{rounding.fixed(100 * flips.worse / max(flips.n, 1), 1)} %",
        lost=tuple(_flipped_image(flip, pictures) for flip in flips.lost),
        won=tuple(_flipped_image(flip, pictures) for flip in flips.won),
    )


def _flipped_image(flip: Flip, pictures: Mapping[Flip, Shown]) -> FlippedImage:
    return FlippedImage(
        image=flip.image,
        label=flip.label,
        before=answer_text(flip.before),
        now=answer_text(flip.now),
        shown=pictures.get(flip),
    )


def answer_text(answer: Seen) -> str:
    """Return what a network saw, and how sure it was."""
    if answer.confidence is None:
        return answer.name
    return f"{answer.name} {rounding.share(answer.confidence)}"


def shift(change: Change, item: Item) -> Shift:
    """Return a change of a metric of the item in words."""
    metric = metric_of(change, item)
    assert metric is not None, "changes are logged for metrics that both runs have"
    places = rounding.places(metric)
    paired, difference, ends = change.paired, "", None
    if paired is not None:
        digits = rounding.decimals(paired.low, paired.high) or places
        difference = rounding.signed(paired.difference, digits)
        low, high = (rounding.signed(end, digits) for end in (paired.low, paired.high))
        ends = f"{low} to {high}, {rounding.written(paired.confidence, in_percent=True)}"
    elif change.before is not None and change.now is not None:
        difference = rounding.signed(change.now - change.before, places)
    return Shift(
        metric=change.metric,
        at=change.at,
        before=_number(change.before, places),
        now=_number(change.now, places),
        difference=difference,
        interval=ends,
        reason=NO_PAIRS if paired is None and difference else None,
        n=rounding.count(paired.n if paired is not None else metric.n),
        tone=_tone(change, higher_is_better=metric.higher_is_better),
    )


def _tone(change: Change, *, higher_is_better: bool) -> str:
    paired = change.paired
    if paired is None or paired.low <= 0 <= paired.high:
        return "open"
    return "better" if (paired.low > 0) == higher_is_better else "worse"


def _number(value: float | None, places: int) -> str:
    return "none" if value is None else rounding.fixed(value, places)
