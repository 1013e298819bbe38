"""What a network says of pictures, labelled or not: how surely, and whether it sticks to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Metric, Plot, WorstFirst
from vision_evals.measures.confidences import spread
from vision_evals.measures.detection import auroc, false_positives
from vision_evals.measures.measure import Drawing, Measure, Subject
from vision_evals.measures.metrics import (
    absent,
    each,
    exact,
    fraction,
    hold_known_answers,
    known_answers,
    resampled,
)
from vision_evals.suite.spec import BY_PROBABILITY, MetricSpec, NumericError

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from vision_evals.images.image_set import ImageSet
    from vision_evals.images.labels import ClassMap
    from vision_evals.measures.measure import Columns
    from vision_evals.measures.probe import Probe

    Confidences = NDArray[np.floating[Any]]

TOP = 5

Share = Annotated[float, Field(ge=0, le=1)]


class Published(Table):
    """An answer that somebody published."""

    answer: str
    """The class that came first: by name, synset or index."""
    confidence: Share | None = None
    """How sure the network was of it."""
    source: str
    """Who says so, and where."""


class Parameters(Table):
    """Parameters of ``predictions``."""

    shift: Annotated[int, Field(ge=0, le=16)] = 2
    """Pixels by which a picture is moved left, right, up and down."""
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 75
    """At which a picture is encoded once more."""
    overconfident: Share = 0.5
    """Confidence above which an answer counts as overconfident."""
    expected: dict[str, Published] = Field(default_factory=dict)
    """Classifier alias to what is published of it on these images, usually one."""
    expected_top1: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Classifier alias to image id to the class that it is known to put first."""


