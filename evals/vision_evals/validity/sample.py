"""What only a whole sample of the classes can tell: its accuracy, and the order of its labels."""

from __future__ import annotations

import hashlib

import numpy as np

from vision_evals.core.errors import NotApplicableError
from vision_evals.validity.check import (
    SIGNIFICANCE,
    CheckResult,
    Evidence,
    ValidityCheck,
    failed,
    labelled,
    passed,
    reading,
    undecided,
)

MIN_IMAGES_PER_CLASS = 5
"""Images of a class from which its place among the others can be told."""


def mcnemar(gained: int, lost: int, said: str, rare: float = SIGNIFICANCE) -> CheckResult:
    """Fall where so many are gained by chance with less than ``rare`` (McNemar 1947, exact)."""
    from scipy.stats import binom

    chance = float(binom.sf(gained - 1, gained + lost, 0.5)) if gained + lost else 1.0
    said = f"{said} ({gained} gained, {lost} lost, p = {chance:.2g})"
    if chance < rare:
        return failed(said)
    return passed(said) if gained <= lost else undecided(said)


def order(evidence: Evidence) -> CheckResult:
    """Fit the best renaming of the classes to half of the images, and try it on the other half.

    Each half is tried once, with what fits the other one best, so that no image vouches for
    itself (linear assignment on the confusion matrix).
    """
    label, first = _rows(evidence)
    halves = np.array(
        [hashlib.sha256(str(one).encode()).digest()[0] % 2 for one in evidence.rows["image"]]
    )
    n = len(evidence.classifier.classes)
    renamed = np.empty_like(first)
    for half in (0, 1):
        fit, test = halves != half, halves == half
        renamed[test] = _assignment(label[fit], first[fit], n)[first[test]]
    won, missed = (renamed == label) & (first != label), (renamed != label) & (first == label)
    # a network that says one thing of everything gains by a better constant, which is no order
    answers, counts = np.unique(first[won], return_counts=True)
    rest = first != (answers[counts.argmax()] if len(answers) else -1)
    gained, lost = int((won & rest).sum()), int((missed & rest).sum())
    said = (
        f"of {len(label)} images {int((first == label).sum())} right as named, "
        f"{int((renamed == label).sum())} under the best renaming; of all answers but "
        "that which gains most"
    )
    return mcnemar(gained, lost, said)


def _rows(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) labels and first answers, where they can show an order of classes."""
    rows, sample = evidence.rows, evidence.image_set.sample_of
    if sample != evidence.classifier.classes.name:
        raise NotApplicableError("the images are not declared to be a sample of its classes")
    if evidence.measure.axis is not None or not {"image", "label", "top5"} <= set(rows):
        raise NotApplicableError(f"rows of {evidence.measure.name} do not say the first answer")
    counts = rows["label"].value_counts()
    if len(counts) < 2 or counts.min() < MIN_IMAGES_PER_CLASS:
        raise NotApplicableError(
            f"{len(rows)} images of {len(counts)} classes, at least {counts.min()} of each; "
            f"{MIN_IMAGES_PER_CLASS} are needed"
        )
    first = np.array([int(top[0]) for top in rows["top5"]], dtype=np.int64)
    return rows["label"].to_numpy(np.int64), first


def _assignment(label: np.ndarray, first: np.ndarray, classes: int) -> np.ndarray:
    """Return (classes,) what each answer had best be called."""
    from scipy.optimize import linear_sum_assignment

    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (first, label), 1)
    # half an image: where the fit says nothing, a class keeps its name
    _, names = linear_sum_assignment(confusion + np.eye(classes) / 2, maximize=True)
    return np.asarray(names)


def clean_accuracy(evidence: Evidence) -> CheckResult:
    """Hold the accuracy on a whole sample against the published one."""
    from scipy.stats import binomtest

    image_set, classifier, rows = evidence.image_set, evidence.classifier, evidence.rows
    published = classifier.published.get("top1_accuracy")
    if published is None:
        return undecided("no accuracy is published of these weights and this preprocessing")
    if image_set.sample_of != classifier.classes.name:
        return undecided(f"the images were chosen, not sampled from {classifier.classes.name}")
    if image_set.cut:
        return undecided(f"{len(image_set.images)} of {image_set.total} images were looked at")
    if "correct1" not in rows or getattr(evidence.parameters, "among", "all") != "all":
        return undecided("the rows do not say which images are right among all classes")
    right, n = int(rows["correct1"].sum()), len(rows)
    if min(binomtest(k, n, published).pvalue for k in (0, n)) >= SIGNIFICANCE:
        return undecided(f"{n} images are too few for a published {published:.3f}")
    chance = float(binomtest(right, n, published).pvalue)
    said = f"{right} of {n} images right, {published:.3f} published (p = {chance:.2g})"
    return failed(said) if chance < SIGNIFICANCE else passed(said)


CHECKS = (
    ValidityCheck(
        id="S3", name="clean accuracy as published",
        meaning="A network that knows more or less than was published is not the published one, "
        "or not shown what it was shown.",
        source="Carlini et al. 2019, section 5; exact binomial test, two-sided at 1 %",
        guards=reading("correct1"), run=clean_accuracy,
    ),
    ValidityCheck(
        id="S3", name="no better order of labels",
        meaning="Labels in another order than the logits make a good network look like chance.",
        source="Linear assignment on the confusion matrix, held-out halves, McNemar 1947",
        guards=labelled, run=order,
    ),
)  # fmt: skip
