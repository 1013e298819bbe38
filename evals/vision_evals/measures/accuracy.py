"""Top-1 and top-5 accuracy, calibration error and log loss, beside what humans reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Metric, Plot, Reference, WorstFirst
from vision_evals.measures.confidences import BINS, places, reliability, spread
from vision_evals.measures.measure import Drawing, Measure, Subject
from vision_evals.measures.metrics import (
    absent,
    each,
    fraction,
    hold_known_answers,
    known_answers,
    resampled,
)
from vision_evals.suite.spec import BY_DECISION, BY_LOSS, MetricSpec

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from vision_evals.images.image_set import ImageSet
    from vision_evals.images.labels import ClassMap
    from vision_evals.measures.measure import Columns
    from vision_evals.measures.probe import Probe

TOP = 5


class Parameters(Table):
    """Parameters of ``accuracy``."""

    among: Literal["all", "set"] = "all"
    """Which classes can be predicted: all, or only those that occur in the image set, as is
    usual for ImageNet-A and ImageNet-R (200 of 1000 classes)."""
    expected_top1: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Classifier alias to image id to the class that it is known to put first."""


def observe(probe: Probe, parameters: Parameters) -> Columns:
    """Return per image: the five likeliest classes, whether they are right, and the log loss."""
    import torch

    answers = probe.answers
    assert answers is not None, "a measure with labels=True is only asked of labelled images"
    logits, competing = probe.logits, probe.logits.shape[1]
    if parameters.among == "set":
        allowed = logits[:, answers.among]
        logits = torch.full_like(logits, -torch.inf).index_copy(1, answers.among, allowed)
        competing = len(answers.among)
    log_probabilities = logits.log_softmax(dim=1)
    top = log_probabilities.topk(min(TOP, competing), dim=1)
    place = _place(log_probabilities, answers.accepted)
    return {
        "top5": top.indices,
        "top5_confidence": top.values.exp(),
        "confidence": top.values[:, 0].exp(),
        "correct1": place < 1,
        "correct5": place < TOP,
        "nll": -log_probabilities.gather(1, answers.label[:, None])[:, 0],
        "competing": torch.full_like(answers.label, competing),
    }


def _place(log_probabilities: torch.Tensor, accepted: torch.Tensor) -> torch.Tensor:
    """Return (n,) how many wrong classes are at least as likely as the likeliest right one.

    A tie is lost: a network that says the same of every class knows nothing.
    """
    import torch

    n, classes = log_probabilities.shape
    right = torch.zeros(n, classes + 1, dtype=torch.bool, device=accepted.device)
    right = right.scatter(1, accepted.where(accepted >= 0, classes), True)[:, :classes]
    best = log_probabilities.where(right, -torch.inf).amax(dim=1, keepdim=True)
    return ((log_probabilities >= best) & ~right).sum(dim=1)


def prepare(image_set: ImageSet, classes: ClassMap, alias: str, parameters: Parameters) -> None:
    """Hold the listed answers against the classes and the images; UserError for a typo."""
    hold_known_answers(parameters.expected_top1.get(alias, {}), image_set, classes, alias)


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return top-1, top-5, ECE, NLL and the share of known answers that came out."""
    confidence = rows["confidence"].to_numpy(np.float64)
    correct = rows["correct1"].to_numpy(np.float64)
    nll = rows["nll"].to_numpy(np.float64)
    answers = parameters.expected_top1.get(subject.alias, {})
    return (
        fraction("top1_accuracy", rows["correct1"], subject),
        _top5(rows, subject),
        resampled("ece", calibration_error, (confidence, correct), subject),
        resampled("nll", np.mean, (nll,), subject, unit="nats"),
        known_answers(rows, answers, subject),
    )


def calibration_error(confidence: NDArray[np.floating], correct: NDArray[np.floating]) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3): 15 equal-width bins (lo, hi], l1.

    Args:
        confidence: (n,) highest softmax probability.
        correct: (n,) 1 where the top-1 class is right, else 0.
    """
    gap = np.bincount(places(confidence, BINS), weights=confidence - correct)
    return float(np.abs(gap).sum() / len(confidence))


