"""What measures share to make metrics: shares with Wilson's interval, resampled statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.log import Line, Metric
from vision_evals.measures.intervals import MIN_IMAGES_FOR_BOOTSTRAP, bootstrap, generator, wilson
from vision_evals.measures.measure import Subject
from vision_evals.suite.spec import MetricSpec

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

    A column of booleans stays boolean and makes a share; any other is converted to 64-bit floats,
    as in its metric.

    Args:
        column: name of a column of the rows, which name each image once.
        where: keeps the rows that the metric counts.
    """

    def values(rows: pd.DataFrame, parameters: Any) -> pd.Series[float]:
        del parameters
        by_image: pd.Series[float] = where(rows).set_index("image")[column]
        return by_image if by_image.dtype == bool else by_image.astype("float64")

    return values


def fraction(
    name: str,
    hits: pd.Series[bool],
    subject: Subject,
    *,
    at: str | None = None,
    of: str = "images",
) -> Metric:
    """Return the share of hits with Wilson's interval; without a value when there are no rows."""
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
    """Return a line of shares with Wilson's intervals; a point without observations is None.

    Args:
        name: of the line.
        x: in ascending order.
        hits: for each x, whether each observation counts.
        subject: whose rows they are.
    """
    counts = [(int(observations.sum()), len(observations)) for observations in hits]
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
    paired: bool = True,
    at: str | None = None,
    of: str = "images",
    unit: str = "fraction",
) -> Metric:
    """Return a statistic of columns with a seeded percentile bootstrap over rows.

    The columns are ``paired``, row by row; those of two image sets are not, and are drawn
    independently. Too few rows of either set decide nothing: one picture can have any rank.
    """
    sizes = [len(column) for column in columns]
    n = sizes[0] if paired else sum(sizes)
    if not min(sizes):
        return absent(name, f"there are no {of}", at=at, of=of, unit=unit)
    value, few = float(statistic(*columns)), min(sizes) < MIN_IMAGES_FOR_BOOTSTRAP
    low = high = None
    if not few:
        rng = generator(subject.seed, name, at or "")
        low, high = bootstrap(statistic, columns, rng, subject.confidence, paired=paired)
        # a resample repeats images and raises a calibration error: the value may lie below `low`
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
        few=few and not paired,
        reason=_why_few(min(sizes), of, paired) if few else None,
    )


def _why_few(n: int, of: str, paired: bool) -> str:
    if paired:
        return f"resampling {n} {of} is not reliable"
    return f"one of the two sets has {n} of at least {MIN_IMAGES_FOR_BOOTSTRAP} images"


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
    """Return a metric without a value, and why; ``lost`` where it should have one."""
    metric = exact(name, None, n, of, reason, at=at, unit=unit)
    return metric.model_copy(update={"lost": lost})


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


EXPECTED_TOP1 = MetricSpec(
    "expected_top1",
    "Share of the images listed in the check on which the classifier puts first exactly the class "
    "that it is known to put first. Below 1, the weights, the preprocessing or the libraries have "
    "changed.",
    needs="expected_top1",
)


def known_answers(
    rows: pd.DataFrame, answers_by_alias: Mapping[str, Mapping[str, str]], subject: Subject
) -> Metric:
    """Return ``expected_top1``: the share of listed images on which the known class comes first."""
    assert subject.classes is not None, "answers belong to a classifier"
    top1 = {image: top5[0] for image, top5 in zip(rows["image"], rows["top5"], strict=True)}
    answers = answers_by_alias.get(subject.alias, {})
    listed = {image: name for image, name in answers.items() if image in top1}
    hits = sum(top1[image] == subject.classes.index(name) for image, name in listed.items())
    reason = f"the check lists no answer of {subject.alias} for these images"
    return exact(
        "expected_top1",
        hits / len(listed) if listed else None,
        len(listed),
        "images with a known top-1",
        "an exact list, not a sample" if listed else reason,
    )


def check_known_answers(
    answers: Mapping[str, str], image_set: ImageSet, classes: ClassMap, alias: str
) -> None:
    """Compare the answers of ``expected_top1`` with the classes and images.

    Raises:
        UserError: an answer names no class, or an image that is not in the image set.
    """
    for name in answers.values():
        classes.index(name)
    ids = {image.id for image in image_set.images}
    missing = [image for image in answers if image not in ids]
    if not image_set.cut and missing and len(missing) < len(answers):
        raise UserError(
            f'expected_top1.{alias} lists "{missing[0]}", which is not among the images'
            + did_you_mean(missing[0], ids)
        )
