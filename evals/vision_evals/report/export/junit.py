"""A verdict as properties of a JUnit test case, under names that every consumer takes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vision_evals.log import Item, Judgement, Metric
from vision_evals.report.checks import metric_of


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
        name = _unique(_name(judgement), names)
        values += [
            (f"evals_{name}_{key}", value)
            for key, value in _facts(judgement, metric_of(judgement, item))
        ]
    return values


def _facts(judgement: Judgement, metric: Metric | None) -> Iterator[tuple[str, str]]:
    """Yield what is known, in the order people read it."""
    fields: dict[str, object] = {
        "verdict": judgement.verdict,
        "at": judgement.at,
        "value": judgement.value,
        "threshold": judgement.threshold,
        "wanted": judgement.wanted,
        "severity": judgement.severity,
        "known": judgement.known,
    }
    if metric is not None:
        fields |= {"low": metric.low, "high": metric.high, "confidence": metric.confidence}
        fields |= {"n": metric.n}
    if judgement.gate is not None:
        paired = judgement.gate.paired
        fields |= {
            "gate_of": judgement.gate.of,
            "gate_margin": judgement.gate.margin,
            "gate_difference": paired.difference,
            "gate_low": paired.low,
            "gate_high": paired.high,
            "gate_confidence": paired.confidence,
            "gate_n": paired.n,
        }
    for key, value in fields.items():
        if value is not None:
            yield key, repr(value) if isinstance(value, float) else str(value)


def _name(judgement: Judgement) -> str:
    at = "" if judgement.at is None else f"_at_{judgement.at}"
    return re.sub(r"[^A-Za-z0-9_.-]", "-", judgement.metric + at)


def _unique(name: str, names: set[str]) -> str:
    number = 2
    unique = name
    while unique in names:
        unique, number = f"{name}_{number}", number + 1
    names.add(unique)
    return unique
