"""Weights fit wholly or not at all, and the difference is told."""

from __future__ import annotations

import copy
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torchvision import models

from vision_evals.core.errors import UserError
from vision_evals.models.checkpoint import load_state_dict
from vision_evals.models.fit import fit


def network() -> nn.Module:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4)))


def refused(built: nn.Module, state: dict[str, Tensor]) -> str:
    before = {name: tensor.clone() for name, tensor in built.state_dict().items()}
    with pytest.raises(UserError) as raised:
        fit(built, state, "a.pt for nets:build")
    for name, tensor in built.state_dict().items():
        assert torch.equal(tensor, before[name])
    return str(raised.value)


def test_weights_arrive() -> None:
    built, other = network(), network()
    fit(built, other.state_dict(), "")
    for name, tensor in other.state_dict().items():
        assert torch.equal(built.state_dict()[name], tensor)


def test_half_precision_is_copied_into_single() -> None:
    built = network()
    half = {name: tensor.half() for name, tensor in network().state_dict().items()}
    half["norm.num_batches_tracked"] = torch.tensor(7)
    fit(built, half, "")
    weight = built.state_dict()["conv.weight"]
    assert weight.dtype is torch.float32
    assert torch.equal(weight, half["conv.weight"].float())


def test_files_from_before_batch_norm_counted() -> None:
    state = network().state_dict()
    del state["norm.num_batches_tracked"]
    fit(network(), dict(state), "")


def test_networks_that_ask_for_versions() -> None:
    built = models.mnasnet0_5(weights=None)
    fit(built, dict(built.state_dict()), "weights without versions, as safetensors keeps them")


@pytest.mark.parametrize("wrapper", ["module", "_orig_mod"])
def test_a_network_that_is_itself_wrapped(wrapper: str) -> None:
    other = network()
    fit(nn.ModuleDict({wrapper: network()}), other.state_dict(), "")


def test_another_architecture_is_counted() -> None:
    state = network().state_dict()
    state["extra"] = torch.ones(1)
    state["conv.weight"] = torch.ones(2, 3, 3, 3)
    del state["conv.bias"], state["norm.weight"]
    assert refused(network(), state) == (
        "a.pt for nets:build: weights of another network: 2 missing (conv.bias, norm.weight), "
        "1 unexpected (extra), 1 of another shape or kind "
        "(conv.weight is (2, 3, 3, 3), the network has (4, 3, 3, 3))"
    )


def test_many_names_are_cut() -> None:
    message = refused(models.squeezenet1_1(weights=None), {"w": torch.ones(1)})
    assert "52 missing (classifier.1.bias, classifier.1.weight, features.0.bias, ...)" in message


def test_whole_numbers_are_no_weights() -> None:
    state = network().state_dict()
    state["conv.weight"] = state["conv.weight"].to(torch.int8)
    assert "conv.weight is integer (4, 3, 3, 3)" in refused(network(), state)


def arrived(built: nn.Module, expected: Mapping[str, object]) -> None:
    """Hold a network against weights, by torch's own names and values."""
    for name, tensor in built.state_dict().items():
        assert torch.equal(tensor, expected[name])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "prefix", ["model.", "net.", "model.net.", "a.b.c.d.", "model.module.", "backbone.module."]
)
def test_a_prefix_that_all_names_share_is_taken_off_and_said(prefix: str) -> None:
    state = network().state_dict()
    built, other = network(), {f"{prefix}{name}": tensor for name, tensor in state.items()}
    assert fit(built, other, "") == f'the prefix "{prefix}" was taken off the names'
    arrived(built, state)
    other["criterion.weight"] = torch.ones(3)
    said = fit(network(), other, "")
    assert said.endswith("off the names, 1 outside it not used (criterion.weight)")


def test_two_prefixes_that_fit_are_not_chosen_from() -> None:
    state = network().state_dict()
    both = {f"{p}.{name}": tensor for p in ("student", "teacher") for name, tensor in state.items()}
    message = refused(network(), both)
    assert 'begin with "student." and "teacher." fit the network each' in message
    assert "save the state dict of the one that is meant" in message


def test_a_prefix_of_weights_that_do_not_fit_is_named() -> None:
    state = {f"backbone.{name}": tensor for name, tensor in network().state_dict().items()}
    state["backbone.conv.weight"] = torch.ones(5, 3, 3, 3)
    assert refused(network(), state) == (
        'a.pt for nets:build, without the prefix "backbone." of its names: weights of another '
        "network: 1 of another shape or kind (conv.weight is (5, 3, 3, 3), the network has "
        "(4, 3, 3, 3))"
    )
    wrapped = nn.ModuleDict({"backbone": network()})
    assert 'names in the network begin with "backbone."' in refused(wrapped, network().state_dict())


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight
        self.c.weight = nn.Parameter(self.a.weight.detach())  # another parameter, the same numbers


class Scaled(nn.Module):
    """Has an extra state, and renames what it read before."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.scale = nn.Linear(4, 2), 1.0

    def get_extra_state(self) -> dict[str, object]:
        return {"scale": self.scale}

    def set_extra_state(self, state: Any) -> None:
        self.scale = state["scale"]


class Locked(Scaled):
    """Cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Numbered(nn.Linear):
    """Needs its own numbers to load others."""

    def _load_from_state_dict(self, *args: Any) -> None:
        assert self.weight.sum().item() != torch.inf
        super()._load_from_state_dict(*args)


