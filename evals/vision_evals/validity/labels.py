"""Whether class names, labels and channels mean the same to the network and to the images."""

from __future__ import annotations

import csv
import hashlib

import numpy as np
import torch

from vision_evals.core.errors import NotApplicableError
from vision_evals.core.paths import data_folder
from vision_evals.measures.binomial import at_least
from vision_evals.measures.probe import Answers
from vision_evals.models.answers import first_is_right
from vision_evals.validity.check import (
    SIGNIFICANCE,
    CheckResult,
    Evidence,
    ValidityCheck,
    every,
    failed,
    labelled,
    passed,
    reading,
    undecided,
    worst,
)
from vision_evals.validity.forwards import logits_of, preserved_rng

MIN_IMAGES_PER_CLASS = 5
"""Images of a class below which the order of classes cannot be tested."""


def mcnemar(gained: int, lost: int, text: str, alpha: float = SIGNIFICANCE) -> CheckResult:
    """Fail where chance alone gains so many with less than ``alpha`` (McNemar 1947, exact)."""
    chance = at_least(gained, gained + lost)
    evidence = f"{text} ({gained} gained, {lost} lost, p = {chance:.2g})"
    if chance < alpha:
        return failed(evidence)
    return passed(evidence) if gained <= lost else undecided(evidence)


def order(evidence: Evidence) -> CheckResult:
    """Fit the best renaming of the classes to half of the images, and test it on the other half.

    Each half is tested once, with the renaming that fits the other half best, so that no image
    is fitted and tested at once (linear assignment on the confusion matrix).
    """
    label, first = _rows(evidence)
    halves = np.array(
        [hashlib.sha256(str(image).encode()).digest()[0] % 2 for image in evidence.rows["image"]]
    )
    n = len(evidence.classifier.classes)
    renamed = np.empty_like(first)
    for half in (0, 1):
        fit, test = halves != half, halves == half
        renamed[test] = _assignment(label[fit], first[fit], n)[first[test]]
    won, missed = (renamed == label) & (first != label), (renamed != label) & (first == label)
    # a network with one answer for all images gains by a better constant, which is no order
    answers, counts = np.unique(first[won], return_counts=True)
    rest = first != (answers[counts.argmax()] if len(answers) else -1)
    gained, lost = int((won & rest).sum()), int((missed & rest).sum())
    sentence = (
        f"of {len(label)} images {int((first == label).sum())} right as named, "
        f"{int((renamed == label).sum())} under the best renaming; of all answers but "
        "that which gains most"
    )
    return mcnemar(gained, lost, sentence)


