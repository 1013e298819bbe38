"""How much a recipe costs over a bare training loop: `python benchmarks/training.py`.

Both train the same network on the same batches of digits with the same optimiser, and look at the
validation images after every epoch. They take turns; the least of each is compared, since what
else the machine does can only add.
"""

# ruff: noqa: T201 - a script, and a table is what it is for
from __future__ import annotations

import statistics
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from vision_evals.models.recipe import Optimizer, Recipe
from vision_evals.models.training.data import Data, MemorySubset, load
from vision_evals.models.training.loop import train
from vision_evals.models.training.networks import small_cnn

REPEATS = 7
RECIPE = Recipe(data="digits", optimizer=Optimizer(lr=0.05, momentum=0.9), epochs=6)


def tensors(part: object) -> tuple[torch.Tensor, torch.Tensor]:
    """Return floats in [0, 1] and classes, all in memory."""
    assert isinstance(part, MemorySubset)
    return part.pixels.expand(-1, 3, -1, -1).div(255), torch.from_numpy(part.classes)


def bare(network: nn.Module, data: Data) -> float:
    """Train as a tutorial does, and return the seconds."""
    (pixels, classes), (seen, wanted) = tensors(data.train), tensors(data.validation)
    started = time.perf_counter()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(RECIPE.epochs):
        network.train()
        for chosen in torch.split(torch.randperm(len(pixels)), RECIPE.batch_size):
            optimizer.zero_grad()
            loss = cross_entropy(network(pixels[chosen]), classes[chosen])
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            right = 0
            batches = zip(
                torch.split(seen, RECIPE.batch_size),
                torch.split(wanted, RECIPE.batch_size),
                strict=True,
            )
            for batch, labels in batches:
                right += int((network(batch).argmax(1) == labels).sum())
    return time.perf_counter() - started


def recipe(network: nn.Module, data: Data) -> float:
    """Train as a recipe does, and return the seconds."""

    def advance(n: int, said: str = "") -> None:
        pass

    device = torch.device("cpu")
    started = time.perf_counter()
    train(network, nn.Identity(), data, RECIPE, 0, device=device, advance=advance)
    return time.perf_counter() - started


def main() -> None:
    """Let both take turns, and print the least and the median of each."""
    data = load(RECIPE, Path(), "bilinear", "digits")
    ways = {"bare loop": bare, "recipe": recipe}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS + 1):
        for name, way in ways.items():
            torch.manual_seed(0)
            seconds[name].append(way(small_cnn(10), data))
    print(f"digits, small_cnn, {RECIPE.epochs} epochs, {REPEATS} repeats after one to warm up")
    for name, taken in seconds.items():
        taken.pop(0)
        print(f"{name:10} least {min(taken):6.2f} s   median {statistics.median(taken):6.2f} s")
    least, median = (
        how(seconds["recipe"]) / how(seconds["bare loop"]) for how in (min, statistics.median)
    )
    print(f"ratio      least {least:6.2f}     median {median:6.2f}")


if __name__ == "__main__":
    main()
