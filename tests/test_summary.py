"""The terminal's table: numbers as a person reads them."""

from __future__ import annotations

import pytest

from evals.log import Item, Metric, Verdict
from evals.summary import table


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
