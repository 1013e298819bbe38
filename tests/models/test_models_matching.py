"""Which network a file belongs to, held against ``fit`` itself, and against torch's builders."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from vision_evals.models.fit import OtherNetworkError, fit
from vision_evals.models.matching import matches, parameters, sentence

HEADS = {
    "alexnet": "classifier.6",
    "squeezenet1_1": "classifier.1",
    "densenet121": "classifier",
    "resnet18": "fc",
    "mobilenet_v3_small": "classifier.3",
    "vit_b_32": "heads.head",
}


def state_of(name: str, **options: object) -> dict[str, Tensor]:
    """Return names and shapes; on the meta device where the builder can, to save memory."""
    with torch.device("meta"):
        return dict(models.get_model(name, weights=None, **options).state_dict())


@pytest.mark.parametrize("name", HEADS)
def test_own_weights_and_another_head(name: str) -> None:
    state = state_of(name)
    found = matches(state)
    assert name in [match.name for match in found]
    assert {match.share for match in found} == {1}
    network = models.get_model(name, weights=None)
    assert parameters(state) == sum(p.numel() for p in network.parameters())
    fit(network, {n: torch.zeros(t.shape, dtype=t.dtype) for n, t in state.items()}, "here")
    few = state_of(name, num_classes=10)
    (near, *_) = matches(few)
    assert (near.name, near.head) == (name, HEADS[name])
    assert near.differs == (f"{HEADS[name]} (10 classes instead of 1000)",)
    zeros = {n: torch.zeros(t.shape, dtype=t.dtype) for n, t in few.items()}
    with pytest.raises(OtherNetworkError, match="weights of another network"):
        fit(network, zeros, "here")


@pytest.mark.parametrize("heads", [True, False])
@pytest.mark.parametrize("name", ["googlenet"])
def test_with_and_without_auxiliary_heads(name: str, heads: bool) -> None:
    options = {"aux_logits": heads, "init_weights": False}
    assert [m.name for m in matches(state_of(name, **options))] == [name]


def test_files_of_before_2018_and_old_names() -> None:
    state = state_of("densenet121")
    old = {
        n.replace("norm1.", "norm.1.").replace("norm2.", "norm.2."): t
        for n, t in state.items()
        if not n.endswith("num_batches_tracked")
    }
    assert old.keys() - state.keys()
    assert sentence(matches(old)) == "it fits densenet121"


@pytest.mark.slow
def test_what_differs_is_said() -> None:
    state = state_of("resnet18")
    del state["layer1.0.conv1.weight"]
    state["mine"] = torch.zeros(3)
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    (near,) = matches(state)
    assert near.name == "resnet18"
    assert near.differs == (
        "1 shapes (conv1.weight is (64, 1, 7, 7) instead of (64, 3, 7, 7))",
        "1 tensors that the file lacks (layer1.0.conv1.weight)",
        "1 tensors that only the file has (mine)",
    )
    own = len([n for n in state if not n.endswith("num_batches_tracked")])
    assert near.share == pytest.approx((own - 2) / (own + 1))


def test_integers_are_no_weights() -> None:
    state = state_of("alexnet")
    state["classifier.6.bias"] = state["classifier.6.bias"].to(torch.int64)
    assert [match.share < 1 for match in matches(state)] == [True]


@pytest.mark.slow
def test_a_network_that_nobody_knows() -> None:
    found = matches(nn.Linear(3, 2).state_dict())
    assert found == ()
    assert sentence(found) == "it is near no known network"
