"""A verdict as properties of a JUnit test case, under names that every consumer takes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vision_evals.core.errors import printable
from vision_evals.log import Item, Judgement, Metric
from vision_evals.report.checks import metric_of
from vision_evals.report.words import first_free

_INTERVAL = ("low", "high", "confidence", "n")


def properties(item: Item) -> list[tuple[str, str]]:
    """Return the properties of an item: its verdict, its seconds, and each judgement's numbers.

    ``evals_verdict``, ``evals_seconds``, then ``evals_METRIC_KEY`` for each judgement, with the
    point of its axis in the name (``evals_robust_accuracy_at_4-255_value``); a second judgement of
    one metric adds ``_2``. Names are made of letters, digits, ``_``, ``.`` and ``-``. Numbers keep
    every digit; what does not exist is left out.
    """
    values = [("evals_verdict", str(item.verdict)), ("evals_seconds", f"{item.seconds:.6f}")]
    names: set[str] = set()
    for judgement in item.judgements:
        name = first_free(_name(judgement), names, "_")
        names.add(name)
        values += [
            (f"evals_{name}_{key}", value)
            for key, value in _facts(judgement, metric_of(judgement, item))
        ]
    return values


def _facts(judgement: Judgement, metric: Metric | None) -> Iterator[tuple[str, str]]:
    """Yield what is known, in the order people read it."""
    gate = judgement.gate
    parts = (
        ("", judgement, ("verdict", "at", "value", "threshold", "wanted", "severity", "known")),
        ("", metric, _INTERVAL),
        ("gate_", gate, ("of", "margin")),
        ("gate_", gate and gate.paired, ("difference", *_INTERVAL)),
    )
    for prefix, record, keys in parts:
        for key in keys:
            value = getattr(record, key, None)  # there may be no such record
            if value is not None:
                text = repr(value) if isinstance(value, float) else str(value)
                yield prefix + key, printable(text)


def _name(judgement: Judgement) -> str:
    at = "" if judgement.at is None else f"_at_{judgement.at}"
    return re.sub(r"[^A-Za-z0-9_.-]", "-", judgement.metric + at)
