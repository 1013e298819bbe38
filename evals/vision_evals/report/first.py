"""The first screen: how often each verdict was given, what fell, and what was not judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from vision_evals.log import Item, Run, Verdict
from vision_evals.report import words
from vision_evals.report.checks import Check
from vision_evals.report.sentences import Sentence, sentences

MOST = 8
"""Of a long list on the first screen that much stands in the open."""

Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True)
class Folded(Generic[Shown]):
    """A long list, of which the first stand in the open."""

    open: tuple[Shown, ...]
    more: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fall in a sentence, where its evidence stands, and how to see it again."""

    sentence: Sentence
    anchor: str
    command: str


@dataclass(frozen=True, slots=True)
class Count:
    """How often a verdict was given; of those that judge nothing also to whom."""

    verdict: Verdict
    n: int
    names: str
    anchor: str | None


@dataclass(frozen=True, slots=True)
class Aside:
    """What fell and fails nothing: how often, and where it stands."""

    said: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Why a network was not judged by some checks."""

    verdict: Verdict
    classifier: str
    colour: str
    checks: str
    reason: str


def folded(shown: Sequence[Shown], most: int = MOST) -> Folded[Shown]:
    """Return a list of which ``most`` stand in the open."""
    return Folded(tuple(shown[:most]), tuple(shown[most:]))


def findings(bad: Sequence[Check]) -> Folded[Finding]:
    """Return a sentence for each fall of the checks, the worst first.

    Args:
        bad: checks that ask for attention; the evidence of the first stands at ``failure-1``.
    """
    found = [
        Finding(sentence, f"failure-{number}", check.command)
        for number, check in enumerate(bad, 1)
        for sentence in sentences(check.item)
    ]
    return folded(sorted(found, key=lambda one: words.BAD.index(one.sentence.verdict)))


def asides(checks: Sequence[Check]) -> tuple[Aside, ...]:
    """Return how much fell that the suites excuse or only warn of."""
    excused = [fall.judgement for check in checks for fall in check.excused]
    known = sum(judgement.known is not None for judgement in excused)
    validity = sum(len(check.warned) for check in checks)
    told = (
        (len(excused) - known, "expectation that only warns", "expectations that only warn"),
        (known, "expectation known to fall", "expectations known to fall"),
        (validity, "validity check that warns", "validity checks that warn"),
    )
    anchors = ("excused", "excused", "warned")
    return tuple(
        Aside(words.plural(*said), anchor)
        for said, anchor in zip(told, anchors, strict=True)
        if said[0]
    )


def counts(run: Run) -> tuple[Count, ...]:
    """Return how often each verdict was given."""
    given = Counter(item.verdict for item in run.items)
    return tuple(_count(verdict, given[verdict], run) for verdict in Verdict)


def _count(verdict: Verdict, n: int, run: Run) -> Count:
    items = [item for item in run.items if item.verdict is verdict]
    names: Iterable[str] = ()
    anchor = None
    if verdict is Verdict.RECORDED:
        names, anchor = (item.check for item in items), "checks"
    elif verdict is Verdict.NOT_APPLICABLE:
        names, anchor = (f"{item.check} ({item.classifier})" for item in items), "unjudged"
    elif verdict is Verdict.UNAVAILABLE:
        away = [item.classifier for item in items]
        names, anchor = [*away, *(alias for alias, _ in _away(run))], "unjudged"
    said = words.named(names)
    return Count(verdict, n, said, anchor if said else None)


def unjudged(run: Run, colours: Mapping[str, str]) -> Folded[Unjudged]:
    """Return what was not judged and why, the checks of one network and reason together."""
    silent = {Verdict.NOT_APPLICABLE, Verdict.UNAVAILABLE}
    groups: dict[tuple[Verdict, str, str], list[Item]] = {}
    for item in (item for item in run.items if item.verdict in silent):
        groups.setdefault((item.verdict, item.classifier, item.sentence), []).append(item)
    found = [
        Unjudged(verdict, alias, colours[alias], _checks(items), reason)
        for (verdict, alias, reason), items in groups.items()
    ]
    away = (Unjudged(Verdict.UNAVAILABLE, a, colours[a], "", reason) for a, reason in _away(run))
    return folded((*sorted(found, key=lambda one: one.verdict), *away))


def _checks(items: Sequence[Item]) -> str:
    return items[0].check if len(items) == 1 else words.plural(len(items), "check")


def _away(run: Run) -> Iterator[tuple[str, str]]:
    """Yield networks that no check was held against because they are unavailable, and why."""
    asked = {item.classifier for item in run.items}
    for card in run.classifiers:
        if card.unavailable is not None and card.alias not in asked:
            yield card.alias, card.unavailable
