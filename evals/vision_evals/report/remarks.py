"""What the table on the terminal leaves out: what is not here, flips, warnings, the profile."""

from __future__ import annotations

from collections.abc import Iterator

from vision_evals.core.errors import printable
from vision_evals.log import Item, Run, Verdict
from vision_evals.report.groups import grouped
from vision_evals.report.words import named, plural, with_point

MAX_REMARKS = 5
"""Remarks on one screen; the report has all."""


def remarks(run: Run, *, verbose: bool = False, skips: bool = True) -> list[str]:
    """Return what the table leaves out, one line each: what is not here, flips, warnings.

    Args:
        run: the log.
        verbose: whether all of them are returned, however many there are.
        skips: whether checks that were skipped are among them; pytest may list them, too.
    """
    lines = [f"{plural(len(run.not_run), 'selected check')} did not run"] if run.not_run else []
    lines += [*_not_fetched(run), *(_not_judged(run) if skips else ())]
    lines += [
        f"{images.role}: {len(images.unreadable)} of {images.n} pictures could not be read"
        for images in run.image_sets
        if images.unreadable
    ]
    lines += [
        f"{images.role}: left out of {images.source}: {'; '.join(map(str, left_out))}"
        for images in run.image_sets
        if (left_out := [group for group in images.left_out if not group.usual])
    ]
    lines += _flipped(run)
    lines += [f"warning: {warning}" for warning in run.warnings]
    cached = [item for item in run.items if item.cached]
    if cached:
        images = sum(item.cached for item in cached)
        lines.append(
            f"from the cache: rows of {images:,} images in {len(cached)} of {len(run.items)} checks"
        )
    if len(lines) > MAX_REMARKS and not verbose:
        more = len(lines) - MAX_REMARKS + 1
        lines[MAX_REMARKS - 1 :] = [f"{more} more remarks; -v and the report show them"]
    return [printable(line) for line in lines]


def not_fetched(run: Run) -> dict[str, list[Item]]:
    """Return by network the checks that need weights which naming the network would fetch."""
    reasons = {card.alias: card.unavailable for card in run.classifiers if card.fetchable}
    return grouped(
        (item.classifier, item)
        for item in run.items
        if item.verdict is Verdict.UNAVAILABLE and reasons.get(item.classifier) == item.sentence
    )


def _not_fetched(run: Run) -> Iterator[str]:
    """Yield one line for all networks whose weights are not here."""
    items = not_fetched(run)
    if not items:
        return
    sizes = {len(checks) for checks in items.values()}
    each = " each" if len(items) > 1 else ""
    numbers = "" if len(sizes) > 1 else f", {plural(max(sizes), 'check')}{each}"
    first = next(iter(items))
    fetch = f"`{run.command} --evals-model {first}`"
    if not run.command.startswith("pytest "):
        fetch = f"--evals-model {first}"
    yield f"{', '.join(items)}: weights not here{numbers}; {fetch} fetches {first}"


def _not_judged(run: Run) -> Iterator[str]:
    """Yield why other checks have no numbers, those with one reason together."""
    left_out = {item.id for checks in not_fetched(run).values() for item in checks}
    reasons = grouped(
        ((item.verdict, item.check, item.sentence), item.classifier)
        for item in run.items
        if item.verdict in {Verdict.NOT_APPLICABLE, Verdict.UNAVAILABLE}
        if item.id not in left_out
    )
    for (verdict, check, sentence), networks in reasons.items():
        yield f"{check}, {named(networks)}: {verdict}: {sentence}"


def _flipped(run: Run) -> Iterator[str]:
    """Yield what changed on the images of each item since the baseline."""
    for item in run.items:
        name, comparison = f"{item.classifier}, {item.check}", item.comparison
        if comparison is not None and comparison.refused is not None:
            yield f"{name}: not compared with the baseline: {comparison.refused}"
        if comparison is not None and comparison.flips is not None:
            flips = comparison.flips
            metric = with_point(flips.metric, flips.at)
            yield (
                f"{name}: {flips.worse:,} of {flips.n:,} images turned "
                f"wrong, {flips.better:,} right since the baseline ({metric})"
            )
    if run.gates:
        yield (
            f"paired gates: {len(run.gates)}; {run.false_alarms:.3g} would fail by chance if every "
            "network were exactly at its margin"
        )


def profile(run: Run) -> list[str]:
    """Return where the time went, a line each; nothing without a profile."""
    record = run.profile
    if record is None:
        return []
    lines = [f"where {record.seconds:.1f} s went:"]
    stages = [stage for stage in record.stages if not stage.beside]
    for stage in stages:
        share = stage.seconds / record.seconds
        lines.append(
            f"  {stage.name:<10} {stage.seconds:8.2f} s {share:6.1%}  {stage.calls:,} times"
        )
    lines.append(f"  {'the rest':<10} {record.rest:8.2f} s {record.rest / record.seconds:6.1%}")
    in_threads = [f"{s.name} {s.seconds:.2f} s" for s in record.stages if s.beside]
    lines += [f"in threads, added up: {', '.join(in_threads)}"] if in_threads else []
    lines += [f"trace: {printable(file)}" for file in record.trace]
    if record.synchronised:
        lines.append("the device was synchronised at the end of every stage")
    return lines
