"""A network is the function that measures take it for, or the check says what it is instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from vision_evals.models.classifier import Classifier
from vision_evals.validity import structure
from vision_evals.validity.check import Evidence

Make = Callable[..., Evidence]
Small = Callable[..., Classifier]


class Wrapped(nn.Module):
    """Something done to the answers of a good network."""

    def __init__(self, inner: nn.Module, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.inner, self.change = inner, change

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.change(self.inner(pixels))


LOOKS = {check.name: check.run for check in structure.CHECKS}


@pytest.mark.parametrize("name", LOOKS)
def test_a_good_network_holds(name: str, small: Small, curved: nn.Module, asked: Make) -> None:
    found = LOOKS[name](asked(small(curved)))
    assert found.outcome == "passed", found.evidence


def test_a_module_in_training_mode_is_named(small: Small, curved: nn.Module, asked: Make) -> None:
    network = nn.Sequential(curved, nn.Dropout(0.5)).eval()
    evidence = asked(small(network))
    network[1].train()
    found = structure.eval_mode(evidence)
    assert found.outcome == "failed"
    assert found.evidence == "1 of 8 modules are in training mode: 1"


def test_dice_in_eval_mode_are_seen(small: Small, curved: nn.Module, asked: Make) -> None:
    evidence = asked(small(Wrapped(curved, lambda out: out + 0.01 * torch.randn_like(out))))
    before = torch.get_rng_state()
    found = structure.same_again(evidence)
    assert found.outcome == "failed"
    assert torch.equal(torch.get_rng_state(), before)


def test_one_answer_that_is_not_a_number_is_no_sameness(small: Small, asked: Make) -> None:
    class Failing(nn.Module):
        calls = 0

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            out = pixels.mean(dim=(2, 3))
            return out * float("nan") if self.calls == 4 else out

    assert structure.same_again(asked(small(Failing()), labelled=False)).outcome == "failed"


def test_a_network_that_looks_at_its_neighbours(
    small: Small, curved: nn.Module, asked: Make
) -> None:
    evidence = asked(small(Wrapped(curved, lambda out: out - 0.1 * out.mean(dim=0))))
    assert structure.same_again(evidence).outcome == "passed"
    assert structure.same_in_every_batch(evidence).outcome == "failed"


def test_neighbours_in_sevens_only(small: Small, curved: nn.Module, asked: Make) -> None:
    evidence = asked(small(Wrapped(curved, lambda out: out + (len(out) == 7))))
    assert structure.same_in_every_batch(evidence).outcome == "failed"


def test_a_batch_that_is_refused_does_not_hide_another(
    small: Small, curved: nn.Module, asked: Make
) -> None:
    def fussy(out: torch.Tensor, sevens: float) -> torch.Tensor:
        if len(out) == 1:
            raise ValueError("expected more than 1 value")
        return out + sevens * (len(out) == 7)

    for sevens, outcome in ((0, "undecided"), (1, "failed")):
        evidence = asked(small(Wrapped(curved, lambda out, s=sevens: fussy(out, s))))  # type: ignore[misc]
        found = structure.same_in_every_batch(evidence)
        assert found.outcome == outcome
        assert "batches of 1 are refused: ValueError: expected more" in found.evidence


def test_one_image_is_one_batch(small: Small, curved: nn.Module, asked: Make) -> None:
    assert structure.same_in_every_batch(asked(small(curved), 1)).outcome == "undecided"


@pytest.mark.parametrize(
    ("change", "outcome", "said"),
    [
        (lambda out: out.softmax(dim=1), "failed", "probabilities"),
        (lambda out: (1000 * out).softmax(dim=1), "failed", "probabilities"),
        (lambda out: out.softmax(dim=1).half().float(), "failed", "probabilities"),
        (lambda out: out.log_softmax(dim=1), "passed", "log-probabilities"),
        (lambda out: out.sigmoid(), "passed", "rows from"),
        (lambda out: out - out.mean(dim=1, keepdim=True) + 1 / 3, "passed", "rows from"),
    ],
    ids=["softmax", "saturated", "in half precision", "log softmax", "sigmoid", "sums alone"],
)
def test_output(
    change: Any, outcome: str, said: str, small: Small, curved: nn.Module, asked: Make
) -> None:
    found = structure.gives_logits(asked(small(Wrapped(curved, change))))
    assert found.outcome == outcome, found.evidence
    assert said in found.evidence


def _by_grad(pixels: torch.Tensor) -> torch.Tensor:
    (slope,) = torch.autograd.grad((pixels**2).sum(), pixels)
    return pixels - 0.1 * slope


def _by_backward(pixels: torch.Tensor) -> torch.Tensor:
    (pixels**2).sum().backward()  # type: ignore[no-untyped-call]
    assert pixels.grad is not None
    return pixels - 0.1 * pixels.grad


def _by_function(pixels: torch.Tensor) -> torch.Tensor:
    torch.autograd.backward((pixels**2).sum())
    assert pixels.grad is not None
    return pixels - 0.1 * pixels.grad


def _by_functorch(pixels: torch.Tensor) -> torch.Tensor:
    slope: torch.Tensor = torch.func.grad(lambda x: (x**2).sum())(pixels.detach())
    return pixels - 0.1 * slope


@pytest.mark.parametrize("purify", [_by_grad, _by_backward, _by_function, _by_functorch])
def test_optimisation_inside_is_counted(
    purify: Callable[[torch.Tensor], torch.Tensor], small: Small, curved: nn.Module, asked: Make
) -> None:
    class Purifying(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                moved = pixels
                for _ in range(3):
                    moved = purify(moved.detach().clone().requires_grad_())
            out: torch.Tensor = curved(moved.detach() + pixels - pixels.detach())
            return out

    found = structure.forward_only(asked(small(Purifying()), labelled=False))
    assert found.outcome == "failed"
    assert found.evidence.startswith("3 calls")
