"""What is measured when an epoch ends, against hooks written by hand and constructed units."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vision_evals.models.training import history
from vision_evals.models.training.history import EpochValidation
from vision_evals.models.training.networks import small_alexnet, small_cnn


def batches(n: int = 20) -> list[tuple[Tensor, Tensor]]:
    draws = torch.Generator().manual_seed(0)
    pixels = torch.rand(n, 3, 32, 32, generator=draws) * 2 - 1
    classes = torch.randint(10, (n,), generator=draws)
    return list(zip(torch.split(pixels, 8), torch.split(classes, 8), strict=True))


def dying(network: nn.Module) -> nn.Module:
    """Let some units of every layer be dead."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            with torch.no_grad():
                module.bias[::3] -= 5
    return network


@pytest.mark.parametrize("network", [small_cnn(10), small_alexnet(10)], ids=["cnn", "alexnet"])
def test_dead_units_are_those_that_hooks_on_every_relu_find(network: nn.Module) -> None:
    dying(network)
    highest: dict[str, Tensor] = {}
    zeros = outputs = 0

    def hook(name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
        def see(_: nn.Module, __: object, output: Tensor) -> None:
            nonlocal zeros, outputs
            units = output.movedim(1, 0).flatten(1).amax(1)
            highest[name] = torch.maximum(highest.get(name, units), units)
            zeros += int((output <= 0).sum())
            outputs += output.numel()

        return see

    seen = history.validate(network, network, batches())
    for name, module in network.named_modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(hook(name))
    logits = []
    with torch.no_grad():
        logits = [network.eval()(pixels) for pixels, _ in batches()]
    assert seen.dead is not None
    assert list(seen.dead) == [f"{name}, call 1" for name in highest]
    for name, levels in highest.items():
        assert torch.equal(seen.dead[f"{name}, call 1"], levels <= 0)
    assert seen.saturated == pytest.approx(zeros / outputs)
    classes = torch.cat([classes for _, classes in batches()])
    assert seen.loss == pytest.approx(float(cross_entropy(torch.cat(logits), classes)), rel=1e-5)
    right = (torch.cat(logits).argmax(1) == classes).double().mean()
    assert seen.accuracy == pytest.approx(float(right))
    record = history.epoch_record(0, 0, None, seen, None)
    dead = sum(int((levels <= 0).sum()) for levels in highest.values())
    units = sum(len(levels) for levels in highest.values())
    assert 0 < dead < units
    assert record.dead_fraction == pytest.approx(dead / units)
    first = next(iter(highest))
    share = float((highest[first] <= 0).double().mean())
    assert record.dead_by_layer[f"{first}, call 1"] == pytest.approx(share)


def test_died_and_revived() -> None:
    def seen(*dead: int) -> EpochValidation:
        units = torch.zeros(5, dtype=torch.bool)
        units[list(dead)] = True
        return EpochValidation(1.0, 0.5, {"relu, call 1": units}, 0.1)

    sequence = [seen(0), seen(0, 1, 2), seen(1, 4), seen()]
    befores = [None, *sequence[:-1]]
    records = [
        history.epoch_record(i, i, None, s, b)
        for i, (s, b) in enumerate(zip(sequence, befores, strict=True))
    ]
    assert [(r.died, r.revived) for r in records] == [(0, 0), (2, 0), (1, 2), (0, 2)]
    assert [r.dead_fraction for r in records] == pytest.approx([0.2, 0.6, 0.4, 0.0])


@pytest.mark.parametrize("kind", [nn.Tanh, nn.Sigmoid])
def test_smooth_functions_saturate_and_never_die(kind: type[nn.Module]) -> None:
    network = nn.Sequential(nn.Flatten(), kind())
    inputs = torch.linspace(-9, 9, 1001).expand(3, -1)
    seen = history.validate(network, network, [(inputs, torch.zeros(3, dtype=torch.long))])
    points = inputs[0].double().requires_grad_()
    (slopes,) = torch.autograd.grad(kind()(points).sum(), points)
    assert seen.dead is None
    assert seen.saturated == pytest.approx(
        float((slopes < 0.01 * slopes.max()).double().mean()), abs=0.003
    )
    assert history.epoch_record(0, 0, None, seen, None).dead_fraction is None


@pytest.mark.filterwarnings(
    "ignore:.torch.jit:FutureWarning", "ignore:.torch.jit:DeprecationWarning"
)
def test_calls_that_cannot_be_seen_are_not_counted() -> None:
    network = nn.Sequential(torch.jit.script(nn.ReLU()), nn.Flatten(), nn.Linear(3072, 10))
    seen = history.validate(network, network, batches())
    assert seen.dead is None
    assert seen.saturated is None
    assert seen.loss is not None


def test_a_loss_that_is_no_number_is_absent() -> None:
    last = nn.Linear(3072, 10)
    nn.init.constant_(last.weight, torch.inf)
    network = nn.Sequential(nn.Flatten(), last)
    assert history.validate(network, network, batches()).loss is None
