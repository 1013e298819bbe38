"""The terminal's table: numbers as a person reads them."""

from __future__ import annotations

import pytest

from vision_evals.log import Item, Metric, Verdict
from vision_evals.report.terminal import table


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.9167, "0.917"), (0.0, "0.000"), (0.00049, "0.00049"), (6.1e-5, "6.1e-05"), (1.0, "1.000")],
)
def test_a_small_number_never_looks_like_none(value: float, shown: str) -> None:
    metric = Metric(name="m", value=value, unit="fraction", n=14, denominator="images")
    item = Item(
        id="s::c[a]", suite="s", check="c", classifier="a", measure="x", parameters={},
        verdict=Verdict.RECORDED, sentence="", metrics=(metric,),
    )  # fmt: skip
    assert f" {shown} " in table([item], color=False)


def test_a_median_over_seeds_says_how_far_they_spread() -> None:
    metric = Metric(
        name="dead_fraction", value=0.88, unit="fraction", n=224, denominator="units",
        spread=(0.88, 0.2316, 0.86, 0.9, 0.913), reason="the median of 5 trainings",
    )  # fmt: skip
    item = Item(
        id="s::c[a]", suite="s", check="c", classifier="a", measure="x", parameters={},
        verdict=Verdict.RECORDED, sentence="", metrics=(metric,),
    )  # fmt: skip
    assert " 0.880 (0.232 to 0.913, 5 seeds) " in table([item], color=False)
    alone = item.model_copy(update={"metrics": (metric.model_copy(update={"spread": (0.88,)}),)})
    assert " 0.880 (one seed) " in table([alone], color=False)
