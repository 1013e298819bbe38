"""Epsilons that no check can use are refused before they take time or memory."""

from __future__ import annotations

import pytest

from vision_evals.core.errors import UserError
from vision_evals.core.tables import validate
from vision_evals.measures.epsilons import MAX_EPSILONS
from vision_evals.measures.fgsm import Parameters
from vision_evals.models.card import MAX_SIDE, Card


@pytest.mark.parametrize(
    ("epsilons", "says"),
    [
        (["1e999999999"], "is not a number"),
        (["1e-999999999"], "is not a number"),
        (["1" * 5000], "is not a number"),
        (["1/0"], "is not a number"),
        ([f"{n}/10000" for n in range(10_000)], "10,000 epsilons, each a pass; at most 1000"),
        (["1/2", 0.5], "0.5 is listed twice"),
        ([f"{n}/1000" for n in range(MAX_EPSILONS - 1)] + ["0/7"], "0/7 is listed twice"),
    ],
)  # fmt: skip
def test_such_epsilons_are_a_sentence(epsilons: list[object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        validate(Parameters, {"epsilons": epsilons}, "a.toml")


def test_as_many_as_are_allowed_are_read() -> None:
    epsilons = [f"{n}/1000" for n in range(MAX_EPSILONS)]
    assert validate(Parameters, {"epsilons": epsilons}, "a.toml").epsilons == tuple(epsilons)


@pytest.mark.parametrize("key", ["resize", "crop"])
@pytest.mark.parametrize("size", [60_000, [60_000, 60_000], [224, MAX_SIDE + 1], 0, [1, -1], 2**62])
def test_a_card_that_no_memory_holds_is_a_sentence(key: str, size: object) -> None:
    table = {"network": "timm:x", "input": {key: size, "mean": [0, 0, 0], "std": [1, 1, 1]}}
    with pytest.raises(UserError, match=f"number of pixels from 1 to {MAX_SIDE:,}"):
        validate(Card, table, "cards.toml")
