"""Numbers that measures share: a fraction with Wilson's interval, a statistic with a bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.log import Line, Metric
from vision_evals.measures.intervals import (
    MIN_IMAGES_FOR_BOOTSTRAP,
    bootstrap,
    bootstrap_apart,
    generator,
    wilson,
)
from vision_evals.measures.measure import Subject

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from vision_evals.images.image_set import ImageSet
    from vision_evals.images.labels import ClassMap


def each(
    column: str, where: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows
) -> Callable[[pd.DataFrame, Any], pd.Series[float]]:
    """Return the ``per_image`` of a metric that is the mean of a column over images.

    A column of booleans stays one, and makes a share; any other is widened to 64 bits, as its
    metric is.

    Args:
        column: of the rows, which name each image once.
        where: keeps the rows that the metric counts.
    """

    def values(rows: pd.DataFrame, parameters: Any) -> pd.Series[float]:
        del parameters
        found: pd.Series[float] = where(rows).set_index("image")[column]
        return found if found.dtype == bool else found.astype("float64")

    return values


def fraction(
    name: str,
    hits: pd.Series[bool],
    subject: Subject,
    *,
    at: str | None = None,
    of: str = "images",
) -> Metric:
    """Return the share of hits with Wilson's interval; null when there is nothing to count."""
    n, count = len(hits), int(hits.sum())
    if not n:
        return absent(name, f"there are no {of}", at=at, of=of)
    interval = wilson(count, n, subject.confidence)
    return Metric(
        name=name,
        at=at,
        value=count / n,
        unit="fraction",
        n=n,
        denominator=of,
        low=interval.low,
        high=interval.high,
        confidence=subject.confidence,
        method="wilson",
    )


def shares(
    name: str, x: Sequence[float], hits: Sequence[NDArray[np.bool_]], subject: Subject
) -> Line:
    """Return a line of shares with Wilson's intervals; null where there is nothing to count.

    Args:
        name: of the line.
        x: in rising order.
        hits: at each of them, of as many observations as there are.
        subject: whose rows they are.
    """
    counts = [(int(one.sum()), len(one)) for one in hits]
    ends = [wilson(*count, subject.confidence) if count[1] else (None, None) for count in counts]
    return Line(
        name=name,
        x=tuple(x),
        y=tuple(count / n if n else None for count, n in counts),
        low=tuple(low for low, _ in ends),
        high=tuple(high for _, high in ends),
        n=tuple(n for _, n in counts),
    )


def resampled(
    name: str,
    statistic: Callable[..., float],
    columns: tuple[NDArray[Any], ...],
    subject: Subject,
    *,
    apart: bool = False,
    at: str | None = None,
    of: str = "images",
    unit: str = "fraction",
) -> Metric:
    """Return a statistic of columns with a seeded percentile bootstrap over rows.

    The columns are paired, row by row; those of two image sets stand ``apart`` and are drawn
    independently.
    """
    sizes = [len(column) for column in columns]
    n, method = (sum(sizes), bootstrap_apart) if apart else (sizes[0], bootstrap)
    if not min(sizes):
        return absent(name, f"there are no {of}", at=at, of=of, unit=unit)
    value, few = float(statistic(*columns)), min(sizes) < MIN_IMAGES_FOR_BOOTSTRAP
    low = high = None
    if not few:
        rng = generator(subject.seed, name, at or "")
        low, high = method(statistic, columns, rng, subject.confidence)
        # a resample repeats images, which raises a calibration error: the point may lie below
        low, high = min(low, value), max(high, value)
    return Metric(
        name=name,
        at=at,
        value=value,
        unit=unit,
        n=n,
        denominator=of,
        low=low,
        high=high,
        confidence=None if few else subject.confidence,
        method=None if few else "bootstrap",
        reason=f"resampling {min(sizes)} {of} says little" if few else None,
    )


def absent(
    name: str,
    reason: str,
    *,
    at: str | None = None,
    of: str = "images",
    unit: str = "fraction",
    n: int = 0,
    lost: bool = False,
) -> Metric:
    """Return a metric that does not exist, and why; ``lost`` where it should."""
    found = exact(name, None, n, of, reason, at=at, unit=unit)
    return found.model_copy(update={"lost": lost})


def exact(
    name: str,
    value: float | None,
    n: int,
    of: str,
    reason: str | None,
    *,
    at: str | None = None,
    unit: str = "fraction",
) -> Metric:
    """Return a metric without an interval, and why it has none."""
    return Metric(name=name, at=at, value=value, unit=unit, n=n, denominator=of, reason=reason)


def known_answers(rows: pd.DataFrame, answers: Mapping[str, str], subject: Subject) -> Metric:
    """Return ``expected_top1``: on which of the listed images the known class comes first."""
    assert subject.classes is not None, "answers are those of a classifier"
    top1 = {image: top5[0] for image, top5 in zip(rows["image"], rows["top5"], strict=True)}
    listed = {image: name for image, name in answers.items() if image in top1}
    hits = sum(top1[image] == subject.classes.index(name) for image, name in listed.items())
    return exact(
        "expected_top1",
        hits / len(listed) if listed else None,
        len(listed),
        "images with a known top-1",
        "an exact list, not a sample"
        if listed
        else f"the check lists no answer of {subject.alias} for these images",
    )


def hold_known_answers(
    answers: Mapping[str, str], image_set: ImageSet, classes: ClassMap, alias: str
) -> None:
    """Hold the answers of ``expected_top1`` against classes and images; UserError for a typo."""
    for name in answers.values():
        classes.index(name)
    ids = {image.id for image in image_set.images}
    whole = not image_set.cut
    missing = [image for image in answers if image not in ids]
    if whole and missing and len(missing) < len(answers):
        raise UserError(
            f'expected_top1.{alias} lists "{missing[0]}", which is not among the images'
            + did_you_mean(missing[0], ids)
        )
