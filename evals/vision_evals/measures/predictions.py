"""Confidence, stability and agreement of a network's answers on images with or without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Metric, Plot, WorstFirst
from vision_evals.measures.confidences import auroc, false_positives, histograms, ranks
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
from vision_evals.suite.spec import BY_PROBABILITY, MetricSpec, NumericError

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from vision_evals.images.image_set import ImageSet
    from vision_evals.images.labels import ClassMap
    from vision_evals.measures.confidences import Confidences
    from vision_evals.measures.measure import Columns
    from vision_evals.measures.probe import Probe

TOP = 5

Share = Annotated[float, Field(ge=0, le=1)]


class Published(Table):
    """A published answer."""

    answer: str
    """The class that came first: by name, synset or index."""
    confidence: Share | None = None
    """The published confidence in it."""
    source: str
    """Where it was published."""


class Parameters(Table):
    """Parameters of ``predictions``."""

    shift: Annotated[int, Field(ge=0, le=16)] = 2
    """Number of pixels by which an image is moved left, right, up and down."""
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 75
    """Quality of the JPEG as which an image is encoded again."""
    overconfident: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Confidence above which an answer is overconfident."""
    expected: dict[str, Published] = Field(default_factory=dict)
    """Classifier alias to the published answer on these images, usually one."""
    expected_top1: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Classifier alias to image id to the class that is known to come first."""


def observe(probe: Probe, parameters: Parameters) -> Columns:
    """Return per image the likeliest classes, confidence, and whether small changes matter."""
    import torch

    from vision_evals.measures.changes import shifted_by, through_jpeg

    logits = probe.logits
    probabilities = logits.softmax(dim=1)
    top5 = _top5(logits)
    moved = [*shifted_by(probe.pixels, parameters.shift)]
    moved.append(through_jpeg(probe.pixels, parameters.jpeg_quality))
    # not argmax, which may resolve a tie differently from topk
    outputs = probe.looks([pixels.__getitem__ for pixels in moved], None)
    *shifts, reencoded = (_top5(changed)[:, 0] == top5[:, 0] for changed in outputs)
    shifted = torch.stack(shifts).all(dim=0)
    columns = {
        "top5": top5,
        "top5_confidence": probabilities.gather(1, top5),
        "confidence": probabilities.amax(dim=1),
        "entropy": torch.special.entr(probabilities).sum(dim=1),
        "max_logit": logits.amax(dim=1),
        "shifted": shifted,
        "reencoded": reencoded,
        "stable": shifted & reencoded,
    }
    published = parameters.expected.get(probe.classifier.alias)
    if published is not None:
        index = probe.classifier.classes.index(published.answer)
        columns["published_confidence"] = probabilities[:, index]
    return columns


def _top5(logits: torch.Tensor) -> torch.Tensor:
    return logits.topk(min(TOP, logits.shape[1]), dim=1).indices


def prepare(image_set: ImageSet, classes: ClassMap, alias: str, parameters: Parameters) -> None:
    """Compare known and published answers with classes and images; UserError for a typo."""
    check_known_answers(parameters.expected_top1.get(alias, {}), image_set, classes, alias)
    if alias in parameters.expected:
        classes.index(parameters.expected[alias].answer)


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return confidence, stability, agreement, detection of the second set, and known answers."""
    confidence = rows["confidence"].to_numpy(np.float64)
    return (
        resampled("confidence_mean", np.mean, (confidence,), subject),
        fraction("overconfident_fraction", rows["confidence"] > parameters.overconfident, subject),
        fraction("shift_stability", rows["stable"], subject),
        _agreement(rows, subject),
        _detection("auroc", auroc, confidence, subject),
        _detection("fpr_at_95_tpr", false_positives, confidence, subject),
        known_answers(rows, parameters.expected_top1, subject),
        *_published(rows, parameters.expected.get(subject.alias), subject),
    )


def _agreement(rows: pd.DataFrame, subject: Subject) -> Metric:
    """Return how often the other classifiers have the same likeliest class."""
    name = "agreement"
    if not subject.others:
        return absent(name, "no other classifier of this check has these classes")
    first = rows.set_index("image")["top5"].str[0]
    same = [first == other.set_index("image")["top5"].str[0] for other in subject.others.values()]
    if len(same) == 1:
        return fraction(name, same[0], subject)
    return resampled(name, np.mean, (np.mean(same, axis=0),), subject)


def _detection(name: str, statistic: Any, confidence: Confidences, subject: Subject) -> Metric:
    """Return how well confidence separates these images from those of the second set."""
    if subject.against is None:
        return absent(name, "the check names no second image set with `against`")
    columns = ranks(confidence, subject.against["confidence"].to_numpy(np.float64))
    of = "images of both sets"
    return resampled(name, statistic, columns, subject, paired=False, of=of)


