"""Weights fit wholly or not at all, and the difference is told."""

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from vision_evals.core.errors import UserError
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


def test_a_prefix_is_named() -> None:
    state = {f"backbone.{name}": tensor for name, tensor in network().state_dict().items()}
    assert 'names in the file begin with "backbone."' in refused(network(), state)
    wrapped = nn.ModuleDict({"backbone": network()})
    assert 'names in the network begin with "backbone."' in refused(wrapped, network().state_dict())
