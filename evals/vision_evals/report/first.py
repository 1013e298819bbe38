"""The first screen: how often each verdict was given, what failed, and what was not judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from vision_evals.log import Item, Run, Verdict
from vision_evals.report import words
from vision_evals.report.checks import CheckView
from vision_evals.report.groups import grouped
from vision_evals.report.sentences import Sentence, sentences

MAX_OPEN = 8
"""Of a long list on the first screen that much stands in the open."""

Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True)
class Folded(Generic[Shown]):
    """A long list, of which the first stand in the open."""

    open: tuple[Shown, ...]
    more: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure in a sentence, where its evidence is, and how to reproduce it."""

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
class Note:
    """What failed without failing the run: how often, and where the page shows it."""

    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Why a network was not judged by some checks."""

    verdict: Verdict
    classifier: str
    colour: str
    checks: str
    reason: str


def folded(shown: Sequence[Shown], most: int = MAX_OPEN) -> Folded[Shown]:
    """Return a list of which ``most`` stand in the open."""
    return Folded(tuple(shown[:most]), tuple(shown[most:]))


def failures(bad: Sequence[CheckView]) -> Folded[Failure]:
    """Return a sentence for each failure of the checks, the worst first.

    Args:
        bad: checks that need attention; the evidence of the first stands at ``failure-1``.
    """
    all_sentences = [
        Failure(sentence, f"failure-{number}", check.command)
        for number, check in enumerate(bad, 1)
        for sentence in sentences(check.item)
    ]
    return folded(
        sorted(all_sentences, key=lambda finding: words.BAD.index(finding.sentence.verdict))
    )


def notes(checks: Sequence[CheckView]) -> tuple[Note, ...]:
    """Return how much failed that the suites excuse or only warn of."""
    excused = [entry.judgement for check in checks for entry in check.excused]
    known = sum(judgement.known is not None for judgement in excused)
    validity = sum(len(check.warned) for check in checks)
    counts = (
        (len(excused) - known, "expectation", "that only warns", "that only warn", "excused"),
        (known, "expectation", "known to fail", "known to fail", "excused"),
        (validity, "validity check", "that warns", "that warn", "warned"),
    )
    return tuple(
        Note(words.plural(n, f"{noun} {singular}", f"{noun}s {plural}"), anchor)
        for n, noun, singular, plural, anchor in counts
        if n
    )


def counts(run: Run) -> tuple[Count, ...]:
    """Return how often each verdict was given."""
    return tuple(_counts(run))


def _counts(run: Run) -> Iterator[Count]:
    for verdict in Verdict:
        items = [item for item in run.items if item.verdict is verdict]
        names, anchor = list[str](), "unjudged"
        if verdict is Verdict.RECORDED:
            names, anchor = [item.check for item in items], "checks"
        elif verdict is Verdict.NOT_APPLICABLE:
            names = [f"{item.check} ({item.classifier})" for item in items]
        elif verdict is Verdict.UNAVAILABLE:
            names = [item.classifier for item in items]
            names += [alias for alias, _ in _unavailable(run)]
        yield Count(verdict, len(items), words.named(names), anchor if names else None)


def unjudged(run: Run, colours: Mapping[str, str]) -> Folded[Unjudged]:
    """Return what was not judged and why, the checks of one network and reason together."""
    groups = grouped(
        ((item.verdict, item.classifier, item.sentence), item)
        for item in run.items
        if item.verdict in {Verdict.NOT_APPLICABLE, Verdict.UNAVAILABLE}
    )
    reasons = [(*key, _checks(items)) for key, items in groups.items()]
    reasons.sort(key=lambda reason: reason[0])
    reasons += [(Verdict.UNAVAILABLE, alias, reason, "") for alias, reason in _unavailable(run)]
    return folded([Unjudged(v, a, colours[a], checks, why) for v, a, why, checks in reasons])


def _checks(items: Sequence[Item]) -> str:
    return items[0].check if len(items) == 1 else words.plural(len(items), "check")


def _unavailable(run: Run) -> Iterator[tuple[str, str]]:
    """Yield networks that no check was held against because they are unavailable, and why."""
    judged = {item.classifier for item in run.items}
    for card in run.classifiers:
        if card.unavailable is not None and card.alias not in judged:
            yield card.alias, card.unavailable
