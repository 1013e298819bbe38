"""Two runs side by side: what changed in each check, and the images that flipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_evals.log import Baseline, Change, Comparison, Flip, Item, Run, Seen
from vision_evals.report import picture_budget, rounding, words
from vision_evals.report.addresses import Addresses
from vision_evals.report.picture_budget import Shown, Wanted

NO_PAIRS = "no mean over images, so no interval of the difference"
"""Why a change has none."""

FOLDED = 6
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
class Turned:
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
class Sides:
    """The images of a check that changed sides."""

    measured: str
    worse: int
    better: int
    rate: str
    lost: tuple[Turned, ...]
    won: tuple[Turned, ...]


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One check beside that of the other run."""

    item: Item
    colour: str
    told: Comparison
    shifts: tuple[Shift, ...]
    folded: tuple[Shift, ...]
    sides: Sides | None


@dataclass(frozen=True, slots=True)
class Compared:
    """All of them."""

    baseline: Baseline
    date: str
    gates: str | None
    entries: tuple[SideBySide, ...]
    headline: str
    """How many images turned wrong, without a full stop."""
    untold: int
    """Flips that are shown without their picture, to keep the page small."""


def compared(
    run: Run, colours: Mapping[str, str], directory: Path, addresses: Addresses
) -> Compared | None:
    """Return what changed since the run that this one is held against; None without one."""
    told = [item for item in run.items if item.comparison is not None]
    if run.baseline is None or not told:
        return None
    wanted = [(flip, one) for item in told for flip, one in _wanted(item)]
    stock = picture_budget.select(
        [one for _, one in wanted], directory, addresses, picture_budget.FLIPS
    )
    shown = {flip: stock.shown[one] for flip, one in wanted if one in stock.shown}
    entries = tuple(_beside(item, colours[item.classifier], shown) for item in told)
    return Compared(
        baseline=run.baseline,
        date=words.date(run.baseline.started),
        gates=gates(run),
        entries=entries,
        headline=_headline(entries),
        untold=sum(one in stock.left_out for _, one in wanted),
    )


def _headline(entries: Sequence[SideBySide]) -> str:
    """Return the count of the one check, or the largest of several: they share their images."""
    worse = [one.sides.worse for one in entries if one.sides is not None]
    if not worse:
        return "No check says who was right"
    if not any(worse):
        return "No image turned wrong"
    said = words.plural(max(worse), "image")
    return f"{said} turned wrong" if len(worse) == 1 else f"In one check {said} turned wrong"


def gates(run: Run) -> str | None:
    """Return how many paired gates were held, and how many false alarms to expect of them."""
    if not run.gates:
        return None
    written = sum(suite.gates for suite in run.suites)
    shared = any(suite.familywise for suite in run.suites)
    held = words.plural(len(run.gates), "paired gate")
    return (
        f"{held} held, of {written} written in the suites. If every network had lost exactly what "
        f"its gate allows, {run.false_alarms:.3g} of them would fail by chance "
        "in a run like this, and far fewer if none had lost anything."
        + (" Gates of a familywise suite share one error rate a classifier." if shared else "")
    )


def _wanted(item: Item) -> Iterator[tuple[Flip, Wanted]]:
    """Yield the images that turned wrong, and those that turned right, which give way to them."""
    flips = item.comparison.flips if item.comparison is not None else None
    if flips is not None:
        for flip in (*flips.lost, *flips.won):
            if flip.file is not None:
                yield flip, Wanted(flip.file, flip.image, item.id, fair=flip not in flips.lost)


def _beside(item: Item, colour: str, shown: Mapping[Flip, Shown]) -> SideBySide:
    told = item.comparison
    assert told is not None
    shifts = tuple(shift(change, item) for change in told.changes)
    open_ = shifts if len(shifts) <= FOLDED else tuple(_first(shifts, item))
    return SideBySide(
        item=item,
        colour=colour,
        told=told,
        shifts=open_,
        folded=tuple(shift for shift in shifts if shift not in open_),
        sides=_sides(told, shown),
    )


def _first(shifts: tuple[Shift, ...], item: Item) -> Iterator[Shift]:
    """Yield what is judged, and what the interval leaves no doubt of."""
    judged = {(j.metric, j.at) for j in item.judgements}
    for shift in shifts:
        if (shift.metric, shift.at) in judged or shift.tone != "open":
            yield shift


def _sides(told: Comparison, shown: Mapping[Flip, Shown]) -> Sides | None:
    found = told.flips
    if found is None:
        return None
    at = f" at {found.at}" if found.at is not None else ""
    return Sides(
        measured=f"{found.metric}{at}",
        worse=found.worse,
        better=found.better,
        rate=f"{rounding.fixed(100 * found.worse / max(found.n, 1), 1)} %",
        lost=tuple(_turned(flip, shown) for flip in found.lost),
        won=tuple(_turned(flip, shown) for flip in found.won),
    )


def _turned(flip: Flip, shown: Mapping[Flip, Shown]) -> Turned:
    return Turned(
        image=flip.image,
        label=flip.label,
        before=_seen(flip.before),
        now=_seen(flip.now),
        shown=shown.get(flip),
    )


def _seen(seen: Seen) -> str:
    if seen.confidence is None:
        return seen.name
    return f"{seen.name} {rounding.share(seen.confidence)}"


def shift(change: Change, item: Item) -> Shift:
    """Return a change of a metric of the item in words."""
    metric = next(m for m in item.metrics if (m.name, m.at) == (change.metric, change.at))
    places = rounding.places(metric)
    found, difference, ends = change.paired, "", None
    if found is not None:
        digits = rounding.decimals(found.low, found.high) or places
        difference = rounding.signed(found.difference, digits)
        low, high = (rounding.signed(end, digits) for end in (found.low, found.high))
        ends = f"{low} to {high}, {rounding.written(found.confidence, in_percent=True)}"
    elif change.before is not None and change.now is not None:
        difference = rounding.signed(change.now - change.before, places)
    return Shift(
        metric=change.metric,
        at=change.at,
        before=_number(change.before, places),
        now=_number(change.now, places),
        difference=difference,
        interval=ends,
        reason=NO_PAIRS if found is None and difference else None,
        n=rounding.count(found.n if found is not None else metric.n),
        tone=_tone(change, higher_is_better=metric.higher_is_better),
    )


def _tone(change: Change, *, higher_is_better: bool) -> str:
    found = change.paired
    if found is None or found.low <= 0 <= found.high:
        return "open"
    return "better" if (found.low > 0) == higher_is_better else "worse"


def _number(value: float | None, places: int) -> str:
    return "none" if value is None else rounding.fixed(value, places)
