"""Words that a verdict or a number depends on: each once, with its meaning and where it is from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Literal, NamedTuple

from vision_evals.log import Item
from vision_evals.report.meanings import INTERVALS, VERDICTS
from vision_evals.report.words import listed

Kind = Literal["verdict", "metric", "interval", "validity"]

LONGEST = 80
"""Characters of an anchor: a name may be as long as its author likes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One word."""

    anchor: str
    """Its place on the page: a safe id, whatever the word is."""
    kind: Kind
    name: str
    """As the log has it."""
    term: str
    """As a reader calls it: its name, but for intervals."""
    number: str
    """Of a validity check in the literature list, such as ``S5``; empty for other words."""
    meaning: str
    source: str
    """Paper and section; empty where it comes from none."""


class _Word(NamedTuple):
    """What is said of a name, here or by one item."""

    name: str
    meaning: str
    source: str
    number: str = ""
    term: str = ""
    """What a reader calls it, where that is not its name."""
    measure: str = ""
    """Who says so."""


def glossary(items: Iterable[Item]) -> Mapping[tuple[Kind, str], Entry]:
    """Return by kind and name every verdict, and each word that these items use."""
    every = tuple(items)
    words: dict[Kind, Iterable[_Word]] = {
        "verdict": (_Word(verdict.value, said, "") for verdict, said in VERDICTS.items()),
        "metric": _metrics(every),
        "interval": _intervals(every),
        "validity": sorted(_validity(every), key=_place),
    }
    found: dict[tuple[Kind, str], Entry] = {}
    taken: set[str] = set()
    for kind, said in words.items():
        for word in said:
            anchor = _anchor(f"term-{kind}-{word.name}", taken)
            taken.add(anchor)
            found[kind, word.name] = Entry(
                anchor=anchor,
                kind=kind,
                name=word.name,
                term=word.term or word.name,
                number=word.number,
                meaning=word.meaning,
                source=word.source,
            )
    return found


def _metrics(items: Sequence[Item]) -> Iterator[_Word]:
    return _agreed(
        _Word(metric.name, metric.about, metric.source, measure=item.measure)
        for item in items
        for metric in item.metrics
    )


def _validity(items: Sequence[Item]) -> Iterator[_Word]:
    return _agreed(
        _Word(one.name, one.meaning, one.source, one.id, measure=item.measure)
        for item in items
        for one in item.validity
    )


def _place(word: _Word) -> tuple[bool, int, str]:
    """Sort S5 before S13, and what has no number last."""
    digits = re.search(r"\d+", word.number)
    return not word.number, int(digits[0]) if digits else 0, word.number


def _intervals(items: Sequence[Item]) -> Iterator[_Word]:
    found: dict[str, set[float]] = {}
    for method, confidence in chain.from_iterable(map(_methods, items)):
        found.setdefault(method, set()).update([] if confidence is None else [confidence])
    for method, confidences in found.items():
        unknown = method, "How an interval was made; this page has no sentence about it.", ""
        term, meaning, source = INTERVALS.get(method, unknown)
        known = listed([f"{100 * one:.4g} %" for one in sorted(confidences)])
        said = f"{meaning} Two-sided confidence here: {known}." if known else meaning
        yield _Word(method, said, source, term=term)


def _methods(item: Item) -> Iterator[tuple[str, float | None]]:
    yield from ((metric.method, metric.confidence) for metric in item.metrics if metric.method)
    changes = item.comparison.changes if item.comparison is not None else ()
    gates = (judgement.gate for judgement in item.judgements)
    for one in (*gates, *changes):
        if one is not None and one.paired is not None:
            yield one.paired.method, one.paired.confidence


def _agreed(words: Iterable[_Word]) -> Iterator[_Word]:
    """Yield one word a name, however many items say something of it."""
    found: dict[str, list[_Word]] = {}
    for word in dict.fromkeys(words):
        found.setdefault(word.name, []).append(word)
    for name, senses in found.items():
        source, number = _once(one.source for one in senses), _once(one.number for one in senses)
        yield _Word(name, _meaning(senses), source, number)


def _meaning(senses: Iterable[_Word]) -> str:
    """Return what a word means: to each measure, where they do not agree."""
    measures: dict[str, dict[str, None]] = {}
    for one in senses:
        if one.meaning:
            measures.setdefault(one.meaning, {})[one.measure] = None
    if not measures:
        return "Nothing more is said of it where it is defined."
    if len(measures) == 1:
        return next(iter(measures))
    return " ".join(f"In {listed(list(of))}: {said}" for said, of in measures.items())


def _once(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, words)))


def _anchor(wanted: str, taken: set[str]) -> str:
    safe = re.sub(r"[^A-Za-z0-9_]+", "-", wanted)[:LONGEST]
    every = chain([safe], (f"{safe}-{number}" for number in count(2)))
    return next(anchor for anchor in every if anchor not in taken)
