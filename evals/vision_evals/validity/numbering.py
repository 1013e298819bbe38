"""Whether labels number the classes as the logits do: from 0, and in the same order."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from math import comb, factorial
from typing import NamedTuple

import numpy as np

from vision_evals.core.errors import NotApplicableError
from vision_evals.images.labels import ClassMap
from vision_evals.measures.binomial import at_least
from vision_evals.models.answers import first_is_right
from vision_evals.validity.check import (
    SIGNIFICANCE,
    CheckResult,
    Evidence,
    ValidityCheck,
    failed,
    labelled,
    passed,
    undecided,
)

CHANCE = 0.25
"""How likely the usual mistake on a class is the one that another numbering predicts. Higher than
what networks do, since hard images are often taken for the neighbouring class."""


class Renumbering(NamedTuple):
    """What the labels would mean under another numbering."""

    meaning: str
    """In words: ``if labels are shifted by one (they count from 1)``."""
    right: int
    """Images that would be right."""
    p: float
    """How likely a network that is wrong for another reason agrees so well."""


def numbering(evidence: Evidence) -> CheckResult:
    """Compare the usual answer on each class with the class that other numberings predict.

    Classes count, not images: images of one class share their mistake. A network that is right on
    most classes passes, whatever it answers on the others.
    """
    label, first = _answers(evidence)
    right, usual = int((label == first).sum()), _usual(label, first)
    classes = evidence.classifier.classes
    chance = max(CHANCE, 1 / max(1, len(classes) - 1))
    kept = sum(usual[c] == c for c in usual)
    as_labelled = f"on {kept} of {len(usual)} classes the usual answer is the label"
    if 2 * kept > len(usual) or at_least(kept, len(usual), chance) < SIGNIFICANCE:
        return passed(as_labelled)
    others = [
        Renumbering(
            meaning,
            int((true[label] == first).sum()),
            at_least(sum(usual[c] == true[c] != c for c in usual), len(usual), chance),
        )
        for meaning, true in _orders(classes)
    ]
    others += _own_classes(label, first, usual, evidence)
    best = min(others, key=lambda other: (other.p, -other.right), default=None)
    n = len(label)
    if best is None or best.right <= right:
        return undecided(as_labelled)
    sentence = (
        f"accuracy is {right / n:.2f} as labelled, and {best.right / n:.2f} {best.meaning} "
        f"({n} images of {len(usual)} classes, p = {min(1.0, best.p * len(others)):.2g})"
    )
    if best.p * len(others) < SIGNIFICANCE:
        return failed(f"{sentence}; correct the labels, or the order of the class list")
    return undecided(sentence)


def _answers(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) labels and first answers, an accepted one as the label.

    Of all images where the rows record them, else of those that are shown to validity checks.
    """
    rows, answers = evidence.rows, evidence.probe.answers
    everywhere = getattr(evidence.parameters, "among", "all") == "all"
    if evidence.measure.axis is None and everywhere and {"label", "top5", "correct1"} <= set(rows):
        label = rows["label"].to_numpy(np.int64)
        first = np.array([int(top[0]) for top in rows["top5"]], dtype=np.int64)
        return label, np.where(rows["correct1"].astype(bool), label, first)
    if answers is None:
        raise NotApplicableError("the images have no labels")
    logits = evidence.probe.logits
    wrong = ~first_is_right(logits, answers.accepted)
    seen = logits.argmax(dim=1).where(wrong, answers.label)
    return answers.label.cpu().numpy(), seen.cpu().numpy()


def _usual(label: np.ndarray, first: np.ndarray) -> dict[int, int]:
    """Return the most frequent answer of each class, in their order; the label in a tie."""
    counts = Counter(zip(label.tolist(), first.tolist(), strict=True))
    usual: dict[int, int] = {}
    for c, answer in sorted(counts, key=lambda pair: (pair[0], -counts[pair], pair[0] != pair[1])):
        usual.setdefault(c, answer)
    return usual


def _orders(classes: ClassMap) -> Iterator[tuple[str, np.ndarray]]:
    """Yield common mistakes of numbering: what they are, and (classes,) what a label means."""
    n = len(classes)
    numbers = np.arange(n)
    known = {numbers.tobytes()}
    mistakes = [
        ("if labels are shifted by one (they count from 1)", np.roll(numbers, 1)),
        (
            "if labels are shifted by one (the network has a class before them)",
            np.roll(numbers, -1),
        ),
    ]
    texts: dict[str, Sequence[str]] = {"numbers": [str(i) for i in range(n)]}
    texts |= {"class names": classes.names, "synsets": classes.synsets or ()}
    for what, names in texts.items():
        order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
        place = np.argsort(order)
        mistakes.append((f"if the logits come in the order of {what} sorted as text", place))
        mistakes.append((f"if the labels come in the order of {what} sorted as text", order))
    for meaning, true in mistakes:
        if len(true) == n and true.tobytes() not in known:
            known.add(true.tobytes())
            yield meaning, true


def _own_classes(
    label: np.ndarray, first: np.ndarray, usual: dict[int, int], evidence: Evidence
) -> Iterator[Renumbering]:
    """Yield the mistake of numbering only the classes of the set, from 0: the folders' order.

    Their usual answers then rise with the label, and most lie beyond the highest one. Of random
    answers, l of m rise with a probability of at most C(m, l) / l!.
    """
    answers = evidence.probe.answers
    among = [] if answers is None else answers.among.tolist()
    if among != list(range(len(among))) or len(among) == len(evidence.classifier.classes):
        return
    beyond = {c: answer for c, answer in usual.items() if answer >= len(among)}
    rising = _longest_rise(list(beyond.values()))
    if 2 * rising <= len(usual):
        return
    right = sum(int(((label == c) & (first == usual[c])).sum()) for c in beyond)
    p = comb(len(beyond), rising) / factorial(rising)
    yield Renumbering("at best if labels number the folders of this set, not the logits", right, p)


def _longest_rise(values: Sequence[int]) -> int:
    """Return the length of the longest strictly rising subsequence (Fredman 1975)."""
    ends: list[int] = []
    for value in values:
        place = bisect_left(ends, value)
        ends[place : place + 1] = [value]
    return len(ends)


CHECKS = (
    ValidityCheck(
        id="S3", name="labels number the logits",
        meaning="Labels that count from 1, or number sorted folders, make a good network look "
        "random.",
        source="torchvision's ImageFolder sorts 0, 1, 10; exact binomial test over classes, 1 % "
        "shared by the numberings",
        scope="images", guards=labelled, run=numbering,
    ),
)  # fmt: skip
