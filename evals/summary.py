"""The table that ends a run on the terminal."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator

from evals.log import Item, Judgement, Metric, Verdict

STYLES = {
    Verdict.INVALID: "bold red",
    Verdict.FAILED: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.PASSED: "green",
}


def table(items: Iterable[Item], *, color: bool) -> str:
    """Return a line for each metric of each item: value, interval, n, threshold, verdict."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("classifier", "check", "metric", "value"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("n", justify="right", no_wrap=True)
    shown.add_column("threshold", overflow="fold")
    shown.add_column("verdict", no_wrap=True)
    for item in items:
        head = (item.classifier, item.check)
        for *cells, verdict in _rows(item):
            words = Text(str(verdict), style=STYLES.get(verdict, "dim"))
            shown.add_row(*map(Text, (*head, *cells)), words)
            head = ("", "")
    text = io.StringIO()
    width = max(shutil.get_terminal_size().columns, 120)
    Console(file=text, width=width, force_terminal=color).print(shown)
    return text.getvalue()


def reasons(items: Iterable[Item]) -> list[str]:
    """Return why items have no number, one line each."""
    return [
        f"{item.classifier}, {item.check}: {item.sentence}" for item in items if not item.metrics
    ]


def counts(items: Iterable[Item]) -> str:
    """Return how many items got each verdict, worst first."""
    counted = Counter(item.verdict for item in items)
    said = [f"{counted[verdict]} {verdict}" for verdict in Verdict if counted[verdict]]
    judged = any(verdict.judged for verdict in counted)
    return ", ".join(said) + ("" if judged else ": nothing was judged")


def _rows(item: Item) -> Iterator[tuple[str, str, str, str, Verdict]]:
    if not item.metrics:
        yield "", "", "", "", item.verdict
    for metric in item.metrics:
        at = f" at {metric.at}" if metric.at is not None else ""
        held = [j for j in item.judgements if (j.metric, j.at) == (metric.name, metric.at)]
        verdict = _worst(held) if held else Verdict.RECORDED
        threshold = "; ".join(judgement.wanted for judgement in held)
        yield metric.name + at, _value(metric), f"{metric.n:,}", threshold, verdict
    for judgement in item.judgements:
        if judgement.metric not in {metric.name for metric in item.metrics}:
            value = "" if judgement.value is None else f"{judgement.value:g}"
            yield judgement.metric, value, "", judgement.wanted, judgement.verdict


def _worst(judgements: Iterable[Judgement]) -> Verdict:
    return min((judgement.verdict for judgement in judgements), key=list(Verdict).index)


def _value(metric: Metric) -> str:
    if metric.value is None:
        return "none"
    if metric.low is None or metric.high is None:
        return f"{metric.value:.3f}"
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})"
