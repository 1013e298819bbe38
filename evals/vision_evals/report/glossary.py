"""Words that a verdict or a number depends on: each once, with its meaning and where it is from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

from vision_evals.log import Item, Verdict
from vision_evals.report.groups import grouped
from vision_evals.report.words import first_free, listed, unique

VERDICTS = {
    Verdict.INVALID: "The evaluation itself cannot be trusted, for the reason given; its numbers "
    "can neither pass nor fail anything.",
    Verdict.FAILED: "A number is on the wrong side of the threshold that the suite sets; where "
    "it asks for an interval with a confidence, the whole interval is.",
    Verdict.INCONCLUSIVE: "The suite asks for an interval, and the threshold lies inside it: "
    "too few images to decide either way.",
    Verdict.PASSED: "Every expectation of the suite is met, and no validity check makes it "
    "invalid.",
    Verdict.RECORDED: "Measured and logged; the suite deliberately sets no expectation for it.",
    Verdict.NOT_APPLICABLE: "The question does not apply to this classifier or these images. "
    "That is never a pass.",
    Verdict.UNAVAILABLE: "The weights or a package are not available here: nothing was measured.",
}

INTERVALS: dict[str, tuple[str, str, str]] = {
    "wilson": (
        "Wilson",
        "For a share of n images counted once each; honest for small n and near 0 and 1, where it "
        "is not symmetric.",
        "Wilson 1927; Brown, Cai & DasGupta 2001",
    ),
    "bootstrap": (
        "bootstrap",
        "The images are drawn again with replacement, many times and from a fixed seed; it holds "
        "the middle share of the results.",
        "Efron 1979; Efron & Tibshirani 1993",
    ),
    "cross-fitted": (
        "cross-fitted",
        "For the calibration error, which few images make too large. Lower end: one half of the "
        "images says where the network is too confident, the other half by how much. Upper end: "
        "bootstrap, corrected for the bias of few images.",
        "Efron 1979; Kumar et al. 2019",
    ),
    "score": (
        "score",
        "For the difference of two shares of the same images: every difference that the score "
        "test would not reject. It has a width even where no image changed.",
        "Tango 1998, section 3",
    ),
    "paired t": (
        "paired t",
        "For the mean of differences on the same images, where these are many.",
        "Student 1908",
    ),
}
"""By the method that the log names: what it is called, what it is, and who described it."""


Kind = Literal["verdict", "metric", "interval", "validity"]

MAX_ANCHOR_CHARS = 80
"""Characters of an anchor: a name may be as long as its author likes."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word."""

    kind: Kind
    name: str
    """As the log has it."""
    meaning: str
    source: str
    """Paper and section; empty where it comes from none."""
    number: str = ""
    """Of a validity check in the literature list, such as ``S5``; empty for other words."""
    label: str = ""
    """As a reader calls it: its name, but for intervals."""
    anchor: str = ""
    """Its place on the page: a safe id, whatever the word is."""


_Sense = tuple[str, Term]
"""A measure, and what it says of a word."""


def glossary(items: Iterable[Item]) -> Mapping[tuple[Kind, str], Term]:
    """Return by kind and name every verdict, and each word that these items use."""
    all_items = tuple(items)
    terms: dict[tuple[Kind, str], Term] = {}
    anchors: set[str] = set()
    validity = (
        (item.measure, Term("validity", check.name, check.meaning, check.source, check.id))
        for item in all_items
        for check in item.validity
    )
    for term in chain(
        (Term("verdict", verdict.value, meaning, "") for verdict, meaning in VERDICTS.items()),
        _agreed(
            (item.measure, Term("metric", metric.name, metric.about, metric.source))
            for item in all_items
            for metric in item.metrics
        ),
        _intervals(all_items),
        sorted(_agreed(validity), key=_place),
    ):
        safe = re.sub(r"[^A-Za-z0-9_]+", "-", f"term-{term.kind}-{term.name}")
        anchor = first_free(safe[:MAX_ANCHOR_CHARS], anchors, "-")
        anchors.add(anchor)
        terms[term.kind, term.name] = replace(term, anchor=anchor, label=term.label or term.name)
    return terms


def _place(term: Term) -> tuple[bool, int, str]:
    """Sort S5 before S13, and what has no number last."""
    digits = re.search(r"\d+", term.number)
    return not term.number, int(digits[0]) if digits else 0, term.number


def _intervals(items: Sequence[Item]) -> Iterator[Term]:
    by_method = grouped(chain.from_iterable(map(_methods, items)))
    for method, confidences in by_method.items():
        unknown = method, "A method for intervals that this page does not describe.", ""
        label, meaning, source = INTERVALS.get(method, unknown)
        known_levels = sorted({level for level in confidences if level is not None})
        levels = listed([f"{100 * level:.4g} %" for level in known_levels])
        text = f"{meaning} Two-sided confidence here: {levels}." if levels else meaning
        yield Term("interval", method, text, source, label=label)


def _methods(item: Item) -> Iterator[tuple[str, float | None]]:
    yield from ((metric.method, metric.confidence) for metric in item.metrics if metric.method)
    changes = item.comparison.changes if item.comparison is not None else ()
    gates = (judgement.gate for judgement in item.judgements)
    for source in (*gates, *changes):
        if source is not None and source.paired is not None:
            yield source.paired.method, source.paired.confidence


def _agreed(senses: Iterable[_Sense]) -> Iterator[Term]:
    """Yield one term a name, however many items say something of it."""
    for same in grouped((sense[1].name, sense) for sense in dict.fromkeys(senses)).values():
        terms = [term for _, term in same]
        yield replace(
            terms[0],
            meaning=_meaning(same),
            source="; ".join(unique(term.source for term in terms if term.source)),
            number="; ".join(unique(term.number for term in terms if term.number)),
        )


def _meaning(senses: Iterable[_Sense]) -> str:
    """Return what a word means: to each measure, where they do not agree."""
    measures = grouped((term.meaning, measure) for measure, term in senses if term.meaning)
    if not measures:
        return "Its definition does not explain it."
    if len(measures) == 1:
        return next(iter(measures))
    return " ".join(f"In {listed(unique(of))}: {meaning}" for meaning, of in measures.items())
