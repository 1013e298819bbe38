"""Whether names, labels and colours mean the same to the network and to the images."""

from __future__ import annotations

import csv

import torch

from vision_evals.core.errors import NotApplicableError
from vision_evals.core.paths import data_folder
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
    undecided,
)
from vision_evals.validity.forwards import logits_of, preserved_rng
from vision_evals.validity.sample import mcnemar


def synset_table(evidence: Evidence) -> CheckResult:
    """Read the shipped table once more and hold the names of the logits against it."""
    classes = evidence.classifier.classes
    if classes.name != "imagenet":
        return undecided(f"the classes are {classes.name}, of which no table is shipped")
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
    """See whether the network knows more with red and blue swapped.

    Of images on which it fails by selection, such as adversarials, any change rights some. So the
    swap must also gain on what changes as much and mends nothing: all channels moved by one.
    """
    pixels = evidence.probe.pixels
    if torch.equal(pixels, pixels.flip(1)):
        return undecided("the images are grey")
    found = _better(evidence, {"with red and blue swapped": pixels.flip(1)})
    if found.outcome != "failed":
        return found
    with preserved_rng(pixels.device):
        swapped, moved = (
            _right(evidence, logits_of(evidence.classifier, changed))
            for changed in (pixels.flip(1), pixels.roll(1, dims=1))
        )
    gained, lost = int((swapped & ~moved).sum()), int((moved & ~swapped).sum())
    against = mcnemar(gained, lost, f"with all channels moved by one {int(moved.sum())}")
    said = f"{found.evidence}; {against.evidence}"
    return failed(said) if against.outcome == "failed" else undecided(said)


def scale(evidence: Evidence) -> CheckResult:
    """See whether the network knows more with brighter or darker numbers."""
    pixels = evidence.probe.pixels
    others = {"with pixels times 255": pixels * 255, "with pixels over 255": pixels / 255}
    return _better(evidence, others)


def _better(evidence: Evidence, others: dict[str, torch.Tensor]) -> CheckResult:
    """Compare with each of the others by McNemar's exact test, 1 % shared among them."""
    as_is = _right(evidence, evidence.probe.logits)
    found = []
    for what, pixels in others.items():
        with preserved_rng(pixels.device):
            altered = _right(evidence, logits_of(evidence.classifier, pixels))
        won = altered & ~as_is
        gained, lost = int(won.sum()), int((as_is & ~altered).sum())
        said = f"{what} {int(altered.sum())} of {len(as_is)} right, as declared {int(as_is.sum())}"
        if not as_is.any() and not altered.any():
            found.append(undecided(f"{said}: the network knows none of them"))
        elif gained > lost and _all_alike(evidence, won):
            found.append(undecided(f"{said}: all that it gains is of one class, as by a constant"))
        else:
            found.append(mcnemar(gained, lost, said, SIGNIFICANCE / len(others)))
    return _gravest(found)


def _right(evidence: Evidence, logits: torch.Tensor) -> torch.Tensor:
    answers = evidence.probe.answers
    if answers is None:
        raise NotApplicableError("the images have no labels")
    return first_is_right(logits, answers.accepted)


def _all_alike(evidence: Evidence, rows: torch.Tensor) -> bool:
    answers = evidence.probe.answers
    return answers is not None and len(torch.unique(answers.label[rows])) < 2


def _gravest(found: list[CheckResult]) -> CheckResult:
    outcomes = [finding.outcome for finding in found]
    for outcome in ("failed", "undecided", "passed"):
        if outcome in outcomes:
            said = "; ".join(one.evidence for one in found if one.outcome == outcome)
            return CheckResult(outcome, said)
    raise AssertionError("nothing was compared")


CHECKS = (
    ValidityCheck(
        id="S3", name="labels as the synset table",
        meaning="One line too many shifts the name of every class after it.",
        source="ILSVRC 2012 synsets in the order of torchvision's logits",
        scope="classifier", guards=every, run=synset_table,
    ),
    ValidityCheck(
        id="S3", name="channels in order",
        meaning="A network trained on BGR and fed RGB still answers, only worse.",
        source="McNemar 1947, exact; Caffe and OpenCV ports",
        scope="images", guards=labelled, run=channels,
    ),
    ValidityCheck(
        id="S3", name="input range",
        meaning="Pixels of another scale than the network was trained with still give answers.",
        source="McNemar 1947, exact, 1 % shared by two tests",
        scope="images", guards=labelled, run=scale,
    ),
)  # fmt: skip
