"""Losses and criteria against their formulas, written out in loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vision_evals.attacks.criteria import Criterion, Misclassification, TargetedMisclassification
from vision_evals.attacks.gradients import LOSSES, cross_entropy, dlr
from vision_evals.core.errors import NotApplicableError


@given(
    st.lists(st.floats(-20, 20), min_size=3, max_size=6, unique_by=lambda z: round(z, 3)),
    st.integers(0, 2),
)
def test_losses_equal_their_formulas(z: list[float], y: int) -> None:
    logits, at = torch.tensor([z], dtype=torch.float64), torch.tensor([[y]])
    entropy = math.log(sum(math.exp(one) for one in z)) - z[y]
    assert float(cross_entropy(logits, at)) == pytest.approx(entropy, abs=1e-9)
    first, _, third = sorted(z, reverse=True)[:3]
    ratio = -(z[y] - max(one for i, one in enumerate(z) if i != y)) / (first - third)
    assert float(dlr(logits, at)) == pytest.approx(ratio, abs=1e-9)


@given(
    st.lists(st.floats(-20, 20), min_size=6, max_size=8, unique_by=lambda z: round(z, 3)),
    st.sets(st.integers(0, 3), min_size=1, max_size=3),
)
def test_of_several_right_answers_all_are_moved(z: list[float], right: set[int]) -> None:
    logits = torch.tensor([z], dtype=torch.float64)
    at = torch.tensor([[*right, -1]])
    entropy = math.log(sum(map(math.exp, z))) - math.log(sum(math.exp(z[y]) for y in right))
    assert float(cross_entropy(logits, at)) == pytest.approx(entropy, abs=1e-9)
    ranked = sorted(z, reverse=True)
    wrong = max(one for i, one in enumerate(z) if i not in right)
    ratio = (wrong - max(z[y] for y in right)) / (ranked[0] - ranked[len(right) + 1])
    assert float(dlr(logits, at)) == pytest.approx(ratio, abs=1e-9)


def test_dlr_does_not_see_scale_or_shift() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.5, -2.0]], dtype=torch.float64)
    at = torch.tensor([[0]])
    # -(3 - 1) / (3 - 0.5)
    assert float(dlr(logits, at)) == pytest.approx(-0.8)
    assert float(dlr(1e6 * logits + 7, at)) == pytest.approx(-0.8)


def test_dlr_stays_finite_where_logits_tie() -> None:
    logits = torch.zeros(2, 4, requires_grad=True)
    loss = dlr(logits, torch.tensor([[0], [3]]))
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()


def test_dlr_needs_three_classes() -> None:
    with pytest.raises(
        NotApplicableError, match='at least 3 classes, and there are 2; write loss = "cross_en'
    ):
        dlr(torch.zeros(1, 2), torch.tensor([[0]]))


def test_the_names_of_losses() -> None:
    assert set(LOSSES) == {"cross_entropy", "dlr"}


def test_what_counts_as_broken() -> None:
    logits = torch.eye(4)[[0, 1, 2, 3]]
    accepted = torch.tensor([[0, -1], [0, 1], [0, 1], [0, -1]])
    wrong: Criterion = Misclassification(torch.tensor([0, 0, 0, 0]), accepted)
    assert wrong.met(logits).tolist() == [False, False, True, True]
    assert (wrong.sign, wrong.classes.tolist()) == (1, accepted.tolist())
    chosen: Criterion = TargetedMisclassification(torch.tensor([0, 2, 2, 1]))
    assert chosen.met(logits).tolist() == [True, False, True, False]
    assert (chosen.sign, chosen.classes.tolist()) == (-1, [[0], [2], [2], [1]])
    for rows in (torch.tensor([2, 1]), torch.tensor([False, True, True, False]).flip(0)):
        for criterion in (wrong, chosen):
            part = criterion.of(rows)
            assert part.met(logits[rows]).tolist() == criterion.met(logits)[rows].tolist()
            assert part.classes.tolist() == criterion.classes[rows].tolist()