def scaled(kind: type[Scaled]) -> nn.Module:
    built = kind()
    built.scale = 3.0
    return built


def old_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 2)))


def quantised(make: Callable[[], nn.Module]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantise: Callable[..., nn.Module] = torch.ao.quantization.quantize_dynamic
        return quantise(make())


def old_transformer() -> dict[str, Tensor]:
    """Return weights in the names that torchvision published, which torch turns into today's."""
    state = transformer().state_dict()
    return {
        n.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): tensor
        for n, tensor in state.items()
    }


def transformer() -> nn.Module:
    network: nn.Module = models.VisionTransformer(32, 16, 1, 2, 8, 16)
    return network


def linear() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 2))


STRICT: dict[str, tuple[Callable[[], nn.Module], Callable[[], Mapping[str, Any]]]] = {
    "old names": (transformer, old_transformer),
    "old weight_norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))),
        lambda: old_norm().state_dict(),
    ),
    "weight_norm that is old on both sides": (old_norm, lambda: old_norm().state_dict()),
    "tied": (Tied, lambda: Tied().state_dict()),
    "extra state": (Scaled, lambda: scaled(Scaled).state_dict()),
    "not to be copied": (Locked, lambda: scaled(Locked).state_dict()),
    "needs numbers": (lambda: Numbered(4, 2), lambda: nn.Linear(4, 2).state_dict()),
    "dynamically quantised": (lambda: quantised(linear), lambda: quantised(linear).state_dict()),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(2)), lambda: linear().state_dict()),
    "a scalar of one number": (
        lambda: nn.ParameterDict({"a": torch.tensor(1.0)}),
        lambda: {"a": torch.tensor([2.0])},
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", STRICT)
@pytest.mark.parametrize("prefix", ["", "model."])
def test_what_strict_loading_accepts_is_accepted(case: str, prefix: str, tmp_path: Path) -> None:
    make, weights = STRICT[case]
    built, reference, state = make(), make(), weights()
    torch.save({"state_dict": {f"{prefix}{n}": t for n, t in state.items()}}, tmp_path / "a.pt")
    reference.load_state_dict(copy.copy(state))
    fit(built, load_state_dict(tmp_path / "a.pt"), "")
    want = reference.state_dict()
    assert built.state_dict().keys() == want.keys()
    for name, value in built.state_dict().items():
        same = torch.equal(value, want[name]) if isinstance(value, Tensor) else True
        assert same, name
    assert getattr(built, "scale", 3.0) == 3.0
    if case == "dynamically quantised":
        pixels = torch.rand(3, 4)
        assert torch.equal(built(pixels), reference(pixels))


def test_tied_weights_of_safetensors_save_model(tmp_path: Path) -> None:
    built, other = Tied(), Tied()
    safetensors.torch.save_model(other, str(tmp_path / "a.safetensors"))
    state = load_state_dict(tmp_path / "a.safetensors")
    assert len(state) < len(other.state_dict())
    fit(built, state, "")
    arrived(built, other.state_dict())
    del state["b.bias"]
    assert "1 missing (b.bias)" in refused(built, state)


@pytest.mark.parametrize("case", ["extra state", "needs numbers", "tied"])
def test_what_strict_loading_refuses_is_refused(case: str) -> None:
    make, weights = STRICT[case]
    state = dict(weights())
    state["more"] = torch.ones(1)
    assert "1 unexpected (more)" in refused_of(make(), state)
    name = next(name for name in state if name.endswith("bias"))
    del state["more"], state[name]
    assert f"1 missing ({name})" in refused_of(make(), state)


def refused_of(built: nn.Module, state: Mapping[str, Any]) -> str:
    with pytest.raises(UserError) as raised:
        fit(built, state, "a.pt")
    return str(raised.value)


def test_a_network_whose_own_loading_leaves_names_out_has_not_all_weights() -> None:
    class Lenient(nn.Linear):
        def load_state_dict(self, state_dict: Any, *_: Any, **__: Any) -> Any:
            return super().load_state_dict(state_dict, strict=False)

    assert "1 missing (bias)" in refused_of(Lenient(4, 2), {"weight": torch.ones(2, 4)})


def test_an_extra_state_that_the_network_refuses() -> None:
    state = {**Scaled().state_dict(), "_extra_state": {}}
    message = refused_of(Scaled(), state)
    assert message == "a.pt: the network refuses these weights: 'scale'"


def test_many_names_cost_little() -> None:
    """Each name is looked at a fixed number of times: counted, not timed."""

    class Counting(str):
        __slots__ = ()
        looked = 0

        def find(self, *args: Any) -> int:
            Counting.looked += 1
            return super().find(*args)

    names = [Counting(f"a{n}.b.c.d.e.f.g.h.weight") for n in range(2_000)]
    assert "2000 unexpected" in refused_of(linear(), dict.fromkeys(names, torch.ones(1)))
    assert Counting.looked <= 2 * 6 * len(names)
