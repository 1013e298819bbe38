"""One entry beside the same entry of another run: what changed, which images flipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vision_evals import log
from vision_evals.suite.spec import Spec
from vision_evals.verdict.baseline.flips import first_share, flips
from vision_evals.verdict.baseline.numeric_gap import NumericGap, differences
from vision_evals.verdict.baseline.pairs import changes
from vision_evals.verdict.baseline.provenance import Side, other_images, other_question

if TYPE_CHECKING:
    import pandas as pd


def comparison(
    run: str,
    spec: Spec,
    sides: tuple[Side, Side],
    rows: tuple[pd.DataFrame, pd.DataFrame],
    differs: tuple[str, ...] = (),
    gaps: Sequence[NumericGap] = (),
) -> log.Comparison:
    """Hold an entry against the same one of another run.

    Args:
        run: id of the other run.
        spec: of the measure.
        sides: before, now; of one measure with equal parameters.
        rows: before, now.
        differs: what is not equal beside the network, though the images are.
        gaps: in what the paths differ by which the numbers came.
    """
    items = sides[0].item, sides[1].item
    alias = items[0].classifier
    reasons = [*other_question(*sides)]
    if not reasons:
        reasons += filter(None, [other_images(*rows)])
    if reasons:
        return log.Comparison(run=run, alias=alias, refused="; ".join(reasons))
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
