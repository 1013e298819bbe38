"""Top-1 and top-5 accuracy, calibration error and log loss, with human accuracy as reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Metric, Plot, Reference, WorstFirst
from vision_evals.measures.confidences import BINS, bin_indices, histograms, reliability
from vision_evals.measures.measure import Drawing, Measure, Subject
from vision_evals.measures.metrics import (
    EXPECTED_TOP1,
    absent,
    check_known_answers,
    each,
    fraction,
    known_answers,
    resampled,
)
from vision_evals.measures.triptych import as_seen
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
    """Which classes can be predicted: all, or only those in the image set, as is usual for
    ImageNet-A and ImageNet-R (200 of 1000 classes)."""
    expected_top1: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Classifier alias to image id to the class that is known to come first."""


def observe(probe: Probe, parameters: Parameters) -> Columns:
    """Return per image the five likeliest classes, whether they are right, and the log loss."""
    import torch

    answers, logits, competing = probe.right, probe.logits, probe.logits.shape[1]
    if parameters.among == "set":
        allowed = logits[:, answers.among]
        logits = torch.full_like(logits, -torch.inf).index_copy(1, answers.among, allowed)
        competing = len(answers.among)
    log_probabilities = logits.log_softmax(dim=1)
    top = log_probabilities.topk(min(TOP, competing), dim=1)
    rank = _rank(log_probabilities, answers.accepted)
    return {
        "top5": top.indices,
        "top5_confidence": top.values.exp(),
        "confidence": top.values[:, 0].exp(),
        "correct1": rank < 1,
        "correct5": rank < TOP,
        "nll": -log_probabilities.gather(1, answers.label[:, None])[:, 0],
        "competing": torch.full_like(answers.label, competing),
    }


def _rank(log_probabilities: torch.Tensor, accepted: torch.Tensor) -> torch.Tensor:
    """Return (n,) how many wrong classes are at least as likely as the likeliest right one.

    A tie counts as wrong: a network that gives every class the same score knows nothing.
    """
    import torch

    n, classes = log_probabilities.shape
    right = torch.zeros(n, classes + 1, dtype=torch.bool, device=accepted.device)
    right = right.scatter(1, accepted.where(accepted >= 0, classes), True)[:, :classes]
    best = log_probabilities.where(right, -torch.inf).amax(dim=1, keepdim=True)
    return ((log_probabilities >= best) & ~right).sum(dim=1)


def prepare(image_set: ImageSet, classes: ClassMap, alias: str, parameters: Parameters) -> None:
    """Compare the listed answers with the classes and the images; UserError for a typo."""
    check_known_answers(parameters.expected_top1.get(alias, {}), image_set, classes, alias)


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return top-1, top-5, ECE, NLL and the share of known answers that are correct."""
    confidence = rows["confidence"].to_numpy(np.float64)
    correct = rows["correct1"].to_numpy(np.float64)
    nll = rows["nll"].to_numpy(np.float64)
    return (
        fraction("top1_accuracy", rows["correct1"], subject),
        _top5(rows, subject),
        resampled("ece", calibration_error, (confidence, correct), subject),
        resampled("nll", np.mean, (nll,), subject, unit="nats"),
        known_answers(rows, parameters.expected_top1, subject),
    )


def calibration_error(confidence: NDArray[np.floating], correct: NDArray[np.floating]) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3): 15 equal-width bins (lo, hi], l1.

    Args:
        confidence: (n,) highest softmax probability.
        correct: (n,) 1 where the top-1 class is right, else 0.
    """
    gap = np.bincount(bin_indices(confidence, BINS), weights=confidence - correct)
    return float(np.abs(gap).sum() / len(confidence))


def plots(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Plot, ...]:
    """Return the reliability diagram, and the confidences of right and wrong answers."""
    del parameters
    confidence, correct = rows["confidence"].to_numpy(np.float64), rows["correct1"].to_numpy(bool)
    answers = {"right": confidence[correct], "wrong": confidence[~correct]}
    return (
        reliability(confidence, correct, subject),
        histograms("Confidence of right and wrong answers", answers, len(rows)),
    )


def badness(rows: pd.DataFrame) -> pd.Series[float]:
    """Return the log loss: it is largest for confident mistakes."""
    return rows.set_index("image")["nll"]


def explain(probe: Probe, rows: pd.DataFrame, parameters: Parameters) -> tuple[Drawing, ...]:
    """Return each image with its label and its likeliest class."""
    del parameters
    names = probe.classifier.classes.names
    return as_seen(probe, rows, (f"{names[label]}, " for label in rows["label"]))


def _top5(rows: pd.DataFrame, subject: Subject) -> Metric:
    competing = int(rows["competing"].min())
    if competing > TOP:
        return fraction("top5_accuracy", rows["correct5"], subject)
    reason = f"each of {competing} classes is among the five likeliest"
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
"""Two people who labelled ImageNet photographs: for comparison, never a threshold."""

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
            "Share of images whose likeliest class is right.",
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
            "Expected calibration error (15 equal-width bins): difference between confidence and "
            "accuracy, averaged over images. At 0, eight in ten of the answers with confidence 0.8 "
            "are right.",
            source="Guo et al. 2017, section 2; Naeini et al. 2015",
            # no interval for gates: few images bias the error upwards, resamples of them even more
            higher_is_better=False,
        ),
        MetricSpec(
            "nll",
            "Negative log-likelihood: minus the logarithm of the probability given to the label, "
            "averaged over images. It is largest for confident mistakes.",
            source="Guo et al. 2017, section 2",
            unit="nats",
            range=(0.0, float("inf")),
            higher_is_better=False,
            interval="bootstrap",
            per_image=each("nll"),
            numeric_error=BY_LOSS,
        ),
        EXPECTED_TOP1,
    ),
    columns=("correct1",),
    worst_first=WorstFirst(
        meaning="The worst are the images whose label got the smallest probability."
    ),
    aliases=lambda parameters: parameters.expected_top1,
    prepare=prepare,
    observe=observe,
    summarise=summarise,
    badness=badness,
    explain=explain,
    plots=plots,
)
