"""A run in Markdown, for GitHub's job summary, a pull request or a chat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from vision_evals.core.errors import printable
from vision_evals.log import Item, Judgement, Metric, Run, Verdict
from vision_evals.report import rounding
from vision_evals.report.export.changes import changes
from vision_evals.report.export.escape import fenced, markdown
from vision_evals.report.words import BAD, SYMBOLS, alert, headline, listed, plural, reproduce

_LEVELS = (10_000, 1000, 200, 50, 10, 0)
"""Entries of a part, tried in this order until the page is short enough."""


def render(run: Run, where: str, most: int = 1_000_000) -> str:
    """Return a run as GitHub-flavoured Markdown of at most so many bytes.

    Args:
        run: the log.
        where: of log and report, a line that the page ends with.
        most: bytes of UTF-8; what had to be left out is counted on the page.
    """
    pages = ("\n\n".join(_page(run, where, entries)) + "\n" for entries in _LEVELS)
    short = (page for page in pages if len(page.encode()) <= most)
    return next(short, None) or "\n\n".join(_page(run, where, 0)) + "\n"


def _page(run: Run, where: str, most: int) -> Iterator[str]:
    counts = Counter(item.verdict for item in run.items)
    yield f"## {headline(run, counts)}"
    if said := alert(run):
        yield said
    yield (
        ", ".join(
            f"{SYMBOLS[verdict]} {counts[verdict]} {verdict}"
            for verdict in Verdict
            if counts[verdict]
        )
        or "No check was asked."
    )
    yield from _fallen(run, most)
    yield from changes(run, most)
    yield from _judged(run, most)
    yield from _asides(run, most)
    yield markdown(where, most=2000)


def _fallen(run: Run, most: int) -> Iterator[str]:
    """Yield each check that did not pass: what was found, and the command that shows it again."""
    fallen = [item for verdict in BAD for item in run.items if item.verdict is verdict]
    for item in islice(fallen, most):
        command = printable(reproduce(item.id, run.command))
        yield f"### {SYMBOLS[item.verdict]} {_name(item)}: {item.verdict}"
        yield f"{_NOT_A_LIST}{markdown(item.sentence, most=2000)}"
        yield fenced(command)
    yield from _rest(len(fallen) - most, "check that did not pass", "checks that did not pass")


def _judged(run: Run, most: int) -> Iterator[str]:
    rows = [(item, judgement) for item in run.items for judgement in item.judgements]
    if not rows:
        return
    head = "| check | metric | value | n | threshold | verdict |\n|---|---|---|---:|---|---|"
    lines = ["| " + " | ".join(_cells(*row)) + " |" for row in islice(rows, most)]
    if lines:
        yield "### Judged metrics"
        yield "\n".join([head, *lines])
    yield from _rest(len(rows) - most, "judged metric", "judged metrics")


def _cells(item: Item, judgement: Judgement) -> Iterator[str]:
    wanted = judgement.metric, judgement.at
    metric = next((m for m in item.metrics if (m.name, m.at) == wanted), None)
    at = "" if judgement.at is None else f" at {judgement.at}"
    yield _name(item)
    yield markdown(judgement.metric + at)
    yield _value(judgement, metric)
    yield "" if metric is None else rounding.count(metric.n)
    yield markdown(judgement.wanted)
    excused_as = f", {judgement.excuse}" if judgement.excused else ""
    yield markdown(f"{SYMBOLS[judgement.verdict]} {judgement.verdict}{excused_as}")


def _value(judgement: Judgement, metric: Metric | None) -> str:
    """Return the value that was judged, never rounded onto its threshold, and its interval."""
    if metric is None or judgement.value is None or judgement.threshold is None:
        return "none" if judgement.value is None else rounding.brief(judgement.value)
    said = rounding.apart(judgement.value, judgement.threshold, rounding.places(metric))
    interval = rounding.interval(metric)
    unit = f" {markdown(unit)}" if (unit := rounding.unit(metric)) else ""
    return f"{said}{unit}" + (f" ({interval})" if interval else "")


def _asides(run: Run, most: int) -> Iterator[str]:
    """Yield what was not judged and why nobody need look, a line each."""
    for verdict in (Verdict.UNAVAILABLE, Verdict.NOT_APPLICABLE):
        names = [_name(item) for item in run.items if item.verdict is verdict]
        if names:
            more = len(names) - most
            some = [*names[:most], *([f"{more:,} more"] if more > 0 else [])]
            yield f"{str(verdict).capitalize()}: {listed(some)}."
    if run.not_run:
        yield f"{plural(len(run.not_run), 'selected check')} did not run."
    if run.warnings:
        yield f"{plural(len(run.warnings), 'warning')}: the log and the report have them."


def _rest(left: int, one: str, many: str) -> Iterator[str]:
    if left > 0:
        yield f"{plural(left, one, many)} left out here: the log and the report have all."


def _name(item: Item) -> str:
    return f"<b>{markdown(item.check)}</b> \\[{markdown(item.classifier)}\\]"


_NOT_A_LIST = "<b></b>"
"""In front of a paragraph from elsewhere: at the start of a line a number would begin a list."""