def _published(
    rows: pd.DataFrame, published: Published | None, subject: Subject
) -> tuple[Metric, Metric]:
    """Return whether the published answer comes first, and the error of its confidence."""
    hit, gap = "expected_answer", "expected_confidence_gap"
    if published is None:
        reason = f"the check lists no published answer of {subject.alias}"
        return absent(hit, reason), absent(gap, reason)
    assert subject.classes is not None, "answers belong to a classifier"
    index, n = subject.classes.index(published.answer), len(rows)
    reason = f"compared with a published answer, not a sample ({published.source})"
    error, why = None, "no confidence was published"
    if published.confidence is not None:
        difference = rows["published_confidence"] - published.confidence
        error, why = float(difference.abs().max()), reason
    return (
        exact(hit, float((rows["top5"].str[0] == index).mean()), n, "images", reason),
        exact(gap, error, n, "images", why),
    )


def plots(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Plot, ...]:
    """Return the confidences on these images, and on those of the second set."""
    del parameters
    sets = {subject.role: rows}
    if subject.against is not None:
        sets[subject.against_role] = subject.against
    confidences = {role: table["confidence"].to_numpy(np.float64) for role, table in sets.items()}
    return (histograms(f"Confidence on {' and '.join(sets)}", confidences),)


def badness(rows: pd.DataFrame) -> pd.Series[float]:
    """Return the confidence: the most confident answers come first."""
    return rows.set_index("image")["confidence"]


def explain(probe: Probe, rows: pd.DataFrame, parameters: Parameters) -> tuple[Drawing, ...]:
    """Return each image with its likeliest class."""
    del parameters
    return as_seen(probe, rows, [""] * len(rows))


MEASURE = Measure(
    name="predictions",
    about="How confident a network is of its answers, right or wrong, and how stable they are.",
    parameters=Parameters,
    class_columns=("top5",),
    labels=False,
    against=True,
    compares=True,
    gallery=True,
    worst_first=WorstFirst(
        word="most confident",
        meaning="The most confident are the images on which the likeliest class has the highest "
        "probability. Labels are not used, so these are not necessarily mistakes.",
    ),
    metrics=(
        MetricSpec(
            "confidence_mean",
            "Mean probability of the likeliest class. It should be low on images that show none of "
            "the classes.",
            source="Hendrycks & Gimpel 2017",
            interval="bootstrap",
            per_image=each("confidence"),
            numeric_error=BY_PROBABILITY,
            headline=Headline(label="confidence", rank=7, unlike=True),
        ),
        MetricSpec(
            "overconfident_fraction",
            "Share of images whose likeliest class has a probability above the parameter "
            "`overconfident`, 0.5 by default.",
            source="Goodfellow et al. 2015, appendix A",
            higher_is_better=False,
            interval="wilson",
            per_image=lambda rows, parameters: (
                rows.set_index("image")["confidence"] > parameters.overconfident
            ),
        ),
        MetricSpec(
            "shift_stability",
            "Share of images whose likeliest class stays the same when the image is moved by a few "
            "pixels left, right, up and down, and when it is encoded again as JPEG. It needs no "
            "labels.",
            source="Zhang 2019; Azulay & Weiss 2019",
            interval="wilson",
            per_image=each("stable"),
            numeric_error=NumericError("decisions", 6),  # each of six answers can change it
        ),
        MetricSpec(
            "agreement",
            "Share of images on which another classifier of this check has the same likeliest "
            "class; the mean over the other classifiers if there are several.",
        ),
        MetricSpec(
            "auroc",
            "Area under the ROC curve of confidence: the probability that the network is less "
            "confident on a random image of this check (positive, such as art) than on a random "
            "image of `against` (negative, such as photographs). 0.5 is chance, and a tie counts "
            "half.",
            source="Hendrycks & Gimpel 2017; Mann & Whitney 1947",
            needs="against",
            interval="bootstrap",
        ),
        MetricSpec(
            "fpr_at_95_tpr",
            "Share of the images of `against` that are at or below the lowest confidence threshold "
            "that detects 95 % of the images of this check: photographs taken for art when 95 % of "
            "the art is detected.",
            source="Liang et al. 2018",
            needs="against",
            higher_is_better=False,
            interval="bootstrap",
        ),
        EXPECTED_TOP1,
        MetricSpec(
            "expected_answer",
            "Share of images on which the published class comes first.",
            needs="expected",
        ),
        MetricSpec(
            "expected_confidence_gap",
            "Largest difference between the confidence in the published class and the published "
            "confidence.",
            higher_is_better=False,
            needs="expected",
        ),
    ),
    aliases=lambda parameters: {*parameters.expected, *parameters.expected_top1},
    prepare=prepare,
    observe=observe,
    forwards=lambda _: 6,
    summarise=summarise,
    badness=badness,
    explain=explain,
    plots=plots,
)
