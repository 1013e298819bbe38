"""The loop against ten lines of plain torch, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from vision_evals import log
from vision_evals.images.geometry import Geometry
from vision_evals.images.labels import ClassMap
from vision_evals.models.recipe import Recipe
from vision_evals.models.training.data import Data, MemorySubset
from vision_evals.models.training.loop import seeded, train, training_rng

CPU = torch.device("cpu")


def data_of(train_images: int = 30, validation_images: int = 14) -> Data:
    """Two classes of 8 x 8: bright above, bright below, under noise."""
    noise = np.random.default_rng(0)
    parts = []
    for n in (train_images, validation_images):
        classes = np.arange(n, dtype=np.int64) % 2
        levels = noise.integers(0, 200, (n, 8, 8)).astype(np.uint8)
        for i, label in enumerate(classes):
            levels[i, 4 * label : 4 * label + 4] += 50
        parts.append(MemorySubset(levels, classes, Geometry(8, 8)))
    names = ClassMap("halves", ("above", "below"), None)
    return Data(names, parts[0], parts[1], Geometry(8, 8), "0")


def network_of(dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(5)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(dropout), nn.Linear(144, 2)
        )


def recipe_of(**keys: Any) -> Recipe:
    given = {"data": "halves", "optimizer": {"lr": 0.1}, "epochs": 3, "batch_size": 8}
    return Recipe.model_validate(given | keys)


def run(
    network: nn.Module, recipe: Recipe, data: Data | None = None, seed: int = 0
) -> log.Training:
    counted: list[int] = []

    def advance(n: int, message: str = "") -> None:
        counted.append(n)

    record = train(
        network,
        nn.Identity(),
        data or data_of(),
        recipe,
        seed,
        device=CPU,
        advance=advance,
    )
    assert sum(counted) == record.epochs[-1].steps
    return record


def batches(
    data: Data, size: int, seed: int, epoch: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    part = data.train
    assert isinstance(part, MemorySubset)
    order = torch.randperm(len(part), generator=training_rng(seed, "order", str(epoch)))
    pixels, classes = part.pixels.expand(-1, 3, -1, -1) / 255, torch.from_numpy(part.classes)
    return [(pixels[chosen], classes[chosen]) for chosen in torch.split(order, size)]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_ten_lines_of_plain_torch_give_the_same_weights(momentum: float) -> None:
    table: dict[str, Any] = {"lr": 0.1, "momentum": momentum, "weight_decay": 0.01}
    ours, data = network_of(dropout=0.5), data_of()
    record = run(ours, recipe_of(optimizer=table), data, seed=7)
    plain, losses = network_of(dropout=0.5).train(), []
    step = torch.optim.SGD(plain.parameters(), **table)
    with seeded(7, "dropout", CPU):
        for epoch in (1, 2, 3):
            for pixels, classes in batches(data, 8, 7, epoch):
                step.zero_grad()
                loss = cross_entropy(plain(pixels), classes)
                loss.backward()  # type: ignore[no-untyped-call]
                step.step()
                losses.append(loss.item())
    assert all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True)
    )
    assert [loss for epoch in record.epochs for loss in epoch.losses] == pytest.approx(losses)
    assert [epoch.steps for epoch in record.epochs] == [0, 4, 8, 12]  # 30 images: 8, 8, 8, 6
    assert record.returned_epoch == 3


def test_momentum_and_l1_by_hand() -> None:
    """W <- w - lr v, v <- m v + g + l1 sign(w), the biases without a penalty."""
    data, lr, m, l1 = data_of(), 0.1, 0.8, 0.05
    table = {"lr": lr, "momentum": m, "l1": l1}
    ours = network_of()
    record = run(ours, recipe_of(optimizer=table, epochs=2), data, seed=1)
    by_hand = network_of()
    velocity = [torch.zeros_like(weight) for weight in by_hand.parameters()]
    ratios: list[list[float]] = []
    for epoch in (1, 2):
        ratios.append([])
        for pixels, classes in batches(data, 8, 1, epoch):
            weights = list(by_hand.parameters())
            slopes = torch.autograd.grad(cross_entropy(by_hand(pixels), classes), weights)
            ratios[-1].append(float(slopes[0].norm() / slopes[2].norm()))
            with torch.no_grad():
                for weight, slope, v in zip(weights, slopes, velocity, strict=True):
                    penalty = l1 * weight.sign() if weight.dim() > 1 else 0
                    v.mul_(m).add_(slope + penalty)
                    weight.sub_(lr * v)
    for a, b in zip(ours.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    for looked, wanted in zip(record.epochs[1:], ratios, strict=True):
        assert looked.gradient_ratio == pytest.approx(np.mean(wanted), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("adam", torch.optim.Adam, {}),
        ("adamw", torch.optim.AdamW, {"weight_decay": 0.0}),  # torch's own default is 0.01
        ("rmsprop", torch.optim.RMSprop, {"momentum": 0.5}),
        ("adagrad", torch.optim.Adagrad, {}),
    ],
)
def test_every_optimiser_is_torchs(
    name: str, kind: Callable[..., torch.optim.Optimizer], options: dict[str, float]
) -> None:
    data, ours, plain = data_of(), network_of(), network_of()
    run(ours, recipe_of(optimizer={"name": name, "lr": 0.01, **options}, epochs=1), data)
    step = kind(plain.parameters(), lr=0.01, **options)
    for pixels, classes in batches(data, 8, 0, 1):
        step.zero_grad()
        cross_entropy(plain(pixels), classes).backward()  # type: ignore[no-untyped-call]
        step.step()
    assert all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True)
    )


def validation_loss(network: nn.Module, data: Data) -> float:
    part = data.validation
    assert isinstance(part, MemorySubset)
    with torch.no_grad():
        logits = network.eval()(part.pixels.expand(-1, 3, -1, -1) / 255)
    return float(cross_entropy(logits, torch.from_numpy(part.classes)))


@pytest.mark.parametrize(("lr", "stops"), [(2.0, True), (0.01, False)])
def test_early_stopping_returns_the_lowest_validation_loss(lr: float, stops: bool) -> None:
    data, network = data_of(), network_of()
    recipe = recipe_of(optimizer={"lr": lr}, epochs=12, early_stopping={"patience": 2})
    record = run(network, recipe, data)
    losses = [epoch.validation_loss for epoch in record.epochs]
    lowest = min(loss for loss in losses if loss is not None)
    assert record.returned_epoch == losses.index(lowest)
    assert validation_loss(network, data) == pytest.approx(lowest, rel=1e-5)
    assert record.stopped_early is stops
    assert len(losses) == (record.returned_epoch + 1 + 2 if stops else 13)


def test_without_early_stopping_the_last_weights_are_returned() -> None:
    data, network = data_of(), network_of()
    record = run(network, recipe_of(optimizer={"lr": 2.0}, epochs=6), data)
    assert record.returned_epoch == 6
    assert validation_loss(network, data) == pytest.approx(
        record.epochs[6].validation_loss, rel=1e-5
    )


def test_divergence_is_an_outcome() -> None:
    network, before = network_of(), network_of()
    record = run(network, recipe_of(optimizer={"lr": 1e38}))
    assert record.diverged is not None
    assert "was not finite" in record.diverged
    assert "epoch 1" in record.diverged
    assert record.returned_epoch is None
    assert record.small_weight_fraction is None
    assert [epoch.epoch for epoch in record.epochs] == [0, 1]
    assert len(record.epochs[1].losses) < 4
    # the last finite weights are those before the first step
    assert all(
        torch.equal(a, b) for a, b in zip(network.parameters(), before.parameters(), strict=True)
    )


def test_the_step_of_the_first_loss_that_was_no_number_is_named() -> None:
    class Faulty(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole, self.calls = network_of(), 0

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.whole(pixels)
            self.calls += self.training
            return logits * (torch.nan if self.calls == 6 and self.training else 1)

    record = run(Faulty(), recipe_of())
    assert record.diverged == "the loss was not finite at step 6, epoch 2"
    assert len(record.epochs[-1].losses) == 1


def test_same_seed_same_weights_and_no_global_draw() -> None:
    state = torch.get_rng_state()
    first, again, other = (network_of(dropout=0.5) for _ in range(3))
    for network, seed in ((first, 3), (again, 3), (other, 4)):
        run(network, recipe_of(), seed=seed)
    pairs = zip(first.parameters(), again.parameters(), other.parameters(), strict=True)
    same, different = zip(
        *((torch.equal(a, b), torch.equal(a, c)) for a, b, c in pairs), strict=True
    )
    assert all(same)
    assert not any(different)
    assert torch.equal(torch.get_rng_state(), state)


def test_small_weights_are_counted() -> None:
    network = network_of()
    record = run(network, recipe_of(epochs=1))
    small, total = 0, 0
    for weight in (weight.detach().numpy() for weight in network.parameters() if weight.dim() > 1):
        small += int((np.abs(weight) < 1e-3 * np.abs(weight).max()).sum())
        total += weight.size
    assert record.small_weight_fraction == pytest.approx(small / total)
