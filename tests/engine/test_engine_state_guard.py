"""The guard: every way in which a network can change while it is looked at is found."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from vision_evals.engine.state_guard import Changes, changed_since, state_of, watch


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5)).eval()


def buffers(net: nn.Sequential) -> None:
    net[1].train()
    net(torch.rand(2, 3, 4, 4))
    net[1].eval()


CHANGES: dict[str, Callable[[nn.Sequential], object]] = {
    "2.training": lambda net: net[2].train(),
    "1.running_mean": buffers,
    "0.weight": lambda net: net.get_parameter("0.weight").add_(0),
    "0 hooks": lambda net: net[0].register_forward_hook(print),
    "0.bias": lambda net: net[0].bias.requires_grad_(False),
}


@pytest.mark.parametrize("named", CHANGES)
def test_a_change_is_found_and_named(named: str) -> None:
    net = network()
    changes = Changes()
    with torch.no_grad(), watch({"a": net}, changes):
        CHANGES[named](net)
    assert named in changes.by_alias["a"]
    assert changes.validity("a").outcome == "failed"
    assert named in changes.validity("a").evidence


def test_a_forward_in_eval_mode_changes_nothing() -> None:
    net = network()
    changes = Changes()
    with torch.inference_mode(), watch({"a": net}, changes):
        net(torch.rand(2, 3, 4, 4))
    assert changes.by_alias == {}
    assert changes.validity("a").outcome == "passed"


def test_only_the_changed_network_is_named() -> None:
    one, other = network(), network()
    changes = Changes()
    with watch({"one": one, "other": other}, changes):
        other.train()
    assert list(changes.by_alias) == ["other"]


def test_global_generators_are_put_back() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    draw = random.getstate()
    numpy = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    with watch({}, Changes()):
        torch.rand(5)
        random.random()
        np.random.rand(5)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before)
    assert random.getstate() == draw
    assert (np.random.get_state()[1] == numpy).all()  # type: ignore[index]  # noqa: NPY002


def test_changes_are_known_after_an_exception_too() -> None:
    net = network()
    changes = Changes()
    with contextlib.suppress(RuntimeError), watch({"a": net}, changes):
        net.train()
        raise RuntimeError
    assert changes is not None
    assert "a" in changes.by_alias


def test_weights_on_two_devices_and_those_of_an_inference_mode_are_told() -> None:
    network = nn.Linear(3, 2)
    with torch.inference_mode():
        network.late = nn.Parameter(torch.ones(2), requires_grad=False)
    if torch.cuda.is_available():
        network.bias.data = network.bias.data.cuda()
    before = state_of(network)
    assert changed_since(before, network) == []
    network.late.data = network.late.data + 1
    network.bias.data += 1
    assert changed_since(before, network) == ["bias", "late"]
