"""A fingerprint sees hooks, what they close over, and what classes hold that no source shows."""

import functools
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.models.test_models_classifier import CARD, INPUT
from vision_evals.core.cache.code import own_code
from vision_evals.models.fingerprint import fingerprint, traceable


class Part(nn.Module):
    """Counts no weights: whatever it does is in its attributes, hooks and class."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Stated(Part):
    """Its state is more than its tensors and attributes."""

    def get_extra_state(self) -> float:
        return 1 / float(os.environ["EXTRA"])


class Scaled:
    """A hook that is an object."""

    def __init__(self, by: float) -> None:
        self.by = by

    def __call__(self, *given: Any) -> Any:
        return given[-1] * self.by

    def hook(self, *given: Any) -> Any:
        return self(*given)


def scaling(by: float) -> Callable[..., Any]:
    table = {"by": by}

    def scaled(*given: Any) -> Any:
        return given[-1] * table["by"]

    return scaled


def scaled(by: float, *given: Any) -> Any:
    return given[-1] * by


KINDS = (
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_state_dict_post_hook",
    "register_state_dict_pre_hook",
    "register_load_state_dict_pre_hook",
    "register_load_state_dict_post_hook",
)

HOOKS: dict[str, Callable[[float], Callable[..., Any]]] = {
    "closure": scaling,
    "partial": lambda by: functools.partial(scaled, by),
    "object": Scaled,
    "method": lambda by: Scaled(by).hook,
    "default": lambda by: lambda *given, factor=by: given[-1] * factor,
}


def of(network: nn.Module) -> str:
    assert traceable(network, CARD) is None
    return fingerprint(network, INPUT, "map", CARD)


def hooked(kind: str, hook: Callable[..., Any]) -> nn.Module:
    network = nn.Sequential(Part())
    network.handle = getattr(network[0], kind)(hook)
    return network


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_hook_counts(kind: str) -> None:
    one = of(hooked(kind, scaling(1.0)))
    for _ in range(3):  # torch numbers hooks over the whole process
        nn.Identity().register_forward_hook(scaling(0))
    assert one == of(hooked(kind, scaling(1.0)))
    assert len({one, of(hooked(kind, scaling(2.0))), of(nn.Sequential(Part()))}) == 3


@pytest.mark.parametrize("made", HOOKS.values(), ids=HOOKS)
def test_what_a_hook_holds_counts(made: Callable[[float], Callable[..., Any]]) -> None:
    one, same, other = (of(hooked(KINDS[0], made(by))) for by in (1.0, 1.0, 2.0))
    assert one == same != other


def test_the_order_of_hooks_counts() -> None:
    networks = nn.Sequential(Part()), nn.Sequential(Part())
    for network, order in zip(networks, ((1.0, 2.0), (2.0, 1.0)), strict=True):
        for by in order:
            network.register_forward_hook(scaling(by))
    assert of(networks[0]) != of(networks[1])


def test_hooks_of_every_module_count() -> None:
    before = of(Part())
    handle = nn.modules.module.register_module_forward_hook(scaling(2.0))
    try:
        during = of(Part())
    finally:
        handle.remove()
    assert during != before == of(Part())


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
def test_hooks_that_torch_brings_are_no_riddle() -> None:
    for normed in (nn.utils.weight_norm, nn.utils.spectral_norm):
        torch.manual_seed(0)
        network = normed(nn.Conv2d(3, 4, 1))
        assert of(network) == of(network)


def test_what_is_put_into_an_object_or_a_class_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {of(nn.Sequential(Part(), nn.ReLU()))}
    for by in (1.0, 2.0):
        network = nn.Sequential(Part(), nn.ReLU())
        network[0].forward = scaling(by)
        found.add(of(network))
        for kind, name, value in (
            (Part, "forward", scaling(by)),
            (Part, "build", classmethod(scaling(by))),
            (Part, "factor", by),
            (Part, "factor", property(scaling(by))),
            (nn.ReLU, "forward", scaling(by)),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(kind, name, value, raising=False)
                found.add(of(nn.Sequential(Part(), nn.ReLU())))
    assert len(found) == 1 + 2 * 6
    assert of(nn.Sequential(Part(), nn.ReLU())) in found


def test_functions_that_a_module_made_count(monkeypatch: pytest.MonkeyPatch) -> None:
    described = []
    for by in (1.0, 1.0, 2.0):  # a module counts as it was at first sight: each is a new one
        made = types.ModuleType("made_here")
        made.__file__ = str(Path(__file__))
        vars(made)["scale"] = scaling(by)
        monkeypatch.setitem(sys.modules, "made_here", made)
        described.append(own_code({"made_here"}))
    assert described[0] == described[1] != described[2]


def test_an_extra_state_counts_and_one_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for extra in ("1", "1", "2"):
        monkeypatch.setenv("EXTRA", extra)
        found.append(of(Stated()))
    assert found[0] == found[1] != found[2]
    monkeypatch.setenv("EXTRA", "0")
    assert traceable(Stated(), CARD) == "ZeroDivisionError in get_extra_state()"