def _rows(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) labels and first answers, where they can show an order of classes."""
    rows, sample = evidence.rows, evidence.image_set.sample_of
    if sample != evidence.classifier.classes.name:
        raise NotApplicableError("the images are not declared to be a sample of its classes")
    if evidence.measure.axis is not None or not {"image", "label", "top5"} <= set(rows):
        raise NotApplicableError(f"rows of {evidence.measure.name} do not record the first answer")
    counts = rows["label"].value_counts()
    if len(counts) < 2 or counts.min() < MIN_IMAGES_PER_CLASS:
        raise NotApplicableError(
            f"{len(rows)} images of {len(counts)} classes, at least {counts.min()} of each; "
            f"{MIN_IMAGES_PER_CLASS} are needed"
        )
    first = np.array([int(top[0]) for top in rows["top5"]], dtype=np.int64)
    return rows["label"].to_numpy(np.int64), first


def _assignment(label: np.ndarray, first: np.ndarray, classes: int) -> np.ndarray:
    """Return (classes,) the class that each answer is best renamed to."""
    from scipy.optimize import linear_sum_assignment

    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (first, label), 1)
    # half an image: where the fit is undetermined, a class keeps its name
    _, names = linear_sum_assignment(confusion + np.eye(classes) / 2, maximize=True)
    return np.asarray(names)


def clean_accuracy(evidence: Evidence) -> CheckResult:
    """Compare the accuracy on a whole sample with the published one."""
    from scipy.stats import binomtest

    image_set, classifier, rows = evidence.image_set, evidence.classifier, evidence.rows
    published = classifier.published.get("top1_accuracy")
    if published is None:
        return undecided("no accuracy is published for these weights and this preprocessing")
    if image_set.sample_of != classifier.classes.name:
        return undecided(f"the images were chosen, not sampled from {classifier.classes.name}")
    if image_set.cut:
        return undecided(f"{len(image_set.images)} of {image_set.total} images were measured")
    if "correct1" not in rows or getattr(evidence.parameters, "among", "all") != "all":
        return undecided("the rows do not record which images are right among all classes")
    right, n = int(rows["correct1"].sum()), len(rows)
    if min(binomtest(k, n, published).pvalue for k in (0, n)) >= SIGNIFICANCE:
        return undecided(f"{n} images are too few for a published {published:.3f}")
    chance = float(binomtest(right, n, published).pvalue)
    sentence = f"{right} of {n} images right, {published:.3f} published (p = {chance:.2g})"
    return failed(sentence) if chance < SIGNIFICANCE else passed(sentence)


def synset_table(evidence: Evidence) -> CheckResult:
    """Compare the names of the logits with the shipped table, read once more."""
    classes = evidence.classifier.classes
    if classes.name != "imagenet":
        return undecided(f"the classes are {classes.name}, for which no table is shipped")
    file = data_folder("fixtures") / "labels" / "imagenet.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        table = {int(row["index"]): (row["synset"], row["name"]) for row in csv.DictReader(lines)}
    mine = dict(enumerate(zip(classes.synsets or (), classes.names, strict=False)))
    wrong = sorted(i for i in table.keys() | mine.keys() if table.get(i) != mine.get(i))
    if not wrong:
        return passed(f"{len(table)} synsets and names are those of the table, in its order")
    i = wrong[0]
    return failed(
        f"{len(wrong)} of {len(table)} classes are not the table's: "
        f"class {i} is {mine.get(i)}, in the table {table.get(i)}"
    )


def channels(evidence: Evidence) -> CheckResult:
    """Test whether the network is better with red and blue swapped.

    On images that were selected because the network fails, such as adversarials, any change makes
    some right. So the swap must also be better than an equally large change that repairs nothing:
    all channels moved by one.
    """
    pixels = evidence.probe.pixels
    if torch.equal(pixels, pixels.flip(1)):
        return undecided("the images are grey")
    result = _better(evidence, {"with red and blue swapped": pixels.flip(1)})
    if result.outcome != "failed":
        return result
    with preserved_rng(pixels.device):
        swapped, moved = (
            _right(evidence, logits_of(evidence.classifier, changed))
            for changed in (pixels.flip(1), pixels.roll(1, dims=1))
        )
    gained, lost = int((swapped & ~moved).sum()), int((moved & ~swapped).sum())
    against = mcnemar(gained, lost, f"with all channels moved by one {int(moved.sum())}")
    both = result.adding(against.evidence)
    return both if against.outcome == "failed" else undecided(both.evidence)


def scale(evidence: Evidence) -> CheckResult:
    """Test whether the network is better with pixels of a larger or smaller scale."""
    pixels = evidence.probe.pixels
    others = {"with pixels times 255": pixels * 255, "with pixels over 255": pixels / 255}
    return _better(evidence, others)


def _better(evidence: Evidence, others: dict[str, torch.Tensor]) -> CheckResult:
    """Compare with each variant by McNemar's exact test, 1 % shared among them."""
    as_is = _right(evidence, evidence.probe.logits)
    results = []
    for variant, pixels in others.items():
        with preserved_rng(pixels.device):
            altered = _right(evidence, logits_of(evidence.classifier, pixels))
        won = altered & ~as_is
        gained, lost = int(won.sum()), int((as_is & ~altered).sum())
        sentence = (
            f"{variant} {int(altered.sum())} of {len(as_is)} right, as declared {int(as_is.sum())}"
        )
        if not as_is.any() and not altered.any():
            results.append(undecided(f"{sentence}: no answer is right"))
        elif gained > lost and len(torch.unique(_answers(evidence).label[won])) < 2:
            text = f"{sentence}: all gains are of one class, as a constant answer would give"
            results.append(undecided(text))
        else:
            results.append(mcnemar(gained, lost, sentence, SIGNIFICANCE / len(others)))
    return worst(results)


def _answers(evidence: Evidence) -> Answers:
    if evidence.probe.answers is None:
        raise NotApplicableError("the images have no labels")
    return evidence.probe.answers


def _right(evidence: Evidence, logits: torch.Tensor) -> torch.Tensor:
    return first_is_right(logits, _answers(evidence).accepted)


CHECKS = (
    ValidityCheck(
        id="S3", name="labels as the synset table",
        meaning="One extra line in a table of classes shifts the names of all later classes.",
        source="ILSVRC 2012 synsets in the order of torchvision's logits",
        scope="classifier", guards=every, run=synset_table,
    ),
    ValidityCheck(
        id="S3", name="channels in order",
        meaning="A network that was trained on BGR still answers on RGB, but worse.",
        source="McNemar 1947, exact; Caffe and OpenCV ports",
        scope="images", guards=labelled, run=channels,
    ),
    ValidityCheck(
        id="S3", name="input range",
        meaning="Pixels of another scale than the network was trained with still give answers.",
        source="McNemar 1947, exact, 1 % shared by two tests",
        scope="images", guards=labelled, run=scale,
    ),
    ValidityCheck(
        id="S3", name="clean accuracy as published",
        meaning="A network with another accuracy than published is another network, or gets other "
        "pixels.",
        source="Carlini et al. 2019, section 5; exact binomial test, two-sided at 1 %",
        guards=reading("correct1"), run=clean_accuracy,
    ),
    ValidityCheck(
        id="S3", name="no better order of labels",
        meaning="Labels in another order than the logits make a good network look random.",
        source="Linear assignment on the confusion matrix, held-out halves, McNemar 1947",
        guards=labelled, run=order,
    ),
)  # fmt: skip
