"""Calls are seen once each, by path and number, and nothing stays behind."""

from __future__ import annotations

import warnings
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from vision_evals.core.errors import InvalidError
from vision_evals.models.hooks.watch import Call, watching

RELU = frozenset({F.relu, torch.relu, torch.Tensor.relu, torch.relu_})


def calls(network: nn.Module, *shape: int) -> list[str]:
    """Return the rectifier calls of one forward, as they are named."""
    found: list[str] = []

    def answer(call: Call) -> Tensor:
        found.append(str(call))
        return call.run()

    with torch.inference_mode(), watching(network.eval(), RELU, answer):
        network(torch.zeros(shape))
    return found


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(torch.relu(x))


class Outer(nn.Module):
    """Rectifies by a function, a method, a module of its own and one within."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.inner(F.relu(x)).relu() - 1)  # type: ignore[no-any-return]


def test_modules_functions_and_methods_are_seen_once_each() -> None:
    assert calls(Outer(), 2, 3) == [
        "network, call 1",
        "inner, call 1",
        "inner, call 2",
        "network, call 2",
        "act, call 1",
    ]


def test_watching_changes_no_bit() -> None:
    x, network = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), Outer()
    with watching(network, RELU, Call.run):
        watched = network(x.clone())
    assert torch.equal(watched, network(x.clone()))


def test_the_network_gets_the_answer() -> None:
    with watching(network := Inner(), frozenset({torch.relu}), lambda _: torch.tensor([5.0])):
        assert network(torch.zeros(1)).tolist() == [5.0]


def test_a_module_that_is_called_thrice() -> None:
    found = calls(torchvision.models.resnet50(weights=None), 1, 3, 32, 32)
    assert len(found) == 49
    assert found[:4] == ["relu, call 1", *(f"layer1.0.relu, call {i}" for i in (1, 2, 3))]
    assert len(set(found)) == 49


def test_a_network_without_a_single_relu_module() -> None:
    network = torchvision.models.inception_v3(weights=None, init_weights=False)
    assert not any(isinstance(module, nn.ReLU) for module in network.modules())
    found = calls(network, 1, 3, 80, 80)
    assert len(found) == len(set(found)) == 94
    assert found[0] == "Conv2d_1a_3x3, call 1"
    assert "Mixed_7c.branch3x3dbl_3b, call 1" in found


def test_a_module_that_the_network_does_not_own_is_told_by_its_caller() -> None:
    class Hidden(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.ReLU()(x)  # type: ignore[no-any-return]

    assert calls(nn.Sequential(Hidden()), 1, 3) == ["0, call 1"]


def test_paths_are_right_again_after_an_exception() -> None:
    network, seen = Outer(), Counter[str]()

    def answer(call: Call) -> Tensor:
        seen[call.path] += 1
        if call.path == "inner" and seen["inner"] == 1:
            raise ZeroDivisionError
        return call.run()

    with watching(network, RELU, answer):
        with pytest.raises(ZeroDivisionError):
            network(torch.zeros(1))
        network(torch.zeros(1))
    assert seen == {"": 3, "inner": 3, "act": 1}


def test_no_hook_stays_though_the_network_fails() -> None:
    def answer(call: Call) -> Tensor:
        raise ZeroDivisionError

    kept = (hooks._global_forward_hooks, hooks._global_forward_pre_hooks)
    before = [len(hook) for hook in kept]
    with watching(network := Outer(), RELU, answer):
        assert [len(hook) for hook in kept] == [n + 1 for n in before]
    with pytest.raises(ZeroDivisionError), watching(network, RELU, answer):
        network(torch.zeros(1))
    assert [len(hook) for hook in kept] == before


def test_torchscript_cannot_be_seen_into() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer torch calls TorchScript deprecated
        scripted = torch.jit.script(nn.ReLU())
    network = nn.Sequential(nn.Linear(1, 1), scripted)
    with pytest.raises(InvalidError, match="cannot see inside 1: it is TorchScript"):
        calls(network, 1, 1)
