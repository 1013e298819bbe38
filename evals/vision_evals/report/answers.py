"""What a classifier answered to an image, and whether it was right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vision_evals.log import Classifier, Item
from vision_evals.report import files, rounding
from vision_evals.report.words import listed

Key = tuple[str, str, str]
"""Image set, measure, image: items that share it show the same picture."""

OVERCONFIDENT = 0.5
"""Confidence above which an unlabelled answer is called so, where the check sets no other."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the classes a classifier finds likeliest."""

    name: str
    confidence: float
    share: str
    right: bool


@dataclass(frozen=True, slots=True)
class AnswerColumn:
    """One classifier's answers to one image."""

    classifier: str
    colour: str
    checks: str
    answers: tuple[Answer, ...]
    labelled: bool
    stable: bool | None
    limit: float

    @property
    def confidence(self) -> float | None:
        """Of the likeliest class."""
        return self.answers[0].confidence if self.answers else None

    @property
    def wrong(self) -> bool:
        """Whether the likeliest class is known to be none of the right ones."""
        return self.labelled and not self.answers[0].right

    @property
    def overconfident(self) -> bool:
        """Whether it is confident although the image has no label."""
        return not self.labelled and (self.confidence or 0.0) > self.limit

    @property
    def steadiness(self) -> str | None:
        """Whether the answer outlives a change that no person would see, where that was tried."""
        if self.stable is None:
            return None
        if self.stable:
            return "stable under a small shift and re-encoding"
        return "not stable: a small shift or re-encoding changes the answer"

    @property
    def right(self) -> str:
        """What these answers come to, in words."""
        if not self.labelled:
            return "no label to judge by"
        hits = [place for place, answer in enumerate(self.answers, 1) if answer.right]
        if not hits:
            return f"no right answer among the {len(self.answers)} likeliest"
        return "right" if hits[0] == 1 else f"right in place {hits[0]}"


def set_of(item: Item) -> tuple[str, str]:
    """Return what items must share for their pictures to be the same."""
    return item.images or "", item.measure


def columns_of(
    key: Key,
    items: Sequence[Item],
    tables: Mapping[str, Mapping[str, files.TableRow]],
    classifiers: Mapping[str, Classifier],
    colours: Mapping[str, str],
) -> Iterator[AnswerColumn]:
    """Yield a column a classifier; checks that saw the same share one."""
    same: dict[tuple[str, tuple[Answer, ...], bool | None], list[Item]] = {}
    labelled: dict[str, bool] = {}
    for item in items:
        row = tables.get(item.id, {}).get(key[2])
        if row is None or set_of(item) != key[:2] or not row.get("top5"):
            continue
        right = right_classes(row)
        labelled[item.id] = bool(right)
        answers = answers_of(row, classifiers.get(item.classifier))
        same.setdefault((item.classifier, answers, row.get("stable")), []).append(item)
    aliases = [alias for alias, _, _ in same]
    for (alias, answers, stable), sharing in same.items():
        several = aliases.count(alias) > 1
        yield AnswerColumn(
            classifier=alias,
            colour=colours[alias],
            checks=listed([item.check for item in sharing]) if several else "",
            answers=answers,
            labelled=labelled[sharing[0].id],
            stable=stable,
            limit=_limit(sharing[0]),
        )


def _limit(item: Item) -> float:
    limit = item.parameters.get("overconfident")
    return float(limit) if isinstance(limit, int | float) else OVERCONFIDENT


def agree(columns: Sequence[AnswerColumn]) -> bool | None:
    """Whether the classifiers find the same class likeliest; None for fewer than two."""
    if len({column.classifier for column in columns}) < 2:
        return None
    return len({column.answers[0].name for column in columns}) == 1


def agreement(columns: Sequence[AnswerColumn]) -> str | None:
    """Say where the classifiers agree; None for fewer than two."""
    agreed = agree(columns)
    if agreed is None:
        return None
    aliases = {column.classifier for column in columns}
    many = "Both" if len(aliases) == 2 else f"All {len(aliases)}"
    if agreed:
        return f"{many} networks say {columns[0].answers[0].name}."
    named = [{answer.name for answer in column.answers} for column in columns]
    shared = sorted(set.intersection(*named))
    more = f" {many} have {listed(shared)} among their likeliest." if shared else ""
    return f"The networks disagree.{more}"


def right_classes(row: files.TableRow) -> set[int]:
    """Return every class that counts as right, the label among them."""
    right = {index for index in row.get("accepted") or () if index is not None}
    label = row.get("label")
    return right | ({int(label)} if label is not None else set())


def right_names(row: files.TableRow, card: Classifier | None) -> list[str]:
    """Return what the right classes are called, the label first."""
    first = row.get("label")
    order = sorted(right_classes(row), key=lambda index: (index != first, index))
    return [class_name(index, card) for index in order]


def answers_of(row: files.TableRow, card: Classifier | None) -> tuple[Answer, ...]:
    """Return the likeliest classes of a row that holds them, the likeliest first."""
    right = right_classes(row)
    confidences = row.get("top5_confidence") or [None] * len(row["top5"])
    return tuple(
        _answer(class_name(index, card), confidence, right=index in right)
        for index, confidence in zip(row["top5"], confidences, strict=False)
    )


def _answer(name: str, confidence: float | None, *, right: bool) -> Answer:
    # a broken network answers with numbers that are none
    if confidence is None or not math.isfinite(confidence):
        return Answer(name, 0.0, "none", right)
    return Answer(name, min(max(confidence, 0.0), 1.0), rounding.share(confidence), right)


def class_name(index: int, card: Classifier | None) -> str:
    """Return the name of a class, or its number where the log has no name."""
    names = card.class_names if card else ()
    return names[index] if 0 <= index < len(names) else f"class {index}"