def plots(
    rows: pd.DataFrame,
    parameters: Parameters,  # noqa: ARG001 - none of them
    subject: Subject,
) -> tuple[Plot, ...]:
    """Return the reliability diagram, and how sure right and wrong answers are."""
    confidence, correct = rows["confidence"].to_numpy(np.float64), rows["correct1"].to_numpy(bool)
    answers = {"right": confidence[correct], "wrong": confidence[~correct]}
    return (
        reliability(confidence, correct, subject),
        spread("Confidence of right and wrong answers", answers, len(rows)),
    )


def badness(rows: pd.DataFrame) -> pd.Series[float]:
    """Return the log loss: confident mistakes first."""
    return rows.set_index("image")["nll"]


def explain(probe: Probe, rows: pd.DataFrame, parameters: Parameters) -> tuple[Drawing, ...]:
    """Return each photograph as the network saw it."""
    del parameters
    names = probe.classifier.classes.names
    drawings = []
    columns = (rows[name] for name in ("label", "top5", "confidence"))
    for image, pixels, label, top5, confidence in zip(
        probe.ids, probe.pixels, *columns, strict=True
    ):
        said = f"{names[top5[0]]} {confidence:.2f}"
        drawings.append(Drawing(image, pixels, f"{names[label]}, seen as {said}"))
    return tuple(drawings)


def _top5(rows: pd.DataFrame, subject: Subject) -> Metric:
    competing = int(rows["competing"].min())
    if competing > TOP:
        return fraction("top5_accuracy", rows["correct5"], subject)
    reason = f"of {competing} classes every one is among the five likeliest"
    return absent("top5_accuracy", reason, n=len(rows))


_SOURCE = "Russakovsky et al. 2015, section 6.4; numbers of images from the lecture"
HUMANS = (
    Reference(
        label="human annotator 1",
        metric="top5_accuracy",
        value=0.949,
        n=1500,
        source=_SOURCE,
        classes="imagenet",
    ),
    Reference(label="human annotator 2", metric="top5_accuracy", value=0.88, n=258, source=_SOURCE),
)
"""Two people who labelled ImageNet photographs; bands to look at, never pass marks."""

MEASURE = Measure(
    name="accuracy",
    about="How often the right class comes first, or among the five likeliest.",
    parameters=Parameters,
    class_columns=("top5",),
    labels=True,
    references=HUMANS,
    metrics=(
        MetricSpec(
            "top1_accuracy",
            "Share of images whose likeliest class is a right one.",
            source="Krizhevsky et al. 2012, section 2",
            interval="wilson",
            per_image=each("correct1"),
            numeric_error=BY_DECISION,
        ),
        MetricSpec(
            "top5_accuracy",
            "Share of images with a right class among the five likeliest.",
            source="Russakovsky et al. 2015, section 4.1",
            interval="wilson",
            per_image=each("correct5"),
            headline=Headline(label="top-5 accuracy", rank=1),
        ),
        MetricSpec(
            "ece",
            "Expected calibration error (15 equal-width bins): how far confidence and accuracy "
            "lie apart, averaged over images. 0 means that of all answers given with confidence "
            "0.8, eight in ten are right.",
            source="Guo et al. 2017, section 2; Naeini et al. 2015",
            # no interval to gate on: the error of few images is biased upwards, resamples more so
            higher_is_better=False,
        ),
        MetricSpec(
            "nll",
            "Negative log-likelihood: minus the logarithm of the probability given to the label, "
            "averaged over images. Confident mistakes cost most.",
            source="Guo et al. 2017, section 2",
            unit="nats",
            range=(0.0, float("inf")),
            higher_is_better=False,
            interval="bootstrap",
            per_image=each("nll"),
            numeric_error=BY_LOSS,
        ),
        MetricSpec(
            "expected_top1",
            "Share of the images listed in the check on which the classifier puts first exactly "
            "the class that it is known to put first. Below 1, weights, preprocessing or "
            "libraries are not what they were.",
        ),
    ),
    columns=("correct1",),
    worst_first=WorstFirst(
        meaning="The worst are the images whose right class a network gave the smallest "
        "probability."
    ),
    aliases=lambda parameters: parameters.expected_top1,
    prepare=prepare,
    observe=observe,
    summarise=summarise,
    badness=badness,
    explain=explain,
    plots=plots,
)
