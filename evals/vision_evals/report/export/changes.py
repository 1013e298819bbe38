"""What changed against the baseline, in Markdown: gates, flips, and what could not be compared."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from vision_evals.log import Flip, Item, Run, Seen
from vision_evals.report.export.escape import markdown
from vision_evals.report.rounding import fixed, share
from vision_evals.report.words import date, plural

FEW = 5
"""Images named of a check."""


def changes(run: Run, most: int) -> Iterator[str]:
    """Yield paragraphs; none of a run that was compared with nothing.

    Args:
        run: the log.
        most: checks that are told in full.
    """
    compared = [item for item in run.items if item.comparison is not None]
    gates = run.gates
    if run.baseline is None and not compared and not gates:
        return
    yield "### Against the baseline"
    if run.baseline is not None:
        commit = f", commit {markdown(run.baseline.commit)}" if run.baseline.commit else ""
        started = markdown(date(run.baseline.started))
        yield f"<b>{markdown(run.baseline.id)}</b> of {started}{commit}"
    if gates:
        yield (
            f"{plural(len(gates), 'gate')}; if every one stood exactly at its margin, "
            f"{fixed(run.false_alarms, 2)} false alarms are to be expected at most."
        )
    lines = [line for item in islice(compared, most) for line in _item(item)]
    if lines:
        yield "\n".join(lines)
    if len(compared) > most:
        yield f"{plural(len(compared) - most, 'comparison')} left out here."


def _item(item: Item) -> Iterator[str]:
    assert item.comparison is not None
    name = f"<b>{markdown(item.check)}</b> \\[{markdown(item.classifier)}\\]"
    if item.comparison.refused is not None:
        yield f"- {name}: not compared: {markdown(item.comparison.refused)}"
        return
    for differs in item.comparison.differs:
        yield f"- {name}: differs in more than the network: {markdown(differs)}"
    if item.comparison.different_paths is not None:
        yield f"- {name}: {markdown(item.comparison.different_paths)}"
    flips = item.comparison.flips
    if flips is None:
        compared = plural(len(item.comparison.changes), "metric")
        yield f"- {name}: {compared} compared; its rows do not say who was right"
        return
    yield (
        f"- {name}: {flips.worse:,} right before and wrong now, {flips.better:,} the reverse, "
        f"of {plural(flips.n, 'image')}"
    )
    yield from (f"  - {_flip(flip)}" for flip in flips.lost[:FEW])
    if (more := flips.worse - len(flips.lost[:FEW])) and flips.lost:
        yield f"  - <b>and {more:,} more</b>"


def _flip(flip: Flip) -> str:
    said = f"{_seen(flip.before)} before, {_seen(flip.now)} now"
    return f"<b>{markdown(flip.image)}</b> ({markdown(flip.label)}): {said}"


def _seen(seen: Seen) -> str:
    sure = "" if seen.confidence is None else f" {share(seen.confidence)}"
    return markdown(seen.name, most=120) + sure