def observe(probe: Probe, parameters: Parameters) -> Columns:
    """Return per image the likeliest classes, how sure, and whether small changes change them."""
    import torch

    from vision_evals.measures.changes import shifted_by, through_jpeg

    logits = probe.logits
    probabilities = logits.softmax(dim=1)
    top5 = _top5(logits)
    moved = [*shifted_by(probe.pixels, parameters.shift)]
    moved.append(through_jpeg(probe.pixels, parameters.jpeg_quality))
    # not argmax, which may settle a tie otherwise than topk
    seen = probe.looks([place.__getitem__ for place in moved], None)
    firsts = [_top5(said)[:, 0] for said in seen]
    *shifts, reencoded = (first == top5[:, 0] for first in firsts)
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
    """Hold known and published answers against classes and images; UserError for a typo."""
    hold_known_answers(parameters.expected_top1.get(alias, {}), image_set, classes, alias)
    if alias in parameters.expected:
        classes.index(parameters.expected[alias].answer)


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return how sure, how steady, how much like the others, how unlike the second set."""
    confidence = rows["confidence"].to_numpy(np.float64)
    answers = parameters.expected_top1.get(subject.alias, {})
    return (
        resampled("confidence_mean", np.mean, (confidence,), subject),
        fraction("overconfident_fraction", rows["confidence"] > parameters.overconfident, subject),
        fraction("shift_stability", rows["stable"], subject),
        _agreement(rows, subject),
        _apart("auroc", auroc, confidence, subject),
        _apart("fpr_at_95_tpr", false_positives, confidence, subject),
        known_answers(rows, answers, subject),
        *_published(rows, parameters.expected.get(subject.alias), subject),
    )


def _agreement(rows: pd.DataFrame, subject: Subject) -> Metric:
    """Return how often the other classifiers put the same class first."""
    name = "agreement"
    if not subject.others:
        return absent(name, "no other classifier with these classes was asked the same")
    first = rows.set_index("image")["top5"].str[0]
    same = [first == other.set_index("image")["top5"].str[0] for other in subject.others.values()]
    if len(same) == 1:
        return fraction(name, same[0], subject)
    return resampled(name, np.mean, (np.mean(same, axis=0),), subject)


def _apart(name: str, statistic: Any, confidence: Confidences, subject: Subject) -> Metric:
    """Return how well confidence tells these images from those of the second set."""
    if subject.against is None:
        return absent(name, "the check names no second image set with `against`")
    second = subject.against["confidence"].to_numpy(np.float64)
    of = "images of both sets"
    return resampled(name, statistic, (confidence, second), subject, apart=True, of=of)


def _published(
    rows: pd.DataFrame, published: Published | None, subject: Subject
) -> tuple[Metric, Metric]:
    """Return whether the published answer came out, and how far its confidence is off."""
    hit, gap = "expected_answer", "expected_confidence_gap"
    if published is None:
        reason = f"the check knows no published answer of {subject.alias}"
        return absent(hit, reason), absent(gap, reason)
    assert subject.classes is not None, "an answer is that of a classifier"
    index, n = subject.classes.index(published.answer), len(rows)
    reason = f"held against a published answer, not a sample ({published.source})"
    off = (
        None
        if published.confidence is None
        else float((rows["published_confidence"] - published.confidence).abs().max())
    )
    return (
        exact(hit, float((rows["top5"].str[0] == index).mean()), n, "images", reason),
        exact(gap, off, n, "images", "no confidence was published" if off is None else reason),
    )


def plots(
    rows: pd.DataFrame,
    parameters: Parameters,  # noqa: ARG001 - none of them
    subject: Subject,
) -> tuple[Plot, ...]:
    """Return how sure the network is of these images, and of those of the second set."""
    sets = {subject.role: rows}
    if subject.against is not None:
        sets[subject.against_role] = subject.against
    confidences = {role: found["confidence"].to_numpy(np.float64) for role, found in sets.items()}
    return (spread(f"Confidence on {' and '.join(sets)}", confidences),)


def badness(rows: pd.DataFrame) -> pd.Series[float]:
    """Return the confidence: the surest answers first."""
    return rows.set_index("image")["confidence"]


def explain(probe: Probe, rows: pd.DataFrame, parameters: Parameters) -> tuple[Drawing, ...]:
    """Return each picture as the network saw it."""
    del parameters
    names = probe.classifier.classes.names
    seen = zip(probe.ids, probe.pixels, rows["top5"], rows["confidence"], strict=True)
    return tuple(
        Drawing(image, pixels, f"seen as {names[top5[0]]} {confidence:.2f}")
        for image, pixels, top5, confidence in seen
    )


MEASURE = Measure(
    name="predictions",
    about="What a network says of pictures, right or not: how surely, and whether it sticks to it.",
    parameters=Parameters,
    class_columns=("top5",),
    labels=False,
    against=True,
    compares=True,
    gallery=True,
    worst_first=WorstFirst(
        word="most confident",
        meaning="The most confident are those of which a network was surest. Nobody says what is "
        "right here, so these are no mistakes.",
    ),
    metrics=(
        MetricSpec(
            "confidence_mean",
            "Mean probability of the likeliest class. On pictures of nothing that the classes "
            "name, an honest network would be unsure.",
            source="Hendrycks & Gimpel 2017",
            interval="bootstrap",
            per_image=each("confidence"),
            numeric_error=BY_PROBABILITY,
            headline=Headline(label="confidence", rank=7, unlike=True),
        ),
        MetricSpec(
            "overconfident_fraction",
            "Share of images whose likeliest class gets more than 0.5, or than what the check "
            "calls overconfident.",
            source="Goodfellow et al. 2015, appendix A",
            higher_is_better=False,
            interval="wilson",
            per_image=lambda rows, parameters: (
                rows.set_index("image")["confidence"] > parameters.overconfident
            ),
        ),
        MetricSpec(
            "shift_stability",
            "Share of images whose likeliest class stays the same when the picture is moved by "
            "a few pixels left, right, up and down, and when it is encoded once more as JPEG. "
            "It needs no right answer.",
            source="Zhang 2019; Azulay & Weiss 2019",
            interval="wilson",
            per_image=each("stable"),
            numeric_error=NumericError("decisions", 6),  # each of six answers can unsettle it
        ),
        MetricSpec(
            "agreement",
            "Share of images on which another classifier of this check finds the same class "
            "likeliest; the mean over the others where there are several.",
        ),
        MetricSpec(
            "auroc",
            "Area under the ROC curve of confidence, where low confidence says that an image "
            "belongs to this check's images and not to those it is held against: art is positive, "
            "photographs are negative. How likely the network is less sure of a random artwork "
            "than of a random photograph; 0.5 is a coin, and a tie counts half.",
            source="Hendrycks & Gimpel 2017; Mann & Whitney 1947",
            interval="bootstrap",
        ),
        MetricSpec(
            "fpr_at_95_tpr",
            "Share of the images it is held against that are flagged too by the lowest confidence "
            "threshold that flags 95 % of this check's images: photographs taken for art, when 95 "
            "% of the art is caught.",
            source="Liang et al. 2018",
            higher_is_better=False,
            interval="bootstrap",
        ),
        MetricSpec(
            "expected_top1",
            "Share of the images listed in the check on which the classifier puts first exactly "
            "the class that it is known to put first. Below 1, weights, preprocessing or "
            "libraries are not what they were.",
        ),
        MetricSpec(
            "expected_answer",
            "Share of images on which the class that was published comes first.",
        ),
        MetricSpec(
            "expected_confidence_gap",
            "Largest distance between the confidence in the published class and the published one.",
            higher_is_better=False,
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
