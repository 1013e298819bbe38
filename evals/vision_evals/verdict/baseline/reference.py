"""The same check of the baseline: its numbers and rows, or why nothing holds against them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.log import Verdict
from vision_evals.verdict.baseline import stored
from vision_evals.verdict.baseline.numeric_gap import NumericGap, gaps
from vision_evals.verdict.baseline.provenance import (
    Side,
    differences,
    other_images,
    same_network,
    side_of,
)
from vision_evals.verdict.baseline.stored import StoredRun

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class BaselineEntry:
    """An entry of the baseline."""

    side: Side
    rows: pd.DataFrame
    differs: tuple[str, ...] = ()
    """What is not equal beside the network."""
    gaps: tuple[NumericGap, ...] = ()
    """In what the paths differ by which the numbers came: each gate says how far they may."""
    refused: str | None = None
    """Why no gate may hold against it."""
    verdict: Verdict = Verdict.INVALID
    """Of a gate that is refused."""

    @property
    def item(self) -> log.Item:
        """Its numbers."""
        return self.side.item


def baseline_entry(
    baseline: StoredRun, now: Side, rows: pd.DataFrame, *, same_is_skipped: bool = False
) -> BaselineEntry | None:
    """Return the same check of the baseline; None where it has none.

    Args:
        baseline: the run that checkpoints are held against.
        now: the entry to be judged, its images walked over.
        rows: of this run.
        same_is_skipped: whether the same network on both sides is no mistake.
    """
    try:
        item = stored.find_entry(baseline, now.item.suite, now.item.check, now.item.classifier)
        table = stored.read_rows(baseline, item)
    except UserError:
        return None  # said where the job was prepared
    then = side_of(baseline.run, item)
    differs = differences(then, now)
    found = BaselineEntry(then, table, differs, gaps(then.paths, now.paths))
    if item.verdict is Verdict.INVALID and not item.metrics:
        return _refused(found, f"the baseline's own numbers are invalid: {item.sentence}")
    reason = other_images(table, rows)
    if differs or reason:
        said = "; ".join([*differs, *([reason] if reason else [])])
        return _refused(found, f"not comparable with the baseline, {said}")
    if same_network(then, now):
        return _refused(
            found, SAME_NETWORK, Verdict.NOT_APPLICABLE if same_is_skipped else Verdict.INVALID
        )
    return found


SAME_NETWORK = (
    "the baseline is the very same network (equal fingerprints), so nothing is compared; name "
    "the new checkpoint, or --evals-same=skip where a change touches none"
)


def require_comparable(baseline: StoredRun, now: Side) -> None:
    """Find what can be known before anything is measured.

    Args:
        baseline: the run that checkpoints are held against.
        now: the entry as it will be, without fingerprints of images.

    Raises:
        UserError: the baseline has no such check, cannot be read, or differs in more than weights.
    """
    item = stored.find_entry(baseline, now.item.suite, now.item.check, now.item.classifier)
    stored.read_rows(baseline, item)
    if differs := differences(side_of(baseline.run, item), now):
        raise UserError(
            f"{baseline.source}: not comparable with this check, {'; '.join(differs)}; run it as "
            "the baseline was, or accept a new baseline"
        )


def _refused(
    found: BaselineEntry, reason: str, verdict: Verdict = Verdict.INVALID
) -> BaselineEntry:
    return replace(found, refused=reason, verdict=verdict)
