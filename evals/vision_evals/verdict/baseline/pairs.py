"""From rows of two networks on the same images to paired differences of their metrics."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.measures.intervals import generator
from vision_evals.suite.declared_options import SEED
from vision_evals.suite.spec import Spec
from vision_evals.verdict.paired.difference import paired

if TYPE_CHECKING:
    import pandas as pd

PAIRED_CONFIDENCE = 0.9
"""Two-sided confidence of a paired difference by default: 5 % on each side."""


def values_by_image(
    spec: Spec, rows: pd.DataFrame, parameters: Any, name: str, at: str | None
) -> pd.Series[Any]:
    """Return the value of each image whose mean is a metric, by image.

    Args:
        spec: of the measure.
        rows: all of them.
        parameters: of the check.
        name: of a metric that has ``per_image``.
        at: point of its axis.

    Raises:
        UserError: the rows lack a column of the metric.
    """
    per_image = spec.metric(name).per_image
    assert per_image is not None, "only metrics that are means over images have values by image"
    try:
        if at is not None and spec.axis is not None:
            rows = rows[rows[spec.axis[0]] == at]
        values = per_image(rows, parameters)
    except KeyError as error:
        raise UserError(f"the rows have no column {error}, which {name} is computed from") from None
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} cannot be computed from the rows: {error}") from None
    if not values.index.is_unique:
        raise UserError("the rows contain an image twice")
    return values


def pair(
    spec: Spec,
    rows: tuple[pd.DataFrame, pd.DataFrame],
    parameters: Any,
    metric: tuple[str, str | None],
    confidence: float = PAIRED_CONFIDENCE,
    seed: int = SEED,
) -> log.Paired:
    """Return the difference of a metric on the same images: the second table's less the first's.

    Where a metric leaves out images for one of the networks, such as those that already have the
    target class, the images that count for both are compared.

    Args:
        spec: of the measure.
        rows: before, now; of the same images.
        parameters: of the check.
        metric: name, and point of its axis.
        confidence: two-sided.
        seed: of the bootstrap.

    Raises:
        UserError: no image counts for both, too few images for a mean, or rows that lack a column
            of the metric.
    """
    before, now = (values_by_image(spec, table, parameters, *metric) for table in rows)
    if not before.index.equals(now.index):  # another order, or other images
        common = before.index.intersection(now.index, sort=False)
        before, now = before.loc[common], now.loc[common]
    low, high = spec.metric(metric[0]).range
    rng = generator(seed, "paired", metric[0], metric[1] or "")
    return paired(before.to_numpy(), now.to_numpy(), rng, confidence, high - low)


def changes(
    spec: Spec,
    rows: tuple[pd.DataFrame, pd.DataFrame],
    parameters: Any,
    items: tuple[log.Item, log.Item],
    seed: int = SEED,
) -> tuple[log.Change, ...]:
    """Return every metric that both entries have, then and now.

    Args:
        spec: of the measure.
        rows: before, now; of the same images.
        parameters: of the check.
        items: before, now.
        seed: of bootstraps.
    """
    then = {(metric.name, metric.at): metric for metric in items[0].metrics}
    compared = []
    for metric in items[1].metrics:
        key = metric.name, metric.at
        if key not in then or (then[key].value is None and metric.value is None):
            continue
        medians = metric.spread or then[key].spread
        both = metric.value is not None and then[key].value is not None
        test = None
        if both and spec.metric(metric.name).per_image is not None and not medians:
            with contextlib.suppress(UserError):  # too few images for a test
                test = pair(spec, rows, parameters, key, seed=seed)
        compared.append(
            log.Change(
                metric=metric.name,
                at=metric.at,
                before=then[key].value,
                now=metric.value,
                paired=test,
            )
        )
    return tuple(compared)
