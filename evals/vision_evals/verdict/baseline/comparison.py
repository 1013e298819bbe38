"""One entry side by side with the same entry of another run: what changed, which images flipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vision_evals import log
from vision_evals.suite.spec import Spec
from vision_evals.verdict.baseline.numeric_gap import NumericGap, differences
from vision_evals.verdict.baseline.pairs import changes, values_by_image
from vision_evals.verdict.baseline.provenance import Side, other_images, other_question

if TYPE_CHECKING:
    import pandas as pd

MAX_FLIPS_SHOWN = 12
"""Images of each direction that are listed; all of them are counted."""


def flips(
    spec: Spec,
    rows: tuple[pd.DataFrame, pd.DataFrame],
    parameters: Any,
    names: Sequence[str],
    metric: tuple[str, str | None],
) -> log.Flips:
    """Return the images on which two networks are not both right or both wrong.

    Args:
        spec: of the measure.
        rows: before, now; of the same images.
        parameters: of the check.
        names: of the classes, by index.
        metric: a share of images, and the point of its axis.
    """
    before, now = (values_by_image(spec, table, parameters, *metric).astype(bool) for table in rows)
    now = now.reindex(before.index)
    lost, won = before.index[before & ~now], before.index[~before & now]
    tables = [_by_image(spec, table, metric[1], [*lost, *won]) for table in rows]

    def listed(images: pd.Index) -> tuple[log.Flip, ...]:
        surest = sorted(images, key=lambda i: (-_confidence(tables[1].loc[i]), str(i)))
        return tuple(_flip(str(image), tables, names) for image in surest[:MAX_FLIPS_SHOWN])

    return log.Flips(
        metric=metric[0],
        at=metric[1],
        n=len(before),
        worse=len(lost),
        better=len(won),
        lost=listed(lost),
        won=listed(won),
    )


def first_share(spec: Spec, item: log.Item) -> tuple[str, str | None] | None:
    """Return the share of right images whose flips an entry lists: a gated one, else its first.

    None where no metric is such a share.
    """
    if not spec.labels:
        return None
    right = {m.name for m in spec.metrics if m.per_image is not None and m.higher_is_better}
    gated = [
        (j.metric, j.at) for j in item.judgements if j.gate and j.gate.paired.worse is not None
    ]
    shares = [(metric.name, metric.at) for metric in item.metrics if metric.method == "wilson"]
    return next((share for share in (*gated, *shares) if share[0] in right), None)


def _by_image(
    spec: Spec, rows: pd.DataFrame, at: str | None, images: Sequence[str]
) -> pd.DataFrame:
    if at is not None and spec.axis is not None:
        rows = rows[rows[spec.axis[0]] == at]
    return rows.drop_duplicates("image").set_index("image").loc[list(images)]


def _flip(image: str, tables: Sequence[pd.DataFrame], names: Sequence[str]) -> log.Flip:
    before, now = (table.loc[image] for table in tables)
    return log.Flip(
        image=image,
        label=_name(int(now.get("label", -1)), names),
        before=_answer(before, names),
        now=_answer(now, names),
    )


def _answer(row: pd.Series, names: Sequence[str]) -> log.Seen:
    first = row["top5"][0] if "top5" in row else row.get("top1_eval", row.get("top1", -1))
    confidence = _confidence(row)
    return log.Seen(
        name=_name(int(first), names), confidence=confidence if confidence >= 0 else None
    )


def _confidence(row: pd.Series) -> float:
    """Return the confidence of an answer, -1 where the rows lack it."""
    value = float(row.get("confidence", -1.0))
    return value if 0 <= value <= 1 else -1.0


def _name(index: int, names: Sequence[str]) -> str:
    return (
        names[index] if 0 <= index < len(names) else f"class {index}" if index >= 0 else "unknown"
    )


def comparison(
    run: str,
    spec: Spec,
    sides: tuple[Side, Side],
    rows: tuple[pd.DataFrame, pd.DataFrame],
    differs: tuple[str, ...] = (),
    gaps: Sequence[NumericGap] = (),
) -> log.Comparison:
    """Compare an entry with the same one of another run.

    Args:
        run: id of the other run.
        spec: of the measure.
        sides: before, now; of one measure with equal parameters.
        rows: before, now.
        differs: what differs in addition to the network, on equal images.
        gaps: steps in which the numeric paths differ.
    """
    items = sides[0].item, sides[1].item
    alias = items[0].classifier
    if reason := "; ".join(other_question(*sides)) or other_images(*rows):
        return log.Comparison(run=run, alias=alias, refused=reason)
    parameters = spec.parameters.model_validate(items[1].parameters)
    share = first_share(spec, items[1])
    card = sides[1].classifier
    return log.Comparison(
        run=run,
        alias=alias,
        differs=differs,
        paths=differences(gaps),
        changes=changes(spec, rows, parameters, items, sides[1].settings.seed),
        flips=flips(spec, rows, parameters, card.class_names if card else (), share)
        if share
        else None,
    )
