"""Top-1 and top-5 accuracy, calibration error and log loss, with human accuracy as reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Metric, Plot, Reference, WorstFirst
from vision_evals.measures.calibration import (
    MIN_IMAGES_FOR_INTERVAL,
    calibration_error,
    calibration_interval,
)
from vision_evals.measures.confidences import histograms, reliability
from vision_evals.measures.intervals import generator
from vision_evals.measures.measure import Drawing, Measure, Subject
from vision_evals.measures.metrics import (
    EXPECTED_TOP1,
    absent,
    check_known_answers,
    each,
    exact,
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

    from vision_evals.core.errors import NotApplicableError
    from vision_evals.models.answers import one_of

    answers, logits, competing = probe.right, probe.logits, probe.logits.shape[1]
    if parameters.among == "set":
        allowed = logits[:, answers.among]
        logits = torch.full_like(logits, -torch.inf).index_copy(1, answers.among, allowed)
        competing = len(answers.among)
        if competing < 2:
            raise NotApplicableError(
                'among = "set" leaves one class, which always comes first; leave out `among`'
            )
    log_probabilities = logits.log_softmax(dim=1)
    right = one_of(logits, answers.accepted)
    top = log_probabilities.topk(min(TOP, competing), dim=1)
    rank = _rank(log_probabilities, right)
    return {
        "top5": top.indices,
        "top5_confidence": top.values.exp(),
        "confidence": top.values[:, 0].exp(),
        "correct1": rank < 1,
        "correct5": rank < TOP,
        "nll": -log_probabilities.where(right, -torch.inf).logsumexp(dim=1).clamp(max=0),
        "competing": torch.full_like(answers.label, competing),
    }


def _rank(log_probabilities: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return (n,) how many wrong classes are at least as likely as the likeliest right one.

    A tie counts as wrong: a network that gives every class the same score knows nothing.
    """
    import torch

    best = log_probabilities.where(right, -torch.inf).amax(dim=1, keepdim=True)
    return ((log_probabilities >= best) & ~right).sum(dim=1)


def prepare(image_set: ImageSet, classes: ClassMap, alias: str, parameters: Parameters) -> None:
    """Compare the listed answers with the classes and the images; UserError for a typo."""
    check_known_answers(parameters.expected_top1.get(alias, {}), image_set, classes, alias)


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return top-1, top-5, calibration, NLL and the share of known answers that are correct."""
    confidence = rows["confidence"].to_numpy(np.float64)
    correct = rows["correct1"].to_numpy(np.float64)
    nll = rows["nll"].to_numpy(np.float64)
    return (
        fraction("top1_accuracy", rows["correct1"], subject),
        _top5(rows, subject),
        _ece(confidence, correct, subject),
        resampled("overconfidence", np.mean, (confidence - correct,), subject),
        resampled("nll", np.mean, (nll,), subject, unit="nats"),
        known_answers(rows, parameters.expected_top1, subject),
    )


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


def _ece(confidence: NDArray[np.float64], correct: NDArray[np.float64], subject: Subject) -> Metric:
    n, value = len(confidence), calibration_error(confidence, correct)
    if n < MIN_IMAGES_FOR_INTERVAL:
        reason = f"{n} images are fewer than {MIN_IMAGES_FOR_INTERVAL}"
        return exact("ece", value, n, "images", reason)
    rng = generator(subject.seed, "ece", "")
    low, high = calibration_interval(confidence, correct, rng, subject.confidence)
    return Metric(
        name="ece",
        value=value,
        unit="fraction",
        n=n,
        denominator="images",
        low=min(low, value),
        high=max(high, value),
        confidence=subject.confidence,
        method="cross-fitted",
    )


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
            "Expected calibration error: difference between confidence and accuracy in bins of "
            "equally many images (10 bins under 500 images, else 15), averaged over images and "
            "corrected for the bias of few images. At 0, eight in ten of the answers with "
            "confidence 0.8 are right. Use `overconfidence` for gates.",
            source="Guo et al. 2017, section 2; Kumar et al. 2019, section 5",
            # no interval for gates: its coverage is simulated at 95 % only
            higher_is_better=False,
        ),
        MetricSpec(
            "overconfidence",
            "Mean confidence less accuracy: above 0 the network is more confident than it is "
            "right, below 0 less.",
            source="Guo et al. 2017, section 2",
            range=(-1.0, 1.0),
            higher_is_better=False,
            interval="bootstrap",
            per_image=lambda rows, _: (
                each("confidence")(rows, None) - each("correct1")(rows, None).astype("float64")
            ),
        ),
        MetricSpec(
            "nll",
            "Negative log-likelihood: minus the logarithm of the probability of the right classes "
            "together, averaged over images. It is largest for confident mistakes.",
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
        meaning="The worst are the images whose right classes got the smallest probability."
    ),
    aliases=lambda parameters: parameters.expected_top1,
    prepare=prepare,
    observe=observe,
    summarise=summarise,
    badness=badness,
    explain=explain,
    plots=plots,
)
