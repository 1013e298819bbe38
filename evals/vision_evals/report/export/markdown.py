"""A run in Markdown, for GitHub's job summary, a pull request or a chat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from vision_evals.core.errors import printable
from vision_evals.log import Flip, Item, Judgement, Metric, Run, Seen, Verdict
from vision_evals.report import rounding, words
from vision_evals.report.checks import metric_of
from vision_evals.report.export.escape import fenced, markdown
from vision_evals.report.rounding import fixed, share
from vision_evals.report.words import BAD, SYMBOLS, listed, plural

MAX_IMAGES_NAMED = 5
"""Images named of a check."""


def changes(run: Run, most: int) -> Iterator[str]:
    """Yield paragraphs; none of a run that was compared with nothing.

    Args:
        run: the log.
        most: checks that are shown in full.
    """
    compared = [item for item in run.items if item.comparison is not None]
    gates = run.gates
    if run.baseline is None and not compared and not gates:
        return
    yield "### Against the baseline"
    if run.baseline is not None:
        commit = f", commit {markdown(run.baseline.commit)}" if run.baseline.commit else ""
        started = markdown(words.date(run.baseline.started))
        yield f"<b>{markdown(run.baseline.id)}</b> of {started}{commit}"
    if gates:
        yield (
            f"{plural(len(gates), 'gate')}; if every gate were exactly at its margin, "
            f"at most {fixed(run.false_alarms, 2)} false alarms are expected."
        )
    lines = [line for item in islice(compared, most) for line in _item(item)]
    if lines:
        yield "\n".join(lines)
    if len(compared) > most:
        yield f"{plural(len(compared) - most, 'comparison')} left out here."


def _item(item: Item) -> Iterator[str]:
    assert item.comparison is not None
    name = _name(item)
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
    yield from (f"  - {_flip(flip)}" for flip in flips.lost[:MAX_IMAGES_NAMED])
    if (more := flips.worse - len(flips.lost[:MAX_IMAGES_NAMED])) and flips.lost:
        yield f"  - <b>and {more:,} more</b>"


def _flip(flip: Flip) -> str:
    answers = f"{_seen(flip.before)} before, {_seen(flip.now)} now"
    return f"<b>{markdown(flip.image)}</b> ({markdown(flip.label)}): {answers}"


def _seen(seen: Seen) -> str:
    sure = "" if seen.confidence is None else f" {share(seen.confidence)}"
    return markdown(seen.name, most=120) + sure


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
    yield f"## {words.headline(run, counts)}"
    if sentence := words.alert(run):
        yield sentence
    yield (
        ", ".join(
            f"{SYMBOLS[verdict]} {counts[verdict]} {verdict}"
            for verdict in Verdict
            if counts[verdict]
        )
        or "No check was selected."
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
        command = printable(words.reproduce(item.id, run.command))
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
    metric = metric_of(judgement, item)
    yield _name(item)
    yield markdown(words.with_point(judgement.metric, judgement.at))
    yield _value(judgement, metric)
    yield "" if metric is None else rounding.count(metric.n)
    yield markdown(judgement.wanted)
    excused_as = f", {judgement.excuse}" if judgement.excused else ""
    yield markdown(f"{SYMBOLS[judgement.verdict]} {judgement.verdict}{excused_as}")


def _value(judgement: Judgement, metric: Metric | None) -> str:
    """Return the value that was judged, never rounded onto its threshold, and its interval."""
    if metric is None or judgement.value is None or judgement.threshold is None:
        return "none" if judgement.value is None else rounding.brief(judgement.value)
    text = rounding.apart(judgement.value, judgement.threshold, rounding.places(metric))
    interval = rounding.interval(metric)
    unit = f" {markdown(unit)}" if (unit := rounding.unit(metric)) else ""
    return f"{text}{unit}" + (f" ({interval})" if interval else "")


def _asides(run: Run, most: int) -> Iterator[str]:
    """Yield what was not judged and needs no attention, a line each."""
    for verdict in (Verdict.UNAVAILABLE, Verdict.NOT_APPLICABLE):
        names = [_name(item) for item in run.items if item.verdict is verdict]
        if names:
            more = len(names) - most
            listed_names = [*names[:most], *([f"{more:,} more"] if more > 0 else [])]
            yield f"{str(verdict).capitalize()}: {listed(listed_names)}."
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
